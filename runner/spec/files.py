"""Writing files so that a reader sees the old text or the new one, and nothing between."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable
from pathlib import Path

from runner.errors import ExitCode, RunnerError


class CannotWrite(RunnerError):
    """The system refused to write a file that was asked for."""

    exit_code = ExitCode.PROBLEMS

    @classmethod
    def because(cls, path: Path, error: OSError, *, saying: str = "") -> CannotWrite:
        """What the system has said of `path`, and what would help; `saying` that it cannot be written, or another
        sentence."""
        folder = path.parent
        said, hint = (error.strerror or str(error)).lower(), ""
        if isinstance(error, FileNotFoundError) and not folder.exists() and error.filename != str(folder):
            said, hint = f"there is no folder {folder}", f"make it first: mkdir -p {shlex.quote(str(folder))}"
        elif isinstance(error, PermissionError | FileNotFoundError) or error.errno == errno.EROFS:
            hint = "name a place that you may write to"
        elif isinstance(error, NotADirectoryError | FileExistsError):
            file = next((one for one in (path, *path.parents) if one.is_file()), folder)
            said, hint = f"{file} is a file and no folder", "move it away, or name another place"
        elif error.errno == errno.ENAMETOOLONG:
            hint = "name it shorter"
        return cls(f"{saying or f'{path} cannot be written'}: {said}", hint=hint)


class ChangedMeanwhile(CannotWrite):
    """Somebody else has saved the file since it was read: nothing was written."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} was changed by somebody else meanwhile; it was left as it is", hint="look, and try again"
        )


def write_atomically(path: Path, data: bytes, *, unchanged: Callable[[], bool] = lambda: True) -> None:
    """Put `data` where `path` leads, links followed; mode and owner of a file that is there stay as they are.

    `unchanged` is asked right before the old text is replaced. Raises CannotWrite when the system refuses, and
    ChangedMeanwhile when the answer is no. What is no regular file, such as a pipe, is written to as it is.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        target = path.resolve()
        # Readers of a strategies folder pass over hidden files.
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            _write_new(beside, data, like=target)
            if not unchanged():
                raise ChangedMeanwhile(path)
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite.because(path, error) from error


def _write_new(path: Path, data: bytes, *, like: Path) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as stream:
        if like.exists():
            info = like.stat()
            if (info.st_uid, info.st_gid) != (os.geteuid(), os.getegid()) and os.geteuid() == 0:
                os.fchown(stream.fileno(), info.st_uid, info.st_gid)
            os.fchmod(stream.fileno(), info.st_mode & 0o7777)
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


BOM = b"\xef\xbb\xbf"
"""How some editors begin a file; it is no part of the text."""


def encoded(text: str, *, like: bytes) -> bytes:
    """`text` as the bytes of a file, with a byte order mark when `like` has one."""
    return (BOM if like.startswith(BOM) else b"") + text.encode()


def rewrite(path: Path, text: str, *, over: str | None) -> None:
    """Put `text` into a text file, with the byte order mark that it has, in place of `over`: what the caller has read
    there, None for no file. Raises CannotWrite, and ChangedMeanwhile when the file says something else by now."""
    before = _content(path)
    if over != (None if before is None else _text(before)):
        raise ChangedMeanwhile(path)
    write_atomically(path, encoded(text, like=before or b""), unchanged=lambda: _content(path) == before)


def _content(path: Path) -> bytes | None:
    """What a file holds; None when it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotWrite(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error


def _text(data: bytes) -> str:
    """As the loader reads it."""
    return data.removeprefix(BOM).decode("utf-8", "replace").removeprefix("\ufeff")
