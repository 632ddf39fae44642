"""How deep a file is looked at; each level does all that the ones before it do.

syntax   the text is YAML as it is read here
schema   keys, types, limits and names of blocks
rules    what must hold between fields and between files
code     hooks and plugged-in blocks can be imported, in a process of their own
env      contracts, libraries, history, account and data lines at the configured gateway
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum


class Level(StrEnum):
    """One of the levels, shallowest first."""

    SYNTAX = "syntax"
    SCHEMA = "schema"
    RULES = "rules"
    CODE = "code"
    ENV = "env"

    def includes(self, other: Level) -> bool:
        """Whether this level does what `other` does."""
        order = tuple(Level)
        return order.index(other) <= order.index(self)


_SETTINGS = "plugged-in blocks and their settings"
_LOOKS_AT: Mapping[Level, tuple[str, ...]] = {
    Level.SYNTAX: (),
    Level.SCHEMA: ("keys, types and limits",),
    Level.RULES: ("rules between fields and files",),
    Level.CODE: ("code of hooks", _SETTINGS),
    Level.ENV: (
        "contracts at IB",
        "libraries of the store",
        "market data and its permissions",
        "limits of the account",
    ),
}


def not_checked(level: Level, not_loaded: Sequence[str] = ()) -> tuple[str, ...]:
    """What a run at `level` does not look at, in words for its last line. `not_loaded` names the plugged-in blocks that
    the files use, as far as they are known."""
    found = [what for deeper in Level if not level.includes(deeper) for what in _LOOKS_AT[deeper]]
    if not_loaded and _SETTINGS in found:
        found[found.index(_SETTINGS)] = f"settings of {', '.join(not_loaded)}"
    return tuple(found)


def not_run(tests: int) -> tuple[str, ...]:
    """That tests were found and not run, which no level does, in words for the last line."""
    return (f"{tests} test{'' if tests == 1 else 's'} (not run)",) if tests else ()


def level_of(code: str, deepest: Level) -> Level:
    """The level at which a problem of that code is found, in a run down to `deepest`."""
    found = _BY_RANGE[code[:1]]
    return found if deepest.includes(found) else deepest


_BY_RANGE: Mapping[str, Level] = {
    "Y": Level.SYNTAX,
    "S": Level.SCHEMA,
    "W": Level.RULES,
    "M": Level.RULES,
    "C": Level.CODE,
    "E": Level.ENV,
}
