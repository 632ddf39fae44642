"""`tests:` of good shape to `Case`s, with what must hold inside one test: series, dates, bounds.

What a test says about its strategy is judged in `rules.cases`. A part that is wrong is reported at its own place,
inside a series at the very character; the test it belongs to is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path

import numpy as np

from runner.model.events import StrategyPhase
from runner.model.money import exact
from runner.model.orders import Side
from runner.spec.case_schema import BOUNDS, COLUMNS
from runner.spec.cases import (
    Account,
    At,
    AtKind,
    Bounds,
    Case,
    Expectation,
    ExpectedExit,
    ExpectedOrder,
    Fixture,
    Format,
    Holding,
    Moment,
    Series,
)
from runner.spec.load import Document, Node
from runner.spec.notation import MAX_BARS, Notation, NotationError, parse_notation
from runner.spec.problems import KeyPath, Problem, Related, Span, error, is_clean
from runner.spec.times import parse_clock

MAX_VALUES = 5_000_000
"""Numbers in all series of one file together."""

_FILES = {".csv": Format.CSV, ".parquet": Format.PARQUET}
_OTHER_ENDING = re.compile(r"\.[a-z][a-z0-9]{1,7}\Z")
_LIBRARY_SYMBOL = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})/([A-Za-z0-9][A-Za-z0-9 .&_-]{0,31})\Z")


def case_paths(root: Node) -> list[KeyPath]:
    """Where the tests in `root` are."""
    tests = root.child("tests")
    return [("tests", i) for i in range(len(tests.value))] if tests is not None and tests.is_list else []


def read_cases(root: Node, document: Document, repository: Path, problems: list[Problem]) -> list[Case]:
    """The tests in `root`; what is wrong goes into `problems`, and is left out of its test.

    So a test with a problem at or below its path can still be judged, and cannot be run. `document` holds the text that
    they are written in; paths of fixtures are relative to `repository`.
    """
    return list(_Reader(root, document, repository, problems).read())


@dataclass(slots=True)
class _Reader:
    root: Node
    document: Document
    repository: Path
    problems: list[Problem]
    values: int = 0
    """Numbers in the series read so far."""

    def read(self) -> Iterator[Case]:
        named: dict[str, Span] = {}
        for path in case_paths(self.root):
            node = self.root.find(path)
            if node is None or not node.is_mapping:
                continue
            case = self._case(node, path)
            first = named.setdefault(case.name, case.span)
            if case.name and first is not case.span:
                related = Related("the first one", first)
                self._report("M467", (*path, "name"), f'two tests are called "{case.name}"', "rename one", related)
            yield case

    def _clean(self, path: KeyPath) -> Node | None:
        """What is at `path`, when it is there and nothing in it is wrong so far."""
        return self.root.find(path) if is_clean(self.problems, path) else None

    def _report(self, code: str, path: KeyPath, message: str, hint: str = "", *related: Related) -> None:
        self.problems.append(error(code, message, self.root.locate(path), path=path, hint=hint, related=related))

    def _case(self, node: Node, path: KeyPath) -> Case:
        given, fixture = node.child("given"), node.child("fixture")
        if given is None and fixture is None and is_clean(self.problems, path):
            span, here = self.root.locate((*path, "name")), (*path, "given")
            message, hint = "a test needs either given or fixture", 'write given: {AAPL: "100+1x260"}'
            self.problems.append(error("M466", message, span, path=here, hint=hint))
        if given is not None and fixture is not None:
            message = "a test needs either given or fixture, not both"
            related = Related("given is here", self.root.locate((*path, "given")))
            self._report("M466", (*path, "fixture"), message, "keep one of the two", related)
        if fixture is None and node.child("as_of") is not None:
            self._report("M466", (*path, "as_of"), "as_of has no effect without a fixture", "write clock, or remove it")
        fixtures = [symbol for symbol, prices in _entries(given) if prices.child("fixture") is not None]
        if fixtures and len(fixtures) < len(_entries(given)):
            message = f"{fixtures[0]} has a fixture and others have not, so their bars have no times in common"
            self._report("M466", (*path, "given", fixtures[0]), message, "give all of them fixtures, or none")
        if (fixture is not None or fixtures) and node.child("clock") is not None:
            message = "clock has no effect with a fixture, whose bars have their own times"
            self._report("M466", (*path, "clock"), message, "remove it; as_of ends the fixture at a moment")
        name = self._clean((*path, "name"))
        expect = node.child("expect")
        expected: list[KeyPath] = []
        if expect is not None and expect.is_list:
            expected = [(*path, "expect", i) for i in range(len(expect.value))]
        return Case(
            path=path,
            name="" if name is None else name.value.strip(),
            span=self.root.locate((*path, "name")),
            given=self._given(given, (*path, "given")),
            fixture=self._fixture(path),
            clock=self._moment((*path, "clock")),
            account=self._account(self._clean((*path, "account"))),
            positions=self._positions(self._clean((*path, "positions"))),
            expect=tuple(
                self._expectation(clean, here) for here in expected if (clean := self._clean(here)) is not None
            ),
        )

    # ---------------------------------------------------------------------------------------------------------- prices

    def _given(self, node: Node | None, path: KeyPath) -> dict[str, Series | Fixture]:
        found: dict[str, Series | Fixture] = {}
        for symbol, _ in _entries(node):
            entry = self._clean((*path, symbol))
            prices = None if entry is None else self._prices(symbol, entry, (*path, symbol))
            if prices is not None:
                found[symbol] = prices
        lengths = {symbol: len(prices) for symbol, prices in found.items() if isinstance(prices, Series)}
        for symbol, length in lengths.items():
            first = next(iter(lengths))
            if length != lengths[first]:
                self._unequal((*path, symbol), f"{symbol} has", length, (*path, first), first, lengths[first])
        return found

    def _prices(self, symbol: str, node: Node, path: KeyPath) -> Series | Fixture | None:
        if not node.is_mapping:
            close = self._notation(node, path)
            if close is None:
                return None
            return self._sound(symbol, Series(close=close), {"close": (node, path)})
        columns = [name for name in COLUMNS if node.child(name) is not None]
        fixture = self._fixture(path)
        if node.child("fixture") is not None:
            if columns:
                message = f"{symbol} has a fixture and {_listed(columns)} of its own"
                self._report("M466", (*path, columns[0]), message, "keep one of the two")
            return fixture
        if node.child("as_of") is not None:
            self._report("M466", (*path, "as_of"), "as_of has no effect without a fixture", "remove it")
        if "close" not in columns:
            self._report("M466", path, f"{symbol} has neither close nor fixture", 'add close: "100+1x260"')
            return None
        places = {name: (below, (*path, name)) for name in columns if (below := node.child(name)) is not None}
        read = {name: self._notation(*place) for name, place in places.items()}
        whole = {name: notation for name, notation in read.items() if notation is not None}
        if len(whole) < len(columns):
            return None
        length = len(whole["close"])
        for name, notation in whole.items():
            if len(notation) != length:
                self._unequal((*path, name), f"{name} has", len(notation), (*path, "close"), "close", length)
                return None
        return self._sound(symbol, Series(**whole), places)

    def _unequal(self, path: KeyPath, who: str, length: int, other_path: KeyPath, other: str, expected: int) -> None:
        message = f"{who} {_bars(length)} and {other} {_bars(expected)}: series of a test have one length"
        hint = "the count is of further values: 100+1x260 has 261" if abs(length - expected) == 1 else ""
        self._report("M461", path, message, hint, Related(f"{other} is here", self.root.locate(other_path)))

    def _notation(self, node: Node, path: KeyPath) -> Notation | None:
        if node.is_list:
            values = [None if item.value in (None, "_") else float(item.value) for item in node.value]
            if len(values) > MAX_BARS:
                self._report("M472", path, f"a series of more than {MAX_BARS:,} bars")
                return None
            found = Notation.of(values)
        else:
            try:
                found = parse_notation(node.value)
            except NotationError as exc:
                span = inner_span(node, self.document, exc.start, exc.end)
                self.problems.append(error("M472", exc.message, span, path=path, hint=exc.hint))
                return None
        self.values += len(found)
        if self.values > MAX_VALUES:
            self._report("M461", path, f"the series of this file hold more than {MAX_VALUES:,} values together")
            return None
        return found

    def _sound(self, symbol: str, series: Series, places: Mapping[str, tuple[Node, KeyPath]]) -> Series | None:
        """The series, unless it has prices that no market has: M471."""
        for name, (node, path) in places.items():
            column: Notation = getattr(series, name)
            is_volume = name == "volume"
            found = column.first_below(0.0, or_at=not is_volume)
            if found is not None:
                bar = found[0]
                what = "is below 0" if is_volume else "has come down to 0 or below"
                message = f"the {name} of {symbol} {what} at bar {bar + 1}"
                hint = "" if is_volume else "begin higher, or take smaller steps"
                span = self._bar_span(node, column, bar)
                self.problems.append(error("M471", message, span, path=path, hint=hint))
                return None
        if any(name in places for name in ("high", "low")):
            return self._inside(symbol, series, places)
        return series

    def _inside(self, symbol: str, series: Series, places: Mapping[str, tuple[Node, KeyPath]]) -> Series | None:
        """The series, unless a bar leaves its own high and low: M471."""
        bars = series.columns()
        for edge, sign, word in (("high", 1.0, "above"), ("low", -1.0, "below")):
            for name in ("close", "open", "low"):
                if edge not in places or name == edge or (name != "close" and name not in places):
                    continue
                limit, values = getattr(bars, edge), getattr(bars, name)
                outside = np.flatnonzero(sign * (values - limit) > 0.0)
                if len(outside) == 0:
                    continue
                bar = int(outside[0])
                message = f"bar {bar + 1} of {symbol} has {name} {values[bar]:g} {word} its {edge} {limit[bar]:g}"
                node, path = places[edge]
                span = self._bar_span(node, getattr(series, edge), bar)
                other, _ = places[name]
                related = (Related(f"{name} is here", self._bar_span(other, getattr(series, name), bar)),)
                self.problems.append(error("M471", message, span, path=path, related=related))
                return None
        return series

    def _bar_span(self, node: Node, notation: Notation, bar: int) -> Span:
        """Where the value of a bar, counted from 0, is written."""
        if node.is_list:
            item: Node = node.value[bar]
            return item.span
        run = notation.run_at(bar)
        return inner_span(node, self.document, run.start, run.end)

    def _fixture(self, path: KeyPath) -> Fixture | None:
        """The fixture that the test, or the symbol of it, at `path` names."""
        said = self._clean((*path, "fixture"))
        if said is None:
            return None
        as_of = self._moment((*path, "as_of"))
        text: str = said.value
        format_ = next((kind for ending, kind in _FILES.items() if text.casefold().endswith(ending)), None)
        if format_ is not None:
            return Fixture(format=format_, path=self.repository / text, as_of=as_of)
        stored = _LIBRARY_SYMBOL.match(text)
        if stored is None or _OTHER_ENDING.search(text):
            message = f'"{text[:80]}" is neither a file of a known ending nor a library/symbol'
            hint = "write a path that ends in .csv or .parquet, or an ArcticDB library and symbol: us_stocks/AAPL"
            self._report("M465", (*path, "fixture"), message, hint)
            return None
        return Fixture(format=Format.ARCTIC, library=stored[1], symbol=stored[2], as_of=as_of)

    # ------------------------------------------------------------------------------------------------------- beginning

    def _account(self, node: Node | None) -> Account:
        if node is None:
            return Account()
        said = node.data()
        fx = {pair: exact(rate) for pair, rate in said.get("fx", {}).items()}
        return Account(equity=exact(said.get("equity", 100_000)), currency=said.get("currency", ""), fx=fx)

    def _positions(self, node: Node | None) -> dict[str, Holding]:
        found = {}
        for symbol, entry in _entries(node):
            said = entry.data()
            if isinstance(said, dict):
                price = said.get("price")
                found[symbol] = Holding(quantity=exact(said["qty"]), price=None if price is None else exact(price))
            else:
                found[symbol] = Holding(quantity=exact(said))
        return found

    # ---------------------------------------------------------------------------------------------------- expectations

    def _expectation(self, node: Node, path: KeyPath) -> Expectation:
        spans = {key: entry.key for key, entry in node.value.items()}
        if set(spans) == {"at"}:
            self._report("M466", (*path, "at"), "nothing is expected here", "add signal, orders, position or the like")
        gross, state = node.child("gross_weight"), node.child("state")
        message = node.child("error")
        scores = _entries(node.child("score"))
        return Expectation(
            path=path,
            at=self._at(node.child("at"), (*path, "at")),
            signal=self._by_symbol(node.child("signal"), (*path, "signal")),
            score={name: self._by_symbol(below, (*path, "score", name)) for name, below in scores},
            target_weight=self._by_symbol(node.child("target_weight"), (*path, "target_weight")),
            gross_weight=None if gross is None else self._bounds(gross, (*path, "gross_weight")),
            position=self._by_symbol(node.child("position"), (*path, "position")),
            orders=self._orders(node.child("orders"), (*path, "orders")),
            exits=self._exits(node.child("exits"), (*path, "exits")),
            state=None if state is None else StrategyPhase(state.value),
            error=None if message is None else message.value,
            spans=spans,
        )

    def _at(self, node: Node | None, path: KeyPath) -> At:
        assert node is not None
        text, span = node.value, node.span
        if text in (AtKind.FIRST.value, AtKind.LAST.value):
            return At(kind=AtKind(text), span=span)
        if text.startswith("bar "):
            return At(kind=AtKind.BAR, span=span, bar=int(text[4:]))
        if "-" in text:
            return At(kind=AtKind.DAY, span=span, moment=self._moment(path))
        return At(kind=AtKind.CLOCK, span=span, clock=parse_clock(text))

    def _moment(self, path: KeyPath) -> Moment | None:
        node = self._clean(path)
        if node is None:
            return None
        text: str = node.value
        clock: time | None = parse_clock(text[11:]) if len(text) > 10 else None
        try:
            return Moment(day=date.fromisoformat(text[:10]), clock=clock)
        except ValueError:
            self._report("M463", path, f"there is no day {text[:10]}")
            return None

    def _by_symbol(self, node: Node | None, path: KeyPath) -> dict[str, Bounds]:
        return {symbol: self._bounds(entry, (*path, symbol)) for symbol, entry in _entries(node)}

    def _bounds(self, node: Node, path: KeyPath) -> Bounds:
        span = self.root.locate(path)
        if not node.is_mapping:
            return Bounds(span=span, exactly=None if node.value is None else float(node.value))
        said = {name: float(entry.value) for name, entry in _entries(node) if name in BOUNDS}
        bounds = Bounds(span=span, **said)
        if not bounds.possible:
            *others, last = said
            related = tuple(Related(f"{name} is set here", self.root.locate((*path, name))) for name in others)
            message = f"no number is {bounds}"
            self._report("M468", (*path, last), message, "", *related)
        return bounds

    def _orders(self, node: Node | None, path: KeyPath) -> tuple[ExpectedOrder, ...] | None:
        if node is None:
            return None
        found = []
        for i, item in enumerate(node.value):
            for symbol, entry in _entries(item):
                here: KeyPath = (*path, i, symbol)
                side, quantity = entry.child("side"), entry.child("qty")
                assert side is not None
                bounds = None if quantity is None else self._bounds(quantity, (*here, "qty"))
                span = self.root.locate(here)
                found.append(ExpectedOrder(symbol=symbol, side=Side(side.value), quantity=bounds, span=span))
        return tuple(found)

    def _exits(self, node: Node | None, path: KeyPath) -> tuple[ExpectedExit, ...] | None:
        if node is None:
            return None
        return tuple(
            ExpectedExit(symbol=symbol, exit=entry.value, span=entry.span)
            for item in node.value
            for symbol, entry in _entries(item)
        )


def inner_span(node: Node, document: Document, start: int, end: int) -> Span:
    """Where the characters `start` to `end` of a scalar's text stand in the file.

    Only where the text stands in the file as it is, plain or in quotes without escapes, on one line; else the span of
    the whole scalar.
    """
    span, text = node.span, node.raw
    if not text or span.file != document.file or span.line != span.end_line:
        return span
    written = document.text[span.start : span.end]
    quoted = len(written) == len(text) + 2 and written[0] == written[-1] and written[0] in "\"'"
    if not (written == text or (quoted and written[1:-1] == text)):
        return span
    skip = 1 if quoted else 0
    a, b = skip + start, skip + max(end, min(start + 1, len(text)))
    return Span(span.file, span.line, span.column + a, span.line, span.column + b, span.start + a, span.start + b)


def _entries(node: Node | None) -> list[tuple[str, Node]]:
    """Keys and values of a mapping; nothing of what is none."""
    if node is None or not node.is_mapping:
        return []
    return [(key, entry.node) for key, entry in node.value.items()]


def _bars(count: int) -> str:
    return f"{count:,} bar{'' if count == 1 else 's'}"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
