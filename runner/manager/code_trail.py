"""Which code stands behind a strategy, on the record: the same file can mean something else with other code."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

from runner import plugins
from runner.blocks import Kind
from runner.model.clock import Clock
from runner.model.events import Event, Notice
from runner.plugins import Fingerprint
from runner.spec.spec import StrategySpec
from runner.store.journal import Journal

SHOWN_DIGITS = 12
"""Of a fingerprint, in a sentence; the whole of it is in the journal and in `status --json`."""

log = logging.getLogger("runner.manager")


def code_of(spec: StrategySpec) -> tuple[Fingerprint, ...]:
    """Of every plugged-in block and hook that the strategy uses, as it was imported."""
    return tuple(dict.fromkeys(plugins.fingerprint(kind, reference) for kind, reference in _used(spec)))


def edited_code_of(spec: StrategySpec) -> tuple[str, ...]:
    """References of those of which the code on disk is not what was imported."""
    return tuple(dict.fromkeys(reference for kind, reference in _used(spec) if plugins.is_edited(kind, reference)))


def _used(spec: StrategySpec) -> list[tuple[Kind | None, str]]:
    return [*spec.plugged_in, *((None, reference) for reference in spec.hooks.values())]


def note_code(spec: StrategySpec, journal: Journal, clock: Clock, publish: Callable[[Event], None]) -> bool:
    """Puts the code that a strategy starts with into the trail of events. True when the same file ran other code at its
    last start."""
    code = code_of(spec)
    key = f"code:{spec.name}"
    before: dict[str, Any] = json.loads(journal.meta(key) or "{}")
    now = {"spec": spec.spec_hash, "code": [list(astuple(one)) for one in code]}
    if now != before:
        journal.put_meta(key, json.dumps(now))
    if not code:
        return False
    changed = before.get("spec") == spec.spec_hash and before.get("code") != now["code"]
    shown = ", ".join(f"{one.reference} {one.version or '-'} sha256:{one.sha256[:SHOWN_DIGITS] or '-'}" for one in code)
    text = f"same file, different code than at the last start: {shown}" if changed else f"runs {shown}"
    publish(Notice(at=clock.now(), strategy=spec.name, code="code_changed" if changed else "code", text=text))
    log.log(logging.WARNING if changed else logging.INFO, "%s: %s", spec.name, text)
    return changed
