"""What a strategy's row in general/strategies says of the file that was applied."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner.spec.spec import StrategySpec
from runner.store.strategies import MANAGED_BY, StrategyRow


def row_of(spec: StrategySpec, known: StrategyRow, root: Path, *, generation: int) -> StrategyRow:
    """What the row says once the file is applied as that generation. What a file does not say, such as `equity`, is
    kept."""
    file = spec.file.resolve()
    relative = file.relative_to(root.resolve()) if file.is_relative_to(root.resolve()) else file
    return known.saying(
        filename=str(relative),
        enabled=spec.enabled,
        min_weight=spec.params.min_weight,
        target_weight=spec.params.target_weight,
        max_weight=spec.params.max_weight,
        params=json.dumps(stored_params(spec), sort_keys=True),
        managed_by=MANAGED_BY,
        file=str(relative),
        generation=generation,
        state="",
        spec_hash=spec.spec_hash,
        base=json.dumps(dict(spec.document), sort_keys=True, default=str),
    )


def stored_params(spec: StrategySpec) -> dict[str, Any]:
    """What the column `params` says of a file."""
    return {**asdict(spec.params), "universe": spec.universe.text}
