"""A block that is fine as long as nobody shows it data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import LONG, Kind, Sides, check_fields, param
from runner.catalog import BUILT_IN, Catalog
from runner.model.panel import FloatArray, Panel


@dataclass(frozen=True, slots=True, kw_only=True)
class Touchy:
    """Long, unless a price is as low as `below`: then it divides by nothing."""

    name: ClassVar[str] = "touchy"
    example: ClassVar[Mapping[str, Any]] = {"below": 60.0}

    below: float = param(0.0, "price that it cannot bear", minimum=0)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def sides(self) -> Sides:
        return LONG

    @property
    def warmup(self) -> int:
        return 1

    def compute(self, panel: Panel) -> FloatArray:
        if float(np.nanmin(panel.close)) < self.below:
            raise ZeroDivisionError("float division by zero")
        return np.ones_like(panel.close)


def with_touchy_block() -> Catalog:
    """Our blocks and this one."""
    tables = dict(BUILT_IN.tables)
    tables[Kind.SIGNAL] = {**tables[Kind.SIGNAL], "touchy": Touchy}
    return Catalog(tables)
