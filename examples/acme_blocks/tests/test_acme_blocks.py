"""The blocks keep their promises, and do what they say."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from acme_blocks.below_average import BelowAverage
from acme_blocks.capped_equal_weight import CappedEqualWeight
from acme_blocks.hooks import CHAT_FILE, post_to_chat, sector_cap
from acme_blocks.majority import Majority
from acme_blocks.momentum import SkipMonthMomentum

from runner.base_params import BaseParams
from runner.blocks import Kind
from runner.model.panel import Panel
from runner.trial import broken_promises


@pytest.mark.parametrize(
    ("kind", "block"),
    [
        (Kind.SIGNAL, SkipMonthMomentum(months=2, skip=1, top=0.5)),
        (Kind.SIGNAL, SkipMonthMomentum(months=1, skip=0, top=1.0)),
        (Kind.COMBINE, Majority(share=0.5)),
        (Kind.SIZING, CappedEqualWeight(cap=0.25)),
        (Kind.EXIT, BelowAverage(window=20)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_block_keeps_its_promises(kind: Kind, block: Any) -> None:
    assert broken_promises(kind, block) == ()


def panel(*columns: list[float]) -> Panel:
    """Bars that stand still at these closes, one list for each instrument."""
    close = np.array(columns, dtype=np.float64).T
    times = np.arange(len(close)).astype("datetime64[D]").astype("datetime64[ns]")
    symbols = tuple("ABCDEFGH"[: close.shape[1]])
    return Panel(
        symbols=symbols, times=times, open=close, high=close, low=close, close=close, volume=np.ones_like(close)
    )


def test_the_strongest_are_held_and_the_latest_month_does_not_count() -> None:
    month, other = [100.0] * 21, [110.0] * 21
    rose_early = [*month, *other, 110.0]
    rose_late = [*month, *month, 200.0]
    scores = SkipMonthMomentum(months=2, skip=1, top=0.5).compute(panel(rose_late, rose_early))
    assert scores[-1].tolist() == [0.0, 1.0]
    assert np.isnan(scores[:-1]).all()


@pytest.mark.parametrize(("top", "held"), [(0.1, 1), (0.25, 1), (0.26, 2), (0.5, 2), (1.0, 4)])
def test_top_is_a_part_of_the_universe_and_one_at_least(top: float, held: int) -> None:
    prices = [[100.0] * 21 + [101.0 + i] for i in range(4)]
    assert SkipMonthMomentum(months=1, skip=0, top=top).compute(panel(*prices))[-1].sum() == held


def test_a_month_cannot_be_skipped_beyond_the_start() -> None:
    with pytest.raises(ValueError, match="skip 3 must be below months 3"):
        SkipMonthMomentum(months=3, skip=3)


@pytest.mark.parametrize(
    ("votes", "share", "score"),
    [((1, 1, 0), 0.5, 1), ((1, 0, 0), 0.5, 0), ((-1, -1, 1), 0.5, -1), ((1, 1, 0), 0.7, 0), ((1, -1, 0), 0.5, 0)],
)
def test_the_majority_decides(votes: tuple[float, ...], share: float, score: float) -> None:
    scores = {str(i): np.array([[float(vote)]]) for i, vote in enumerate(votes)}
    assert Majority(share=share).compute(scores)[0, 0] == score


def test_weights_are_equal_and_capped() -> None:
    scores = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, np.nan]])
    weights = CappedEqualWeight(cap=0.4).compute(panel([1.0] * 3, [1.0] * 3, [1.0] * 3), scores, BaseParams())
    np.testing.assert_allclose(weights, [[0.4, -0.4, 0.0], [1 / 3] * 3, [0.4, 0.0, np.nan]])


def test_a_long_is_left_below_the_average_and_a_short_above_it() -> None:
    long, short = BelowAverage(window=3).compute(panel([10.0, 10.0, 10.0, 13.0, 10.0]))
    assert long[:, 0].tolist() == [False, False, False, False, True]
    assert short[:, 0].tolist() == [False, False, False, True, False]


@dataclass
class Context:
    """What a hook is told, as far as these read it."""

    equity: Decimal = Decimal(1000)
    prices: dict[str, Decimal] = field(default_factory=lambda: {"A": Decimal(10), "B": Decimal(20), "C": Decimal(5)})
    hook_params: dict[str, Any] = field(
        default_factory=lambda: {"sector_cap": 0.5, "sectors": {"A": "x", "B": "x", "C": "y"}}
    )


def test_a_sector_is_cut_to_its_cap_in_whole_units_and_the_others_are_left_alone() -> None:
    targets = {"A": Decimal(40), "B": Decimal(-30), "C": Decimal(7)}
    assert sector_cap(Context(), targets) == {"A": Decimal(20), "B": Decimal(-15), "C": Decimal(7)}
    assert sector_cap(Context(), {"A": Decimal(7), "B": Decimal(0)}) == {"A": Decimal(7), "B": Decimal(0)}
    assert sector_cap(Context(), {"NEW": Decimal(3)}) == {"NEW": Decimal(3)}


def test_a_fill_is_told_when_there_is_somebody_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = SimpleNamespace(
        strategy="S",
        side=SimpleNamespace(value="BUY"),
        quantity=Decimal(3),
        instrument=SimpleNamespace(symbol="A"),
        price=Decimal("9.5"),
    )
    monkeypatch.delenv(CHAT_FILE, raising=False)
    post_to_chat(fill)
    monkeypatch.setenv(CHAT_FILE, str(tmp_path / "chat"))
    post_to_chat(fill)
    post_to_chat(fill)
    assert (tmp_path / "chat").read_text() == "S: BUY 3 A at 9.5\n" * 2
