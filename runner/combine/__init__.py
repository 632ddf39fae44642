"""Combiners: the scores of several signals in, one score out. One file a block; the table is the list of them."""

from __future__ import annotations

from runner.blocks import CombineBlock
from runner.combine.all_of import AllOf
from runner.combine.any_of import AnyOf
from runner.combine.first import First
from runner.combine.weighted import Weighted

COMBINES: tuple[type[CombineBlock], ...] = (AllOf, AnyOf, First, Weighted)
