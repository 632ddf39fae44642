"""What became of a strategy's versions, read from the journal alone: with a running runner or without."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from runner.errors import UnknownName
from runner.manager.reload.files import leaves
from runner.spec.changes import shown
from runner.spec.problems import closest
from runner.store.codec import time_text
from runner.store.generations import Generation, GenerationState
from runner.store.journal import Journal

MAX_HISTORY = 10_000


def history_view(journal: Journal, name: str, *, limit: int) -> dict[str, Any]:
    """The last versions, newest first."""
    found = journal.generations.history(name, limit)
    if not found:
        raise _unknown(journal, name)
    running, removed = journal.generations.running(name), journal.generations.is_removed(name)
    return {
        "strategy": name,
        "running": None if running is None or removed else running.generation,
        "removed": removed,
        "generations": [generation_row(one) for one in found],
    }


def generation_row(generation: Generation) -> dict[str, Any]:
    """One version as plain data."""
    return {
        "generation": generation.generation,
        "state": generation.state.value,
        "seen_at": None if generation.seen_at is None else time_text(generation.seen_at),
        "state_at": None if generation.state_at is None else time_text(generation.state_at),
        "file": generation.file,
        "spec_hash": generation.spec_hash,
        "cause": generation.cause,
        "actor": generation.actor,
        "reason": generation.reason,
        "apply": generation.apply,
        "direction": generation.direction,
        "changes": list(generation.changes),
        "text": generation.text,
    }


def diff_view(journal: Journal, name: str, old: int, new: int) -> dict[str, Any]:
    """What two versions say differently: by field, and as text."""
    before, after = version_of(journal, name, old), version_of(journal, name, new)
    fields = _leaves(before), _leaves(after)
    changed = [
        {"path": path, "old": fields[0].get(path), "new": fields[1].get(path)}
        for path in dict.fromkeys([*fields[1], *fields[0]])
        if fields[0].get(path) != fields[1].get(path)
    ]
    text = difflib.unified_diff(
        before.source.splitlines(), after.source.splitlines(), f"{name}@{old}", f"{name}@{new}", lineterm=""
    )
    return {"strategy": name, "old": old, "new": new, "changes": changed, "text": "\n".join(text)}


def blame_view(journal: Journal, name: str, field: str) -> dict[str, Any]:
    """Which versions changed a field, oldest first; the last of them made it what it is."""
    applied = [
        one for one in reversed(journal.generations.history(name, MAX_HISTORY)) if one.state is GenerationState.APPLIED
    ]
    if not applied:
        raise _unknown(journal, name)
    rows: list[dict[str, Any]] = []
    value: Any = None
    for one in applied:
        now = _value(one, field)
        if now != value or not rows:
            rows.append(generation_row(one) | {"old": value, "new": now})
        value = now
    if all(row["new"] is None for row in rows):
        known = sorted({path for one in applied for path in _leaves(one)})
        close = closest(field, known)
        hint = f"did you mean {close}?" if close else f"they say: {', '.join(known)}"
        raise UnknownName(f"no version of {name} says anything about {field}", hint=hint)
    return {"strategy": name, "field": field, "value": value, "shown": shown(value), "changes": rows}


def version_of(journal: Journal, name: str, generation: int) -> Generation:
    """A version by its number; UnknownName when there is none."""
    found = journal.generations.get(name, generation)
    if found is None:
        newest = journal.generations.newest(name)
        if newest is None:
            raise _unknown(journal, name)
        raise UnknownName(
            f"there is no generation {generation} of {name} (the newest is {newest.generation})",
            hint=f"runner history {name}",
        )
    return found


def _unknown(journal: Journal, name: str) -> UnknownName:
    known = journal.generations.strategies()
    close = closest(name, known)
    return UnknownName(
        f"no version of a strategy called {name!r} was ever seen (known: {', '.join(known) or 'none'})",
        hint=f"did you mean {close}?" if close else "",
    )


def _leaves(generation: Generation) -> dict[str, Any]:
    return leaves(json.loads(generation.document)) if generation.document else {}


def _value(generation: Generation, field: str) -> Any:
    """The value of a field, a section as a whole."""
    here: Any = json.loads(generation.document) if generation.document else {}
    for part in field.split("."):
        here = here.get(part) if isinstance(here, Mapping) else None
    return here
