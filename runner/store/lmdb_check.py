"""Looks at a local ArcticDB directory before ArcticDB does.

LMDB maps its files into memory: a truncated `data.mdb` does not raise, it kills the process (SIGBUS). And a directory
that holds something else would be filled with ours. Both are cheap to see from the outside.
"""

from __future__ import annotations

import struct
from pathlib import Path

from runner.errors import StoreCorrupt, StoreError

CONFIG_LIBRARY = "_arctic_cfg"
"""The directory that every local ArcticDB store has: the list of its libraries."""

MAGIC = 0xBEEFC0DE
META_BYTES = 152
LOOSE_PAGES = 256
"""LMDB does not write pages that a transaction took and gave back, so a file may end a little before its last page."""


def check_directory(path: Path) -> None:
    """Raise StoreCorrupt when `path` is not an ArcticDB store or one of its files is damaged.

    A missing or empty directory is fine: it becomes a new store.
    """
    try:
        if not path.exists() or not any(path.iterdir()):
            return
        if not (path / CONFIG_LIBRARY).is_dir():
            raise StoreCorrupt(
                f"{path} is not an ArcticDB store, and it is not empty",
                hint="choose another place with arctic.uri in runner.yaml",
            )
        for file in sorted(path.rglob("data.mdb")):
            _check_file(file, path)
    except NotADirectoryError:
        raise StoreCorrupt(f"{path} is a file, not an ArcticDB store", hint="choose another arctic.uri") from None
    except OSError as error:
        raise StoreError(f"cannot read the ArcticDB store {path}: {error.strerror}") from error


def _check_file(file: Path, store: Path) -> None:
    size = file.stat().st_size
    if size == 0:
        return  # killed while the library was being made; LMDB starts it afresh
    with file.open("rb") as stream:
        head = stream.read(2 * 65_536)
    page_size = _page_size(head)
    metas = [_meta(head, offset) for offset in (0, page_size)]
    newest = max((meta for meta in metas if meta is not None), default=None)
    if newest is None:
        raise _damaged(file, store, "it is not an LMDB file")
    _, last_page, roots = newest
    missing = last_page + 1 - size // page_size
    if missing > LOOSE_PAGES or any(root * page_size >= size for root in roots):
        raise _damaged(file, store, f"it ends after {size} bytes, {missing} pages early")


def _page_size(head: bytes) -> int:
    if len(head) < 44:
        return 4096
    size = int(struct.unpack_from("<I", head, 40)[0])
    return size if 256 <= size <= 65_536 else 4096


def _meta(head: bytes, offset: int) -> tuple[int, int, tuple[int, ...]] | None:
    """(transaction, last page, root pages) of one of the two meta pages, None when it is not one."""
    if len(head) < offset + META_BYTES or struct.unpack_from("<I", head, offset + 16)[0] != MAGIC:
        return None
    free_root, main_root = (struct.unpack_from("<Q", head, offset + at)[0] for at in (80, 128))
    last_page, transaction = struct.unpack_from("<QQ", head, offset + 136)
    nothing = 2**64 - 1
    return transaction, last_page, tuple(root for root in (free_root, main_root) if root != nothing)


def _damaged(file: Path, store: Path, what: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"the ArcticDB store {store} is damaged: {file}: {what}",
        hint=f"move {store} aside or restore a backup; orders, fills and positions are rebuilt from the journal at the "
        "next start, general/strategies and cached bars are not",
    )
