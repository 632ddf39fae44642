"""The one owner of an ArcticDB client, and the only code that calls it.

ArcticDB is untyped, raises many kinds of exceptions, and can crash the process when a write fails on a full disk or a
reader opens a pickled symbol. All of that stops here: callers get frames, StoreError and StoreCorrupt.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError, RunnerError, StoreCorrupt, StoreError
from runner.store.lmdb_check import check_directory

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

OPENING = threading.RLock()
"""Held while a store is opened or closed, before any store's own lock: a store must not be shared while it goes."""

MIN_FREE_BYTES = 512 * 1024 * 1024
"""Below this much free disk nothing is written: ArcticDB crashes the process when a commit meets a full disk."""
MAP_HEADROOM = 0.8
"""Part of the map that may be in use before writes are refused, for the same reason."""
READ_TRIES = 6
"""A reader can meet a version that the writer has just pruned; trying again finds the next one."""

EVENT_TABLE = {"dynamic_schema": True, "prune_previous_versions": True, "rows_per_segment": 5_000}
KEPT_VERSIONS = {"dynamic_schema": True, "prune_previous_versions": False, "rows_per_segment": 100_000}
SERIES = {"dynamic_schema": True, "prune_previous_versions": True, "rows_per_segment": 100_000}

LIBRARIES: dict[str, dict[str, Any]] = {
    "general": KEPT_VERSIONS,
    "fills": EVENT_TABLE,
    "orders": EVENT_TABLE,
    "positions": EVENT_TABLE,
    "equity": EVENT_TABLE,
    "audit": EVENT_TABLE,
    "projection": EVENT_TABLE,
    "bars": SERIES,
}
"""The base libraries and their options. ArcticDB refuses to open a library with other options than it was made with."""


