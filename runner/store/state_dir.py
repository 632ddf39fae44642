"""The state directory: journal, local ArcticDB store and control socket of one runner, locked by one process.

    .runner/
      lock           held with flock by the running process; holds its pid
      journal.db     the SQLite journal (with -wal and -shm beside it)
      arctic/        the local ArcticDB store
      control.sock   the control socket of the running process

The lock is the kernel's: it goes away with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path

from runner.errors import StoreError, StoreLocked

LOCK_TRIES = 5
"""A command that only asks who the owner is holds a shared lock for microseconds; five tries ride over that."""
LOCK_RETRY_S = 0.02


class StateDir:
    """An open, locked state directory. Made with `open`; `close` releases the lock."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self._lock_fd = lock_fd

    @classmethod
    def open(cls, path: Path | str, *, account_hint: str | None = None) -> StateDir:
        """Create the directory if needed (mode 0700) and lock it for this process.

        `account_hint` is written beside the pid, so that a refused second process can say whose it is. Raises
        StoreLocked with the pid of the holder, StoreError when the directory cannot be made or written.
        """
        path = Path(path).absolute()
        try:
            _make_private(path)
            fd = os.open(_lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"cannot use {path} as the state directory: {error.strerror or error}",
                hint="choose another with state_dir in runner.yaml, or make it writable",
            ) from error
        try:
            _lock_or_refuse(fd, path)
            owner = json.dumps({"pid": os.getpid(), "account": account_hint or ""})
            os.ftruncate(fd, 0)
            os.pwrite(fd, owner.encode(), 0)
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd)

    @property
    def journal_path(self) -> Path:
        return self.path / "journal.db"

    @property
    def arctic_path(self) -> Path:
        return self.path / "arctic"

    @property
    def socket_path(self) -> Path:
        return self.path / "control.sock"

    def close(self) -> None:
        """Release the lock. A second call does nothing."""
        if self._lock_fd >= 0:
            fd, self._lock_fd = self._lock_fd, -1
            os.ftruncate(fd, 0)
            os.close(fd)

    def __enter__(self) -> StateDir:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_owner(path: Path | str) -> int | None:
    """The pid of the process that holds the lock of this state directory, None when nobody does.

    Also None when the directory or the lock file does not exist. 0 when it is held but the holder has not written its
    pid yet.
    """
    try:
        fd = os.open(_lock_path(Path(path)), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(fd)[0] or 0
    finally:
        os.close(fd)
    return None


def _lock_path(path: Path) -> Path:
    return path / "lock"


def _make_private(path: Path) -> None:
    """Make `path` with mode 0700. An existing directory keeps its mode unless it is ours or empty."""
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        ours = _lock_path(path).exists() or not any(path.iterdir())
        if ours and path.stat().st_mode & 0o077:
            path.chmod(0o700)


def _lock_or_refuse(fd: int, path: Path) -> None:
    for attempt in range(LOCK_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if attempt < LOCK_TRIES - 1:
                time.sleep(LOCK_RETRY_S)
    pid, account = _holder(fd)
    who = f"process {pid}" if pid else "another process"
    trading = f", trading account {account}" if account else ""
    raise StoreLocked(
        f"the state directory {path} is in use by {who}{trading}",
        pid=pid,
        hint=f"stop it first (kill {pid}), or give this one its own state_dir" if pid else "try again in a moment",
    )


def _holder(fd: int) -> tuple[int | None, str]:
    """Pid and account that the holder of the lock wrote; (None, "") while it has not."""
    try:
        data = json.loads(os.pread(fd, 4096, 0))
        return int(data["pid"]), str(data["account"])
    except (ValueError, KeyError, TypeError):
        return None, ""
