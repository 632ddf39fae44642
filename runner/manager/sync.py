"""Brings general/strategies up to date with the files: one row per YAML strategy, one write for all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from runner.errors import ConfigError
from runner.spec.spec import StrategySpec
from runner.store.strategies import MANAGED_BY, StrategyRow, StrategyTable


def sync_rows(table: StrategyTable, specs: Sequence[StrategySpec], root: Path) -> list[StrategyRow]:
    """Writes the rows of these specs and returns them. A changed file gets the next generation.

    Rows of hand-written strategies are never touched: a spec with the name of one is refused with ConfigError, and
    nothing is written.
    """
    rows = []
    for spec in specs:
        known = table.get(spec.name)
        if known is not None and known.hand_written:
            raise ConfigError(
                f"{spec.file.name}: {spec.name} is already a hand-written strategy ({known.filename})",
                hint="give one of them another name",
            )
        rows.append(row_of(spec, known or StrategyRow(strategy=spec.name), root))
    table.upsert(rows)
    return rows


def row_of(spec: StrategySpec, known: StrategyRow, root: Path, *, generation: int | None = None) -> StrategyRow:
    """What the row says once the file is applied as that generation; by itself, the next one when the file has changed.

    What a file does not say, such as `equity`, is kept.
    """
    params = {**asdict(spec.params), "universe": spec.universe.text}
    if generation is None:
        generation = known.generation + (known.spec_hash != spec.spec_hash)
    file = spec.file.resolve()
    relative = file.relative_to(root.resolve()) if file.is_relative_to(root.resolve()) else file
    return replace(
        known,
        filename=str(relative),
        enabled=spec.enabled,
        min_weight=spec.params.min_weight,
        target_weight=spec.params.target_weight,
        max_weight=spec.params.max_weight,
        params=json.dumps(params, sort_keys=True),
        managed_by=MANAGED_BY,
        file=str(relative),
        generation=generation,
        state="",
        spec_hash=spec.spec_hash,
        base=json.dumps(dict(spec.document), sort_keys=True, default=str),
    )