class Store:
    """The owner of one ArcticDB client. Safe to use from several threads; writes take turns.

    `get_library`, `list_libraries` and `store[name]` answer as an Arctic client does, so hand-written code can be given
    the Store as `ac`. After an unexpected failure of a write the store is `poisoned`: ArcticDB may crash on the next
    write or on closing, so neither happens any more in this process.
    """

    def __init__(self, uri: str, released: Callable[[Store], None] | None = None, *, read_only: bool = False) -> None:
        """Opens `uri` (as `normal_uri` makes it). `released` is called when the client is let go of. `read_only` makes
        no library and refuses every write."""
        self.uri = uri
        self.read_only = read_only
        self._released = released
        self.poisoned: str = ""
        """Why nothing may be written any more; empty when all is well."""
        self._holders = 1
        self._lock = threading.RLock()
        self._libraries: dict[str, Any] = {}
        self._path, self._map_bytes = _local_path(uri)
        self._arctic: Any = _open_arctic(uri, self._path)
        try:
            for name in () if read_only else LIBRARIES:
                self.library(name)
        except BaseException:
            self.release()
            raise

    def __repr__(self) -> str:
        return f"Store({masked(self.uri)!r})"

    @property
    def ac(self) -> Any:
        """The ArcticDB client itself. Whatever is taken from it must be let go of before `close`."""
        if self._arctic is None:
            raise StoreError(f"the ArcticDB store {masked(self.uri)} is closed")
        return self._arctic

    def library(self, name: str, *, create: bool = True) -> Any:
        """A library; base libraries are made with their own options, others as tables whose columns may change.

        StoreError when it does not exist and `create` is False.
        """
        with self._lock:
            found = self._libraries.get(name)
            if found is not None:
                return found
            create = create and not self.read_only
            import arcticdb

            client = self.ac
            try:
                if self.read_only or (name not in LIBRARIES and (not create or client.has_library(name))):
                    library = client.get_library(name)
                else:
                    options = arcticdb.LibraryOptions(**LIBRARIES.get(name, SERIES))
                    library = client.get_library(name, create_if_missing=create, library_options=options)
            except Exception as error:
                raise self._open_error(name, error) from error
            self._libraries[name] = library
            return library

    def get_library(self, name: str, create_if_missing: bool = False, library_options: Any = None) -> Any:
        """As `Arctic.get_library`; options are honoured for libraries that are not base libraries."""
        if library_options is None or name in LIBRARIES:
            return self.library(name, create=create_if_missing or name in LIBRARIES)
        return self.ac.get_library(name, create_if_missing=create_if_missing, library_options=library_options)

    def __getitem__(self, name: str) -> Any:
        return self.library(name, create=False)

    def list_libraries(self) -> list[str]:
        return sorted(str(name) for name in self.ac.list_libraries())

    def has_library(self, name: str) -> bool:
        return bool(self.ac.has_library(name))

    def symbols(self, library: str) -> list[str]:
        """Names of the symbols in a library, sorted."""
        with self._reading(library, "", "list"):
            handle = self.library(library)
            if self.read_only:
                # The public call keeps a list of the symbols in the library, and tidies it up when it is asked.
                return sorted(str(name) for name in handle._nvs.list_symbols(use_symbol_list=False))
            return sorted(str(name) for name in handle.list_symbols())

    def has_symbol(self, library: str, symbol: str) -> bool:
        with self._reading(library, symbol, "look for"):
            return bool(self.library(library).has_symbol(symbol))

    def metadata(self, library: str, symbol: str) -> dict[str, Any]:
        """The metadata of the newest version; empty when there is none or no such symbol."""
        with self._reading(library, symbol, "read the metadata of"):
            handle = self.library(library)
            if not handle.has_symbol(symbol):
                return {}
            found = handle.read_metadata(symbol).metadata
            return dict(found) if isinstance(found, Mapping) else {}

    def read(self, library: str, symbol: str, **arguments: Any) -> pd.DataFrame | None:
        """A symbol's newest frame, None when there is no such symbol. `arguments` as `Library.read` (`date_range`).

        A pickled symbol is refused: reading it would run whatever code was pickled into it.
        """
        with self._reading(library, symbol, "read"):
            handle = self.library(library)
            for attempt in range(READ_TRIES):
                if not handle.has_symbol(symbol):
                    return None
                if handle.get_description(symbol).row_count is None:
                    raise StoreError(
                        f"{library}/{symbol} is pickled Python, not a table, and is not read",
                        hint="reading it would run code from the store; delete the symbol and write a DataFrame",
                    )
                try:
                    _ignore_known_warning()
                    frame: pd.DataFrame = handle.read(symbol, **arguments).data
                    return frame
                except Exception as error:
                    if attempt == READ_TRIES - 1 or type(error).__name__ not in _PRUNED_MEANWHILE:
                        raise
        return None

    def write(self, library: str, symbol: str, frame: pd.DataFrame, metadata: Mapping[str, Any] | None = None) -> None:
        """Replace a symbol. StoreError when the disk is nearly full, the store is poisoned, or ArcticDB refuses."""
        with self._writing(library, symbol, "write"):
            self.library(library).write(symbol, frame, metadata=_plain(metadata))

    def append(
        self, library: str, batch: Mapping[str, tuple[pd.DataFrame, Mapping[str, Any]]]
    ) -> dict[str, StoreError]:
        """Append a frame with its metadata to each symbol of `batch`; the symbols that refused, with why.

        Frames need an increasing UTC index named as the stored one. Old versions are pruned and the tail compacted in
        the same call. Each symbol is atomic, the batch is not.
        """
        from arcticdb import DataError
        from arcticdb.version_store.library import WritePayload

        payloads = [WritePayload(symbol, frame, metadata=_plain(meta)) for symbol, (frame, meta) in batch.items()]
        failed: dict[str, StoreError] = {}
        with self._writing(library, ", ".join(batch), "append to"):
            results = self.library(library).append_batch(payloads, prune_previous_versions=True, compact_data=True)
            for payload, result in zip(payloads, results, strict=True):
                if isinstance(result, DataError):
                    text = str(result.exception_string)
                    failed[payload.symbol] = StoreError(f"cannot append to {library}/{payload.symbol}: {text}")
                    if not _is_refusal(text):
                        self._poison(library, payload.symbol, text)
        return failed

    def update(self, library: str, symbol: str, frame: pd.DataFrame) -> None:
        """Replace the rows between the first and last stamp of `frame`; the symbol is made when missing."""
        with self._writing(library, symbol, "update"):
            self.library(library).update(symbol, frame, upsert=True, prune_previous_versions=True)

    def delete(self, library: str, symbol: str) -> None:
        """Delete a symbol with all its versions; one that does not exist is no error."""
        with self._writing(library, symbol, "delete"):
            self.library(library).delete(symbol)

    def settings(self) -> dict[str, Any]:
        """`general`/`settings`: two text columns, `key` and `value`, the value as JSON."""
        if self.read_only and not self.has_library("general"):
            return {}
        frame = self.read("general", "settings")
        if frame is None:
            return {}
        try:
            return {str(key): json.loads(value) for key, value in zip(frame["key"], frame["value"], strict=True)}
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"general/settings in {masked(self.uri)} cannot be read: {error}",
                hint='it needs two columns, key and value, the value as JSON text: "s3"',
            ) from error

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Replace `general`/`settings`."""
        import numpy as np
        import pandas as pd

        keys = sorted(settings)
        values = [json.dumps(settings[key], sort_keys=True) for key in keys]
        columns = {"key": np.array(keys, dtype=object), "value": np.array(values, dtype=object)}
        self.write("general", "settings", pd.DataFrame(columns))

    def close(self) -> None:
        """Let go of the client; the last of several `get_ac()` of one store really closes it."""
        with OPENING:
            if self._arctic is not None:
                self._holders -= 1
                if self._holders <= 0:
                    self.release()

    def share(self) -> Store:
        """The same store for one more holder, who closes it too."""
        with OPENING:
            self._holders += 1
        return self

    def release(self) -> None:
        """Let go of the client now, whoever else holds the store."""
        with OPENING, self._lock:
            if self._released is not None:
                self._released(self)
            if self.poisoned:
                # Closing a client after a failed commit aborts the process; it is kept until the process ends.
                _leaked.append(self._arctic)
                _leaked.extend(self._libraries.values())
            self._libraries.clear()
            self._arctic = None
            gc.collect()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reading(self, library: str, symbol: str, operation: str) -> _Guard:
        return _Guard(self, library, symbol, operation, writes=False)

    def _writing(self, library: str, symbol: str, operation: str) -> _Guard:
        return _Guard(self, library, symbol, operation, writes=True)

    def _refuse_when_full(self, library: str) -> None:
        if self.read_only:
            raise StoreError(f"the ArcticDB store {masked(self.uri)} was opened to read only")
        if self.poisoned:
            raise StoreError(
                f"the ArcticDB store {masked(self.uri)} is not written to after a failure: {self.poisoned}",
                hint="orders and fills are safe in the journal; restart the runner to write again",
            )
        if self._path is None:
            return
        disk = os.statvfs(self._path)
        free = disk.f_bavail * disk.f_frsize
        if free < MIN_FREE_BYTES:
            raise StoreError(
                f"{free // 2**20} MB are free under {self._path}; writing needs {MIN_FREE_BYTES // 2**20} MB",
                hint="free space; what is missing in ArcticDB is caught up from the journal",
            )
        file = self._path / library / "data.mdb"
        used = file.stat().st_size if file.exists() else 0
        if used > self._map_bytes * MAP_HEADROOM:
            raise StoreError(
                f"library {library} uses {used // 2**20} MB of its {self._map_bytes // 2**20} MB map",
                hint="give arctic.uri a larger ?map_size= in runner.yaml and restart",
            )

    def _poison(self, library: str, symbol: str, text: str) -> None:
        self.poisoned = self.poisoned or f"{library}/{symbol}: {text}"
        log.error("ArcticDB write failed, no more writes in this process: %s", self.poisoned)

    def _open_error(self, name: str, error: Exception) -> RunnerError:
        text = str(error)
        where = f"library {name} of the ArcticDB store {masked(self.uri)}"
        if type(error).__name__ == "LibraryNotFound":
            return StoreError(f"there is no {where}", hint=f"there are: {', '.join(self.list_libraries())}")
        if type(error).__name__ == "MismatchingLibraryOptions":
            return StoreCorrupt(f"{where} was made with other options: {text}", hint="it was made by another program")
        return StoreCorrupt(f"{where} cannot be opened: {text}", hint="move the store aside or restore a backup")


class _Guard:
    """Turns ArcticDB's exceptions into StoreError that names library, symbol and operation; guards writes."""

    def __init__(self, store: Store, library: str, symbol: str, operation: str, *, writes: bool) -> None:
        self._store, self._library, self._symbol, self._operation = store, library, symbol, operation
        self._writes = writes

    def __enter__(self) -> None:
        if self._writes:
            self._store._lock.acquire()
            try:
                self._store._refuse_when_full(self._library)
            except BaseException:
                self._store._lock.release()
                raise

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if not isinstance(error, Exception) or isinstance(error, RunnerError):
                return
            if self._writes and not _is_refusal(f"{type(error).__name__} {error}"):
                self._store._poison(self._library, self._symbol, str(error))
            what = f"{self._library}/{self._symbol}".rstrip("/")
            raise StoreError(f"cannot {self._operation} {what}: {error}") from error
        finally:
            if self._writes:
                self._store._lock.release()


