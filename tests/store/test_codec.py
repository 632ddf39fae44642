"""Events survive the way through JSON, and their keys stay what they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.model.events import Event
from runner.store.codec import EVENT_TYPES, decimal_text, event_from_json, event_to_json

MONEY = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=10)
TIMES = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))

st.register_type_strategy(Decimal, MONEY)
st.register_type_strategy(datetime, TIMES)


@given(st.from_type(Event))
@settings(max_examples=120, deadline=None, derandomize=True)
def test_every_event_comes_back_equal_from_json_text(event: Event) -> None:
    data = json.loads(json.dumps(event_to_json(event, 7)))
    assert list(data)[:4] == ["seq", "type", "ts", "strategy"]
    assert data["type"] in EVENT_TYPES and data["seq"] == 7
    assert event_from_json(data) == event


def test_the_keys_of_a_fill_are_stable(facts) -> None:
    data = event_to_json(facts.filled("0000e0d5.69dd7411.01.01"), 3)
    instrument = data.pop("instrument")
    assert data == {
        "seq": 3, "type": "fill", "ts": "2024-03-01T15:30:00.123456Z", "strategy": "trend", "order_ref": "r1",
        "account": "DU1", "exec_id": "0000e0d5.69dd7411.01.01", "side": "BUY", "quantity": "10", "price": "181.5",
        "perm_id": 0, "order_id": 0, "client_id": 0, "exchange": "", "source": "wire",
        "generation": 0,
    }  # fmt: skip
    assert instrument["con_id"] == 265598 and instrument["multiplier"] == "1"


def test_a_fill_from_before_generations_were_kept_is_read_as_of_none(facts) -> None:
    data = event_to_json(facts.filled("0000e0d5.69dd7411.01.01"), 3)
    assert event_from_json(data | {"generation": 7}).generation == 7
    del data["generation"]
    assert event_from_json(data).generation == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [("1E+2", "100"), ("0.10", "0.10"), ("1E-8", "0.00000001"), ("-0E-60", "0"), ("0E+90", "0"), ("-12.5", "-12.5")],
)
def test_amounts_are_written_without_exponents(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+60", "1.7976931348623157E+308", "1E-60"])
def test_what_is_not_an_amount_is_refused(value: str) -> None:
    with pytest.raises(ValueError):
        decimal_text(Decimal(value))


def test_a_naive_time_is_refused(facts) -> None:
    with pytest.raises(ValueError, match="time zone"):
        event_to_json(facts.filled("a.1", at=datetime(2024, 1, 1)))


@pytest.mark.parametrize(
    "damage", [{"type": "nonsense"}, {"quantity": None}, {"side": "HOLD"}, {"ts": "yesterday"}, {"price": "x"}]
)
def test_json_that_is_not_an_event_is_refused_with_valueerror(facts, damage: dict) -> None:
    with pytest.raises(ValueError):
        event_from_json(event_to_json(facts.filled("a.1")) | damage)


def test_a_missing_key_is_named(facts) -> None:
    data = event_to_json(facts.filled("a.1"))
    del data["price"]
    with pytest.raises(ValueError, match="'price'"):
        event_from_json(data)
