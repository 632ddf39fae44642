"""From a good file to a typed strategy."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.exits.chandelier import Chandelier
from runner.model.bars import BarSize
from runner.model.instruments import InstrumentQuery, SecType
from runner.spec.build import spec_hash
from runner.spec.deployment import Deployment
from runner.spec.folder import Loaded, load_file, load_text
from runner.spec.render import render_text
from runner.spec.schema import meta_keys, strategy_schema
from runner.spec.spec import EvaluateOn, ExecutionStyle, OnRemove, StrategySpec
from runner.spec.times import TimeRef

VALID = Path(__file__).resolve().parents[1] / "specs" / "valid"
SMALL = {
    "spec": 1,
    "name": "A",
    "universe": "AAPL",
    "bars": {"size": "1 day"},
    "signals": {"trend": {"use": "sma_cross"}},
    "sizing": {"use": "equal_weight"},
}


def load(**changes: Any) -> Loaded:
    return load_text(yaml.safe_dump(SMALL | changes, sort_keys=False), path=Path("a.yaml"))


def spec_of(loaded: Loaded) -> StrategySpec:
    assert loaded.spec is not None, render_text(loaded.problems, loaded.sources)
    return loaded.spec


def test_what_is_not_said_has_its_default() -> None:
    spec = spec_of(load())
    assert spec.enabled and spec.on_remove is OnRemove.HOLD
    assert spec.combine.name == "first"
    assert spec.bars.history == spec.warmup == 50
    assert spec.params.target_weight == 0.10 and spec.params.universe == "AAPL"
    assert spec.execution.order is ExecutionStyle.MARKET
    assert spec.schedule.on is EvaluateOn.BAR and spec.schedule.calendar is None
    assert dict(spec.hooks) == {} and dict(spec.exits) == {}


def test_every_key_reaches_its_field() -> None:
    spec = spec_of(load_file(VALID / "forms.yaml", root=VALID))
    assert spec.bars.size is BarSize.MIN_5 and spec.bars.history == 400
    assert list(spec.signals) == ["stretch", "calm"] and spec.combine.name == "weighted"
    assert spec.schedule.every == timedelta(minutes=15)
    assert spec.schedule.window == (time(9, 10), time(17, 20))
    assert spec.schedule.flatten_at == TimeRef("clock", clock=time(17, 25))
    assert spec.execution.limit_offset_bps == 5.0 and spec.on_remove is OnRemove.FLATTEN
    assert spec.params.take_profit == 0.02 and spec.tags == ("intraday", "eur")
    assert spec.exits == {"hang": Chandelier(mult=2.5), "tight": Chandelier(window=5, mult=4.0)}
    by_symbol = {query.symbol: query for query in spec.universe.instruments}
    assert list(by_symbol) == ["BNP", "DBK", "ON", "NO", "0700", "005930", "EUR", "ES", "BRK B"]
    assert by_symbol["BNP"] == InstrumentQuery(symbol="BNP", exchange="SBF", currency="EUR")
    assert by_symbol["DBK"].primary_exchange == "IBIS"
    assert by_symbol["ES"].sec_type is SecType.FUTURE and by_symbol["ES"].expiry == "202606"
    assert by_symbol["EUR"].sec_type is SecType.FOREX


@pytest.mark.parametrize(
    ("universe", "symbols", "library"),
    [
        ("AAPL", ["AAPL"], None),
        ("AAPL, MSFT", ["AAPL", "MSFT"], None),
        ("BRK B,BF.B", ["BRK B", "BF.B"], None),
        (["AAPL", {"symbol": "MSFT"}], ["AAPL", "MSFT"], None),
        ({"symbols": "AAPL, IBM"}, ["AAPL", "IBM"], None),
        ({"symbols": ["AAPL"]}, ["AAPL"], None),
        ({"library": "us_stocks"}, [], "us_stocks"),
        ("us_stocks", [], "us_stocks"),
    ],
)
def test_the_universe_has_many_forms(universe: Any, symbols: list[str], library: str | None) -> None:
    loaded = load(universe=universe)
    found = spec_of(loaded).universe
    assert [query.symbol for query in found.instruments] == symbols
    assert found.library == library
    assert found.text == (library or ",".join(symbols))
    assert [p.code for p in loaded.problems] == (["W302"] if universe == "us_stocks" else [])


def test_a_currency_pair_trades_on_idealpro() -> None:
    loaded = load(universe=[{"symbol": "EUR", "sec_type": "CASH"}])
    assert spec_of(loaded).universe.instruments[0].exchange == "IDEALPRO"


def test_the_hash_is_of_what_the_file_means() -> None:
    text = yaml.safe_dump(SMALL, sort_keys=False)
    spec = spec_of(load())

    def hash_of(changed: str) -> str:
        return spec_of(load_text(changed, path=Path("b.yaml"))).spec_hash

    assert hash_of("# a comment\n" + text) == spec.spec_hash
    assert hash_of(yaml.safe_dump(dict(reversed(SMALL.items())), sort_keys=False)) == spec.spec_hash
    assert hash_of(text.replace("AAPL", "IBM")) != spec.spec_hash
    two = {"a": {"use": "sma_cross"}, "b": {"use": "rsi"}}
    swapped = {"b": two["b"], "a": two["a"]}
    combine = {"use": "first"}
    assert (
        spec_of(load(signals=two, combine=combine)).spec_hash
        != spec_of(load(signals=swapped, combine=combine)).spec_hash
    )


def test_what_counts_for_the_hash_follows_from_the_schema() -> None:
    schema = strategy_schema()["properties"]
    assert meta_keys() == {key for key, field in schema.items() if field.get("x-runner", {}).get("apply") == "meta"}
    assert {"description", "owner", "tags", "tests"} <= meta_keys() and not {"params", "on_remove"} & meta_keys()
    document = {"name": "A", "signals": {"a": 1}, "params": {}}
    for key in schema:
        changed = spec_hash({**document, key: {"other": 1} if key == "signals" else "other"})
        assert (changed == spec_hash(document)) == (key in meta_keys()), key


def test_no_field_inside_a_section_that_counts_is_left_out_of_the_hash() -> None:
    def inner(schema: Any) -> list[str]:
        if not isinstance(schema, dict):
            return []
        below = [*schema.get("properties", {}).values(), schema.get("additionalProperties"), schema.get("items")]
        below += [case["then"] for case in schema.get("allOf", ())]
        own = [schema["x-runner"].get("apply", "")] if "x-runner" in schema else []
        return own + [mark for field in below for mark in inner(field)]

    for key, field in strategy_schema()["properties"].items():
        assert key in meta_keys() or "meta" not in inner(field), key


def test_warnings_leave_a_file_usable() -> None:
    loaded = load(name="NULL", execution={"limit_offset_bps": 3})
    assert loaded.spec is not None
    loaded = load_text(yaml.safe_dump(SMALL).replace("name: A", "name: NULL"), path=Path("a.yaml"))
    assert spec_of(loaded).name == "NULL"
    assert [problem.code for problem in loaded.problems] == ["W301"]


def test_a_mistake_in_one_section_hides_none_in_another() -> None:
    loaded = load(
        bars={"size": "1 day", "history": 10},
        params={"stop_loss": "5%", "target_weight": 0.5, "max_weight": 0.2},
        schedule={"window": ["10:00", "09:00"]},
        universe=["AAPL", "AAPL"],
    )
    assert {problem.code for problem in loaded.problems} == {"M402", "S203", "M405", "M407", "M408"}


def test_hooks_need_an_allowed_package_when_that_is_known() -> None:
    hooks = {"on_fill": "acme.hooks:post"}
    assert spec_of(load(hooks=hooks)).hooks == hooks
    text = yaml.safe_dump(SMALL | {"hooks": hooks})
    refused = load_text(text, path=Path("a.yaml"), deployment=Deployment(allowed_packages={"other"}))
    assert [problem.code for problem in refused.problems] == ["C503"] and refused.spec is None
    assert load_text(text, path=Path("a.yaml"), deployment=Deployment(allowed_packages={"acme"})).spec is not None
