"""What a change of a setting takes and does, as small closed vocabularies.

Every field of a strategy file, of runner.yaml and of a block declares one word of each (`x-runner` in the schemas), so
that a change to a file can be judged from the fields that it touches. The words are declared data: what acts on them,
shows them or explains them reads the tables here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, TypeAlias

Apply: TypeAlias = Literal["meta", "live", "rebuild", "resubscribe", "restart", "identity", "process"]
"""What has to be done for a new value to count."""

Direction: TypeAlias = Literal[
    "smaller_is_tighter", "larger_is_tighter", "first_is_tightest", "wider_is_looser", "any_is_looser"
]
"""Which way a change lessens risk. A field of which nothing can be said has none."""

Orders: TypeAlias = Literal[
    "none", "keep", "next_decision", "entry_cap", "entry_stop", "exits", "universe", "handover", "identity"
]
"""What happens to working orders and open positions."""


class Loosening(StrEnum):
    """What happens to a change that lets a strategy risk more. The stricter word first."""

    CONFIRM = "confirm"
    """It is held until an operator approves it."""
    AUTO = "auto"
    """It is applied like any other."""


FIRST_VERSION = "0.1.0"
"""The version in which every field is that does not say otherwise."""

APPLY: Mapping[Apply, str] = MappingProxyType(
    {
        "meta": "nothing has to be done: the strategy trades on as it is",
        "live": "the new value takes the old one's place between two bars; nothing is built anew",
        "rebuild": "the blocks are built anew and warm up from the bars that are there",
        "resubscribe": "bars are subscribed and loaded anew; the strategy decides again when they are warm",
        "restart": "other code of its own takes over, outside its trading window",
        "identity": "it becomes another strategy",
        "process": "the runner has to be started again",
    }
)
"""Word → meaning, weakest first: a change of several fields is as strong as its strongest."""

DIRECTION: Mapping[Direction, str] = MappingProxyType(
    {
        "smaller_is_tighter": "smaller is tighter: a lower number, fewer entries, an earlier time, false in place of "
        "true, of a table of weights each of them nearer to 0",
        "larger_is_tighter": "larger is tighter: a higher number, more entries",
        "first_is_tightest": "the word that is named first is the tightest, the last the loosest",
        "wider_is_looser": "looser when the strategy can then come to larger weights, or to a side (long or short) it "
        "could not take before, by what its blocks say of themselves, or when one of them does not say; else neither",
        "any_is_looser": "every change counts as looser, because nobody can tell what it does",
    }
)
"""Word → meaning."""

NEUTRAL = "neither way is tighter"
"""What it means that a field has no direction."""


def tighter(direction: Direction | None) -> str:
    """Which way is tighter, in one word for a table: smaller, larger, first or never; empty when neither is."""
    words: Mapping[Direction | None, str] = {
        "smaller_is_tighter": "smaller",
        "larger_is_tighter": "larger",
        "first_is_tightest": "first",
        "wider_is_looser": "never",
        "any_is_looser": "never",
    }
    return words.get(direction, "")


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change does to the orders that are working and to the positions that are open."""

    working_orders: str
    positions: str


ORDERS: Mapping[Orders, Effect] = MappingProxyType(
    {
        "none": Effect("do not depend on it", "do not depend on it"),
        "keep": Effect("stay as they are; the next order follows the new value", "stay as they are"),
        "next_decision": Effect("stay as they are until the next decision", "are brought to what that decision wants"),
        "entry_cap": Effect(
            "what opens or increases a position beyond the new value is made smaller or cancelled",
            "are not increased beyond the new value, and not reduced to it either",
        ),
        "entry_stop": Effect(
            "when entries are stopped by it, those that open or increase a position are cancelled; exits stay",
            "stay, and so do their exits",
        ),
        "exits": Effect(
            "stay as they are: exits are the runner's own, so none rests at the broker",
            "are measured by the new value from the next bar on; one that is beyond it by then is closed",
        ),
        "universe": Effect(
            "entries of instruments that leave are cancelled; all others stay",
            "of instruments that leave are treated as on_remove says; all others stay",
        ),
        "handover": Effect("are found again by their references", "stay, and are found again"),
        "identity": Effect(
            "are treated as if the strategy's file had gone away and another had come", "stay with the old name"
        ),
    }
)
"""Word → meaning."""
