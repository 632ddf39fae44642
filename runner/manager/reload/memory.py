"""What is known of a strategy beside its file and its versions: kept in the journal over a restart."""

from __future__ import annotations

import json
from typing import Any

from runner.manager.reload.track import Approval, Ended, Track
from runner.store.journal import Journal


def _key(name: str) -> str:
    return f"reload:{name}"


def save(journal: Journal, track: Track) -> None:
    """Written before anything that builds on it, and at the end of each turn; only when it has changed."""
    said: dict[str, Any] = {
        "superseded": track.superseded,
        "rejected": track.rejected,
        "conflicts": list(track.conflicts),
        "ended": None if track.ended is None else [track.ended.spec_hash, *sorted(track.ended.paths)],
        "approval": None if track.approval is None else [track.approval.generation, track.approval.at_once],
        "trial": None if track.trial is None else 0 if track.trial.before is None else track.trial.before.generation,
    }
    text = json.dumps({key: value for key, value in said.items() if value or value == 0})
    if text != track.kept:
        track.kept = text
        journal.set_meta(_key(track.name), text)


def recall(journal: Journal, track: Track) -> int | None:
    """Fills a new track. The generation that ran before the one that was on trial, 0 for none before it; None when none
    was on trial."""
    text = journal.meta(_key(track.name)) or "{}"
    said = json.loads(text)
    track.kept = text
    track.superseded, track.rejected = said.get("superseded", ""), said.get("rejected", "")
    track.conflicts = tuple(said.get("conflicts", ()))
    if "ended" in said:
        spec_hash, *paths = said["ended"]
        track.ended = Ended(spec_hash=spec_hash, paths=frozenset(paths))
    if "approval" in said:
        generation, at_once = said["approval"]
        track.approval = Approval(generation=generation, at_once=at_once)
    trial: int | None = said.get("trial")
    return trial
