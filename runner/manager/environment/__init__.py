"""A folder of strategy files against the deployment that would run it: the configured gateway and the configured store.

Nothing that a runner owns is touched. The store is read, the gateway is asked in a session of its own that sends no
order, and the embedded gateway is a temporary one with the same settings and books of its own.

    files ──► subjects ─┬─► stored ──► libraries, names, sessions ──┐
                        └─► session (facts) ──► account, contracts, market ──► Problems
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from runner.broker.ib_connection import IBSettings
from runner.errors import WrongAccount
from runner.manager.app import check_gateway, gateway_arguments, ib_settings
from runner.manager.embedded_gateway import EmbeddedGateway
from runner.manager.environment.account import check_account, wrong_account
from runner.manager.environment.contracts import check_contracts
from runner.manager.environment.market import check_bars, check_reach, check_streams, streams_of
from runner.manager.environment.session import Progress, Seen, look
from runner.manager.environment.stored import Stored, check_libraries, read_store
from runner.manager.environment.strategies import check_names, check_sessions
from runner.manager.environment.subjects import Asked, reported, subjects_of
from runner.spec.config import RunnerConfig
from runner.spec.folder import Folder
from runner.spec.problems import Problem, in_order
from runner.spec.rules.markets import named

TIME_LIMIT_S = 300.0
"""How long the gateway is asked. What is left over then is not an error: it is named as not checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the gateway and the store say about a folder."""

    problems: tuple[Problem, ...]
    not_checked: tuple[str, ...]
    """What could not be looked at, and why, in words for the last line of a report."""
    sources: Mapping[str, str]
    """File → text, of runner.yaml when a problem may point at it; the strategy files' are the folder's."""


def _silent(_what: str, _done: int, _total: int) -> None:
    pass


def check_environment(
    config: RunnerConfig, folder: Folder, *, progress: Progress = _silent, time_limit_s: float = TIME_LIMIT_S
) -> Environment:
    """Everything about the folder's usable strategies that only the gateway and the store can tell.

    Blocks; `progress` is called on this thread. The store is given `stored.STORE_LIMIT_S`, the gateway `time_limit_s`,
    and the start of an embedded gateway its own limit. Raises what stands in the way: NotConnected and ClientIdInUse,
    StoreError and StoreCorrupt, ConfigError.
    """
    check_gateway(config, config.gateway)
    subjects = subjects_of(folder)
    libraries = {subject.spec.universe.library for subject in subjects} - {None}
    stored = read_store(config, [name for name in libraries if name is not None])
    asked, problems = check_libraries(subjects, stored)
    problems += check_names(subjects, folder, stored)
    problems += check_sessions(subjects, stored, config.ib.client_id_base)
    not_checked = _left_out(folder, stored)
    try:
        seen = _ask(config, asked, progress, time_limit_s)
    except WrongAccount as error:
        problems.append(wrong_account(error, config))
        not_checked.append("contracts, history, rates and limits of the account: no session without the right account")
    else:
        embedded = config.gateway.embedded
        problems += check_account(config, asked, seen)
        problems += reported([*check_contracts(asked, seen), *check_bars(asked, seen)])
        problems += check_reach(asked, seen)
        problems += check_streams(asked, seen, embedded=embedded)
        not_checked += [*seen.unanswered, *_unknowable(seen, embedded=embedded)]
    sources = {config.shown: config.source} if config.source else {}
    return Environment(problems=in_order(problems), not_checked=tuple(not_checked), sources=sources)


def _ask(config: RunnerConfig, asked: list[Asked], progress: Progress, time_limit_s: float) -> Seen:
    queries = [one.query for one in asked]
    with _gateway(config) as settings:
        return asyncio.run(
            look(
                settings,
                queries,
                lambda seen: streams_of(asked, seen),
                follow=config.gateway.embedded,
                limit_s=time_limit_s,
                progress=progress,
            )
        )


@contextmanager
def _gateway(config: RunnerConfig) -> Iterator[IBSettings]:
    """The configured gateway; for the embedded one a temporary process, whose market stands at its first moment and
    which has no pacing: nobody else asks it anything."""
    if not config.gateway.embedded:
        yield ib_settings(config, None)
        return
    with tempfile.TemporaryDirectory(prefix="runner-validate-") as scratch:
        arguments = gateway_arguments(replace(config.gateway, enforce_limits=False), Path(scratch))
        gateway = EmbeddedGateway(arguments, Path(scratch) / "gateway.log")
        try:
            yield ib_settings(config, gateway.port)
        finally:
            gateway.close()


def _left_out(folder: Folder, stored: Stored) -> list[str]:
    """Strategies that were not looked at."""
    lines = []
    refused = sum(one.spec is None for one in folder.loaded)
    if refused:
        lines.append(f"{refused} {'file' if refused == 1 else 'files'} with errors")
    python = [row.strategy for row in stored.rows if row.hand_written]
    if python:
        lines.append(f"what {named(python)} would trade: only their Python code says")
    return lines


def _unknowable(seen: Seen, *, embedded: bool) -> list[str]:
    """What this gateway could not tell."""
    if embedded:
        return ["IB itself: the embedded paper gateway answered"]
    lines = ["market data lines that the account has and uses: the gateway does not tell"]
    if seen.takes_orders is None:
        lines.append("whether the gateway takes orders: it did not list the open ones")
    return [*lines, "permission to trade each instrument: only an order would tell"]
