"""The universe against calendar and currency: W316, W317 and W320."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import time

from runner.model.instruments import InstrumentQuery, SecType
from runner.model.sessions import CALENDAR_OF_EXCHANGE
from runner.spec.calendars import HOURS, own_name
from runner.spec.load import Node
from runner.spec.problems import KeyPath, Problem, Related, dotted, warning
from runner.spec.spec import BarsSpec, ScheduleSpec, UniverseSpec
from runner.spec.times import TimeRef

_HOME = {
    "USD": {"XNYS"}, "CAD": {"XTSE"}, "GBP": {"XLON"}, "CHF": {"XSWX"}, "JPY": {"XTKS"}, "HKD": {"XHKG"},
    "AUD": {"XASX"}, "SEK": {"XSTO"}, "NOK": {"XOSL"}, "DKK": {"XCSE"}, "SGD": {"XSES"}, "PLN": {"XWAR"},
    "EUR": {"XETR", "XFRA", "XPAR", "XAMS", "XBRU", "XMIL", "XMAD", "XHEL", "XLIS", "XWBO", "XDUB"},
}  # fmt: skip
"""Currency of a stock that SMART routes → the calendars of where it can be at home."""

RATE_CURRENCIES = frozenset({
    "AED", "AUD", "CAD", "CHF", "CNH", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "KRW", "MXN",
    "NOK", "NZD", "PLN", "RON", "SAR", "SEK", "SGD", "TRY", "USD", "ZAR",
})  # fmt: skip
"""Currencies of which IB quotes a pair with the dollar. Source: IB's list of currency pairs on IDEALPRO."""
MAX_NAMED = 5


def check_calendar(root: Node, universe: UniverseSpec, schedule: ScheduleSpec, problems: list[Problem]) -> None:
    """W316: the schedule's calendar should be that of where at least one of the instruments trades."""
    if schedule.calendar is None:
        return
    chosen = own_name(schedule.calendar)
    elsewhere: dict[str, set[str]] = {}
    for query in universe.instruments or ((universe.defaults,) if universe.library else ()):
        home = _calendars_of(query)
        if chosen in home:
            return
        if home:
            elsewhere[query.symbol or f"library {universe.library}"] = home
    if not elsewhere:
        return
    path: KeyPath = ("schedule", "calendar")
    calendars = sorted(set().union(*elsewhere.values()))
    message = f"schedule.calendar is {schedule.calendar}, but {named(elsewhere)} trade by {_either(calendars)}"
    if len(elsewhere) == 1:
        message = message.replace(" trade by ", " trades by ")
    hint = "decisions would fall on the other market's holidays and hours; " + (
        f"set calendar: {calendars[0]}" if len(calendars) == 1 else "set the calendar of their exchange"
    )
    related = (Related("the universe is here", root.locate(("universe",))),)
    problems.append(warning("W316", message, root.locate(path), path=path, hint=hint, related=related))


def _calendars_of(query: InstrumentQuery) -> set[str]:
    """Where the instrument can trade; empty when nothing is known."""
    for exchange in (query.primary_exchange, query.exchange):
        if exchange and exchange != "SMART" and exchange in CALENDAR_OF_EXCHANGE:
            return {own_name(CALENDAR_OF_EXCHANGE[exchange])}
    if query.exchange == "SMART" and query.sec_type is SecType.STOCK:
        return _HOME.get(query.currency, set())
    return set()


def check_hours(root: Node, bars: BarsSpec, schedule: ScheduleSpec, problems: list[Problem]) -> None:
    """W317: a time of day should be in the regular session, unless the bars are of all hours."""
    if schedule.calendar is None or not bars.regular_hours:
        return
    hours = HOURS[own_name(schedule.calendar)]
    moments: list[tuple[KeyPath, time, str]] = []
    for name, ref in (("evaluate", schedule.evaluate), ("flatten_at", schedule.flatten_at)):
        if isinstance(ref, TimeRef) and ref.clock is not None:
            moments.append((("schedule", name), ref.clock, f"schedule.{name} {ref} is"))
    if schedule.window is not None:
        for i, (at, end) in enumerate(zip(schedule.window, ("begins", "ends"), strict=True)):
            moments.append((("schedule", "window", i), at, f"schedule.window {end} at {at:%H:%M},"))
    for path, at, label in moments:
        if not hours.contains(at) and not any(problem.path == dotted(path) for problem in problems):
            message = f"{label} outside the session of {schedule.calendar}"
            hint = f"it is open from {hours.opens} to {hours.closes} on the clock of {hours.zone}"
            problems.append(warning("W317", message, root.locate(path), path=path, hint=hint))


def check_currencies(root: Node, universe: UniverseSpec, base: str | None, problems: list[Problem]) -> None:
    """W320: without an exchange rate nothing is sized and nothing is sent."""
    lost: dict[str, list[str]] = {}
    for query in universe.instruments or ((universe.defaults,) if universe.library else ()):
        if query.currency != base and query.currency not in RATE_CURRENCIES:
            lost.setdefault(query.currency, []).append(query.symbol or f"library {universe.library}")
    for currency, symbols in lost.items():
        place = _place_of(root, currency)
        message = f"there is no source for a rate of {currency}, the currency of {named(symbols)}"
        hint = "IB quotes no pair of it with the dollar; the account must hold some, or the strategy will not start"
        problems.append(warning("W320", message, root.locate(place), path=place, hint=hint))


def _place_of(root: Node, currency: str) -> KeyPath:
    """Where the currency is written first."""
    if (node := root.find(("universe", "defaults", "currency"))) is not None and node.value == currency:
        return ("universe", "defaults", "currency")
    for path in (("universe", "symbols"), ("universe",)):
        listed = root.find(path)
        for i, item in enumerate(listed.value if listed is not None and listed.is_list else ()):
            node = item.child("currency") if item.is_mapping else None
            if node is not None and node.value == currency:
                return (*path, i, "currency")
    return ("universe",)


def named(symbols: Iterable[str] | Mapping[str, object]) -> str:
    """Some names in a sentence: `A, B and 3 more`."""
    words = list(symbols)
    if len(words) > MAX_NAMED:
        return f"{', '.join(words[:MAX_NAMED])} and {len(words) - MAX_NAMED} more"
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