_PRUNED_MEANWHILE = ("NoDataFoundException", "KeyNotFoundException", "NoSuchVersionException")

_REFUSALS = re.compile(
    r"SchemaException|StreamDescriptorMismatch|DESCRIPTOR_MISMATCH|UserInput|E_INVALID_USER|ArcticDbNotYetImplemented|"
    r"NotYetImplemented|UnsortedData|UNSORTED|Normalization|INCOMPATIBLE|pickled data|UnsupportedDataType|TypeError|"
    r"DuplicateSymbols|Can't append dataframe with start index|S3_RETRYABLE|E_UNEXPECTED_S3|PermissionException|"
    r"KeyError|ValueError|AttributeError"
)
"""What ArcticDB refuses before it touches the storage, and what object storage says when it is away. Anything else in a
write may have left LMDB's transaction in a state that crashes the process."""

_leaked: list[Any] = []


def _ignore_known_warning() -> None:
    """ArcticDB builds its frames in a way that pandas 2.3 warns about; harmless, and not ours to repair.

    A filter is added once, instead of a `catch_warnings` block around each read, because that is not thread-safe.
    """
    message = "Passing a BlockManager"
    if not any(one[1] is not None and getattr(one[1], "pattern", "") == message for one in warnings.filters):
        warnings.filterwarnings("ignore", message=message, category=DeprecationWarning)


