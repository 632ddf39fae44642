"""The weights of a strategy: M401."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from runner.base_params import BaseParams
from runner.spec.load import Node
from runner.spec.problems import KeyPath, Problem, Related, error

_WEIGHTS = ("min_weight", "target_weight", "max_weight")


def check_weights(root: Node, said: Mapping[str, Any], problems: list[Problem]) -> bool:
    """M401: min_weight ≤ target_weight ≤ max_weight, defaults included. True when the rule is broken."""
    defaults = {f.name: f.default for f in fields(BaseParams)}
    values = {name: said.get(name, defaults[name]) for name in _WEIGHTS}
    broken = False
    for low, high in (("min_weight", "target_weight"), ("target_weight", "max_weight")):
        if values[low] <= values[high]:
            continue
        broken = True
        blamed, other = (low, high) if low in said else (high, low)
        path: KeyPath = ("params", blamed)
        relation = "above" if blamed == low else "below"
        message = f"{blamed} {values[blamed]:g} is {relation} {other} {values[other]:g}"
        related: tuple[Related, ...] = ()
        hint = f"{other} is {values[other]:g} when it is not set"
        if other in said:
            related, hint = (Related(f"{other} is set here", root.locate(("params", other))),), ""
        problems.append(error("M401", message, root.locate(path), path=path, hint=hint, related=related))
    return broken
