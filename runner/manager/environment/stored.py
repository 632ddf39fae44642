"""What the store says: which libraries there are, what they list, and which strategies have a row. It is only read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import shorten
from typing import TypeVar

from runner.errors import StoreError
from runner.manager.environment.subjects import Asked, Subject, problem_at
from runner.spec.config import RunnerConfig
from runner.spec.problems import Problem, closest
from runner.spec.rules.markets import named
from runner.store.arctic_manager import look_at
from runner.store.arctic_store import LIBRARIES, masked
from runner.store.strategies import LIBRARY, StrategyRow, StrategyTable

T = TypeVar("T")

MAX_WORDS = 200
"""Characters of what a sizing says; it may name every symbol of a library."""
STORE_LIMIT_S = 60.0
"""How long reading the store may take; an object storage that is away keeps ArcticDB trying for most of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was read."""

    uri: str
    exists: bool
    libraries: tuple[str, ...] = ()
    symbols: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Library → what it lists, of those that were asked for and exist."""
    rows: tuple[StrategyRow, ...] = ()
    """general/strategies."""


def read_store(config: RunnerConfig, libraries: Collection[str]) -> Stored:
    """Reads the configured store, which may be a running runner's. Raises StoreError and ConfigError.

    A second process that only reads is safe beside the one that writes; nothing is made where there is no store yet.
    """
    return _within(STORE_LIMIT_S, lambda: _read(config.store_uri, libraries), f"the store {masked(config.store_uri)}")


def _read(uri: str, libraries: Collection[str]) -> Stored:
    store = look_at(uri)
    if store is None:
        return Stored(uri=uri, exists=False)
    with store:
        there_are = store.list_libraries()
        return Stored(
            uri=uri,
            exists=True,
            libraries=tuple(there_are),
            symbols={name: tuple(store.symbols(name)) for name in sorted(libraries) if name in there_are},
            rows=tuple(StrategyTable(store).all()) if LIBRARY in there_are else (),
        )


def _within(limit_s: float, call: Callable[[], T], what: str) -> T:
    """The result of a call that cannot be interrupted: it is left to itself when it takes too long."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="look-at-store", daemon=True)
    thread.start()
    thread.join(limit_s)
    if errors:
        raise errors[0]
    if not results:
        raise StoreError(f"{what} did not answer within {limit_s:g} s", hint="is it reachable from here?")
    return results[0]


def check_libraries(subjects: Sequence[Subject], stored: Stored) -> tuple[list[Asked], list[Problem]]:
    """What every strategy trades, libraries resolved; and what is wrong with the libraries: E613, E614 and E627."""
    asked: list[Asked] = []
    problems: list[Problem] = []
    for subject in subjects:
        universe = subject.spec.universe
        queries = universe.instruments
        if universe.library is not None:
            if universe.library not in stored.symbols:
                problems.append(_missing(subject, universe.library, stored))
                continue
            queries = universe.of_library(stored.symbols[universe.library])
            problem = _unusable(subject, universe.library, [query.symbol for query in queries])
            if problem is not None:
                problems.append(problem)
        asked += [Asked(subject=subject, query=query) for query in queries]
    return asked, problems


def _missing(subject: Subject, library: str, stored: Stored) -> Problem:
    if not stored.exists:
        message = f'there is no library "{library}", because there is no store at {masked(stored.uri)} yet'
        return problem_at(subject.library, "E613", message, hint="write the library first, or set arctic.uri")
    universes = [name for name in stored.libraries if name not in LIBRARIES]
    guess = closest(library, universes)
    hint = f"there are: {named(universes)}" if universes else "write it first; its symbols are the universe"
    if guess:
        hint = f'did you mean "{guess}"?'
    return problem_at(subject.library, "E613", f'the store has no library "{library}"', hint=hint)


def _unusable(subject: Subject, library: str, symbols: list[str]) -> Problem | None:
    if not symbols:
        hint = "each of its symbols is one of the universe; write some, or name another library"
        return problem_at(subject.library, "E614", f'library "{library}" lists no symbols', hint=hint)
    try:
        subject.spec.sizing.check(symbols, subject.spec.params)
    except ValueError as error:
        path = ("sizing", "with") if subject.root.find(("sizing", "with")) is not None else ("sizing",)
        message = f'sizing does not fit library "{library}": {shorten(str(error), MAX_WORDS, placeholder=" …")}'
        return problem_at(subject.place(path), "E627", message)
    return None
