"""Frames and field texts."""

from __future__ import annotations

import struct
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.gateway import versions, wire
from runner.gateway.decode import FieldReader, checked

texts = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)
numbers = st.decimals(-(10**12), 10**12, places=6)


@settings(max_examples=100)
@given(st.lists(texts.filter(str.isascii), min_size=1, max_size=8).filter(lambda fields: fields[-1] != ""))
def test_a_frame_is_its_length_and_fields_each_ended_by_nul(fields: list[str]) -> None:
    data = wire.frame(fields)
    assert struct.unpack(">I", data[:4])[0] == len(data) - 4
    assert data[4:] == "".join(field + "\0" for field in fields).encode()
    assert wire.fields_of(data[4:]) == fields


@settings(max_examples=100)
@given(texts)
def test_only_ascii_leaves_and_the_escape_can_be_read_back(text: str) -> None:
    data = wire.frame((wire.prose(text),))
    back = data[4:-1].decode("ascii").encode().decode("unicode-escape")
    assert back.encode("utf-16-be", "surrogatepass") == text.encode("utf-16-be")


@pytest.mark.parametrize(
    ("value", "number", "point", "whole"),
    [
        ("10", "10", "10.0", "10"),
        ("10.0", "10", "10.0", "10"),
        ("1E+3", "1000", "1000.0", "1000"),
        ("0.00005", "0.00005", "0.00005", "0"),
        ("-0.00", "0", "0.0", "0"),
        ("100.5", "100.5", "100.5", "100"),
        ("-2.50", "-2.5", "-2.5", "-2"),
    ],
)
def test_numbers_have_no_exponent_and_no_idle_zeros(value: str, number: str, point: str, whole: str) -> None:
    of = Decimal(value)
    assert (wire.number(of), wire.decimal_point(of), wire.whole(of)) == (number, point, whole)


@settings(max_examples=100)
@given(numbers)
def test_a_number_comes_back_as_it_went(value: Decimal) -> None:
    assert wire.to_decimal(wire.number(value)) == value
    int(wire.whole(value))


@pytest.mark.parametrize("text", ["", "1.7976931348623157E308", "1.7976931348623157e+308"])
def test_unset_doubles_are_none(text: str) -> None:
    assert wire.to_decimal(text) is None
    assert checked(text, "d") == ""


@pytest.mark.parametrize("text", ["abc", "nan", "inf", "1_000", "٣", "1e99999", "--1", "0x10"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(wire.BadField):
        wire.to_decimal(text)
    with pytest.raises(wire.BadField):
        wire.to_int(text)


def test_integers_are_32_bits_and_may_carry_a_point() -> None:
    assert wire.to_int("10.0") == 10
    assert wire.to_int("2147483647", -1) == -1
    for text in ("2147483648", "-2147483649", "1.5"):
        with pytest.raises(wire.BadField):
            wire.to_int(text)


def test_a_request_that_is_too_short_or_too_long_is_refused() -> None:
    reader = FieldReader(["1", "2"])
    assert reader.integer() == 2
    with pytest.raises(wire.BadField):
        reader.text()
    with pytest.raises(wire.BadField):
        FieldReader(["1", "2", "3"], 2).finish()


@pytest.mark.parametrize(
    ("low", "high", "version"),
    [(157, 178, 178), (157, 176, 176), (100, 157, 157), (100, 225, 178), (100, 156, None), (179, 225, None),
     (157, 158, 157), (158, 158, None)],
)  # fmt: skip
def test_the_version_is_the_highest_both_know_and_never_158(low: int, high: int, version: int | None) -> None:
    assert versions.negotiate(low, high) == version