def _is_refusal(text: str) -> bool:
    return _REFUSALS.search(text) is not None


def exists(uri: str) -> bool:
    """Whether there is a store at a local `uri`, which an empty folder is not; True for a bucket, which must exist."""
    path, _ = _local_path(uri)
    if path is None:
        return True
    try:
        return path.exists() and not (path.is_dir() and not any(path.iterdir()))
    except OSError as error:
        raise StoreError(f"cannot read the ArcticDB store {path}: {error.strerror}") from error


def _open_arctic(uri: str, path: Path | None) -> Any:
    if path is not None:
        check_directory(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the ArcticDB directory {path}: {error.strerror}") from error
    import arcticdb
    from arcticdb.config import set_config_int, set_log_level

    # Readers see what the writer has just written, and the first listing of a new library does not wait for a second.
    set_config_int("VersionMap.ReloadInterval", 0)
    set_config_int("StorageLock.WaitMs", 20)
    set_log_level("ERROR")
    try:
        return arcticdb.Arctic(uri)
    except Exception as error:
        where = masked(uri)
        if path is not None:
            raise StoreCorrupt(
                f"the ArcticDB store {where} cannot be opened: {error}", hint=f"move {path} aside or restore a backup"
            ) from error
        raise StoreError(f"the ArcticDB store {where} cannot be opened: {error}") from error


def _local_path(uri: str) -> tuple[Path | None, int]:
    """Directory and map size in bytes of a local store; (None, 0) for others."""
    if not uri.startswith("lmdb://"):
        return None, 0
    path, _, query = uri.removeprefix("lmdb://").partition("?")
    match = re.search(r"map_size=(\d+)(KB|MB|GB|TB)", query)
    if match is None:
        raise ConfigError(f"map_size in {uri!r} is not a whole number with KB, MB, GB or TB")
    return Path(path), int(match[1]) * 1024 ** (1 + ("KB", "MB", "GB", "TB").index(match[2]))


def masked(uri: str) -> str:
    return re.sub(r"(access|secret)=[^&]*", r"\1=***", uri)


def _plain(metadata: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if metadata is None else dict(metadata)
