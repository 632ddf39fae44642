"""Everything the runner refuses with, drawn by who acts next.

    RunnerError
    ├── SpecError(problems)           the author of the file
    ├── ConfigError                   the operator: runner.yaml, command line, environment
    ├── HookError                     the author of the strategy's own code
    ├── StoreError                    the operator: ArcticDB or the journal
    │   ├── StoreLocked(pid)
    │   └── StoreCorrupt
    └── GatewayError(code, text)      IB's number and words are kept
        ├── NotConnected              wait and try again
        ├── PacingLimit               wait `retry_after_s`, then try again
        ├── ClientIdInUse             the operator
        ├── WrongAccount              the operator
        ├── OrderRejected             never again as it stands
        ├── ContractNotFound          never again as it stands
        └── NoMarketData              the operator

A cap that says no is not an error: it is a value (`runner.model.orders.Refused`) that is recorded as a fact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, ClassVar, Literal


class ExitCode(IntEnum):
    """What every command ends with; one table for all of them."""

    OK = 0
    PROBLEMS = 1
    """Problems in what was given: invalid specs, refused or failed change."""
    USAGE = 2
    CHANGES = 3
    """Changes or drift exist and nothing was applied."""
    UNAVAILABLE = 4
    """The environment is not there: daemon, IB Gateway, ArcticDB. A retry may help."""
    HELD = 5
    STALE_PLAN = 6
    INTERNAL = 70
    CONFIG = 78
    """`run` cannot start because of configuration; a supervisor must not restart it."""
    INTERRUPTED = 130


class RunnerError(Exception):
    """Base of all errors. `hint` is one concrete next step, without a full stop."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class SpecError(RunnerError):
    """One or more strategy files are wrong. `problems` are `runner.spec.problems.Problem` values, all of them.
    `sources` maps their files to the texts that were judged, where these are not what is on disk."""

    exit_code = ExitCode.PROBLEMS

    def __init__(
        self, message: str, problems: Sequence[Any] = (), *, sources: Mapping[str, str] | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)
        self.sources = dict(sources or {})


class ConfigError(RunnerError):
    """runner.yaml, an option or the environment says something that cannot work."""

    exit_code = ExitCode.CONFIG


class UnknownName(ConfigError):
    """A strategy, a version or a field was named that there is not. Nothing has to be configured anew for that."""

    exit_code = ExitCode.PROBLEMS


class HookError(RunnerError):
    """Code that the user brought raised. The original exception is the cause."""

    exit_code = ExitCode.PROBLEMS


class StoreError(RunnerError):
    """ArcticDB or the journal refused. The message names the library or file, the symbol and the operation."""

    exit_code = ExitCode.UNAVAILABLE


class StoreLocked(StoreError):
    """Another process owns the state directory. `pid` is that process."""

    def __init__(self, message: str, *, pid: int | None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.pid = pid


class StoreCorrupt(StoreError):
    """What is on disk cannot be read back; nothing was changed."""

    exit_code = ExitCode.CONFIG


class GatewayError(RunnerError):
    """Interactive Brokers said no. `code` is IB's number (0 when there is none), `text` IB's words."""

    exit_code = ExitCode.UNAVAILABLE

    def __init__(self, message: str, *, code: int = 0, text: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.text = text


class NotConnected(GatewayError):
    """There is no session with the gateway, or its first snapshot was not complete."""


class PacingLimit(GatewayError):
    """A request came faster than IB allows."""

    def __init__(self, message: str, *, retry_after_s: float, code: int = 0, text: str = "") -> None:
        super().__init__(message, code=code, text=text)
        self.retry_after_s = retry_after_s


class ClientIdInUse(GatewayError):
    """IB error 326: another session holds this client id."""


class WrongAccount(GatewayError):
    """The session's accounts are not the configured one, or a live account was met without the live opt-in. `setting`
    is what has to change under `ib` in runner.yaml: account, mode or live_accounts."""

    exit_code = ExitCode.CONFIG

    def __init__(self, message: str, *, setting: Literal["account", "mode", "live_accounts"], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.setting = setting


class OrderRejected(GatewayError):
    """IB refused the order as it stands."""

    exit_code = ExitCode.PROBLEMS


class ContractNotFound(GatewayError):
    """IB knows no such contract (error 200), or more than one: then `candidates` are these, each a
    `runner.model.instruments.Instrument`."""

    exit_code = ExitCode.PROBLEMS

    def __init__(
        self, message: str, *, code: int = 0, text: str = "", hint: str = "", candidates: Sequence[Any] = ()
    ) -> None:
        super().__init__(message, code=code, text=text, hint=hint)
        self.candidates = tuple(candidates)


class NoMarketData(GatewayError):
    """No permission for this data, or IB has none."""
