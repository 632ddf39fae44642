"""Opens ArcticDB and owns it: `get_ac()` returns the one `Store` of the process.

    lmdb:///path?map_size=16GB   local, the default (`.runner/arctic`)
    mem://                       in memory, for tests; gone with its Store
    s3://, s3s://                object storage; usually configured in the library `general`, symbol `settings`

ArcticDB is imported when a store is opened, not before. Nobody else in the package imports it. Two open clients on one
store lose data without an error, so a second `get_ac()` for the same local path or bucket gets the same Store.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from runner.errors import ConfigError
from runner.store.arctic_store import LIBRARIES, OPENING, Store, exists, masked

__all__ = ["LIBRARIES", "Store", "exit_cleanly", "get_ac", "look_at", "normal_uri", "s3_uri"]

DEFAULT_PATH = Path(".runner/arctic")
DEFAULT_MAP_SIZE = "16GB"
"""Most that one library can hold. Address space, not disk: the file grows as it is filled."""
_open_stores: dict[str, Store] = {}


def get_ac(uri: str | None = None, settings: Mapping[str, Any] | None = None) -> Store:
    """Open (or reuse) the ArcticDB store and make sure that its base libraries exist.

    Without `uri` it is `.runner/arctic` under the working directory. When the library `general` of a local store holds
    `storage = "s3"` in its symbol `settings` (or `settings` here says so), the local store is closed and the bucket
    described there is opened; see `s3_uri`. Raises StoreCorrupt for a damaged or foreign store, StoreError when it
    cannot be opened, ConfigError when the settings are incomplete.
    """
    uri = normal_uri(uri or f"lmdb://{DEFAULT_PATH.absolute()}")
    with OPENING:
        return _through_settings(uri, _acquire, settings or {})


def look_at(uri: str) -> Store | None:
    """The store that `get_ac` would open, to read from, also beside a running runner; None when there is none yet.

    Nothing is made and nothing is written, but for the table of readers in `lock.mdb` that LMDB keeps beside a local
    store. Raises as `get_ac`.
    """
    uri = normal_uri(uri)
    if uri.startswith("mem://") or not exists(uri):
        return None
    with OPENING:
        return _through_settings(uri, lambda uri: _found(uri) or Store(uri, read_only=True), {})


def _through_settings(uri: str, acquire: Callable[[str], Store], settings: Mapping[str, Any]) -> Store:
    """The store at `uri`, or the bucket that its settings name."""
    store = acquire(uri)
    try:
        stored = dict(store.settings())
        stored.update(settings)
        if stored.get("storage", "local") not in ("local", "s3"):
            raise ConfigError(f"storage in general/settings is {stored['storage']!r}, not local or s3")
        if stored.get("storage") != "s3" or not uri.startswith(("lmdb://", "mem://")):
            return store
        bucket = s3_uri(stored)
    except BaseException:
        store.close()
        raise
    store.close()
    return acquire(bucket)


def s3_uri(settings: Mapping[str, Any]) -> str:
    """The URI of the bucket that `s3.*` settings describe.

    Needed: `s3.bucket`, `s3.endpoint`. Then either `s3.aws_auth` true (the usual credential chain) or `s3.access` and
    `s3.secret`. Optional: `s3.region`, `s3.port`, `s3.path_prefix`, `s3.tls` (default true). A value may be
    `{"env": "NAME"}` to take it from the environment, so that no secret need be stored. ConfigError names what lacks.
    """
    from urllib.parse import quote

    values = {key.removeprefix("s3."): _from_environment(key, value) for key, value in settings.items()}
    needed = ["bucket", "endpoint"] + ([] if values.get("aws_auth") else ["access", "secret"])
    missing = [f"s3.{name}" for name in needed if not values.get(name)]
    if missing:
        raise ConfigError(
            f"storage is s3, but general/settings has no {', '.join(missing)}",
            hint="set them, or s3.aws_auth to true to use the machine's own credentials",
        )
    scheme = "s3s" if values.get("tls", True) else "s3"
    options: list[str] = []
    for name in ("port", "region", "path_prefix", "access", "secret"):
        if values.get(name) and not (values.get("aws_auth") and name in ("access", "secret")):
            options.append(f"{name}={quote(str(values[name]), safe='/')}")
    if values.get("aws_auth"):
        options.append("aws_auth=true")
    return f"{scheme}://{values['endpoint']}:{values['bucket']}?{'&'.join(options)}"


def normal_uri(uri: str) -> str:
    """`uri` with an absolute path and an explicit `map_size`; ConfigError for a scheme that ArcticDB does not know."""
    if uri.startswith("lmdb://"):
        path, _, query = uri.removeprefix("lmdb://").partition("?")
        if not path:
            raise ConfigError(f"arctic uri {uri!r} has no path", hint="write lmdb:///absolute/path")
        if "map_size=" not in query:
            query = f"{query}&map_size={DEFAULT_MAP_SIZE}".lstrip("&")
        return f"lmdb://{Path(path).expanduser().absolute()}?{query}"
    if uri.startswith(("mem://", "s3://", "s3s://")):
        return uri
    raise ConfigError(f"arctic uri {masked(uri)!r} is not lmdb://, mem://, s3:// or s3s://")


def exit_cleanly(code: int) -> NoReturn:
    """End the process with `code`, at once when ArcticDB was used.

    ArcticDB's worker threads can crash the interpreter while it shuts down, after everything was done right. So stores
    are closed, streams flushed, and the interpreter's own shutdown is skipped. Without ArcticDB it is `sys.exit`.
    """
    if "arcticdb_ext" not in sys.modules:
        sys.exit(code)
    with OPENING:
        for store in list(_open_stores.values()):
            store.release()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # a closed pipe must not turn a good exit code into a bad one
    os._exit(code)


def _identity(uri: str) -> str:
    return uri.partition("?")[0]


def _found(uri: str) -> Store | None:
    """The store when this process has it open already."""
    found = _open_stores.get(_identity(uri)) if not uri.startswith("mem://") else None
    return None if found is None else found.share()


def _acquire(uri: str) -> Store:
    found = _found(uri)
    if found is not None:
        return found
    store = Store(uri, _forget)
    _open_stores[_key(store)] = store
    return store


def _key(store: Store) -> str:
    """What must not be open twice. Stores in memory never are the same."""
    return f"mem://{id(store)}" if store.uri.startswith("mem://") else _identity(store.uri)


def _forget(store: Store) -> None:
    with OPENING:
        _open_stores.pop(_key(store), None)


def _from_environment(key: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    name = value.get("env")
    if not isinstance(name, str) or name not in os.environ:
        raise ConfigError(f"{key} in general/settings takes its value from the environment, where {name!r} is not set")
    return os.environ[name]
