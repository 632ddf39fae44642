"""What a test says about its strategy: M460, M462 to M465, M469, M470, M475.

What could not be read of a test or of its strategy is not judged; the rest is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path

from runner.exits import RULES
from runner.model.bars import BarSize
from runner.model.events import StrategyPhase
from runner.model.instruments import SecType
from runner.spec.case_reader import read_cases
from runner.spec.cases import AtKind, Bounds, Case, Expectation, Fixture
from runner.spec.load import Document, Node
from runner.spec.problems import KeyPath, Problem, Related, Span, Step, error, is_clean
from runner.spec.spelling import meant
from runner.spec.steps import fraction_hint, instead, rename
from runner.spec.subject import Subject

EDGE = 1e-9
"""Relative: an expectation at the very edge of a cap is inside."""

_DAYS_A_BAR = {BarSize.WEEK_1: 7, BarSize.MONTH_1: 31}
"""Longest distance between two bars, in days."""


def judge_cases(
    root: Node, document: Document, subject: Subject, repository: Path, problems: list[Problem]
) -> tuple[Case, ...]:
    """Read the tests under `root` and judge them against their strategy; those that can be run.

    `document` holds their text; fixtures lie under `repository`.
    """
    cases = read_cases(root, document, repository, problems)
    for case in cases:
        _check_symbols(root, case.path, subject, problems)
        _Judge(root, case, subject, repository, problems).judge()
    return tuple(case for case in cases if is_clean(problems, case.path))


# ------------------------------------------------------------------------------------------------------------ symbols


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mention:
    """A symbol in a test: in which section, and whether the test needs bars of it."""

    symbol: str
    section: str
    path: KeyPath
    span: Span
    beside: tuple[str, ...]
    """The symbols that stand there."""
    needs_bars: bool


def _check_symbols(root: Node, path: KeyPath, subject: Subject, problems: list[Problem]) -> None:
    """M460 and M475: every symbol is in the universe, has bars where they are needed, and can be held if it must."""
    given = root.find((*path, "given"))
    with_bars = None if given is None or not given.is_mapping else set(given.value)
    known, universe = subject.symbols, subject.universe
    indices = [q.symbol for q in universe.instruments if q.sec_type is SecType.INDEX] if universe is not None else []
    for mention in _mentions(root, path):
        symbol = mention.symbol
        if known is not None and symbol not in known:
            guess = meant(symbol, known, mention.beside)
            if with_bars is not None and mention.section == "given" and guess.word is not None:
                with_bars.add(guess.word)  # said once: its bars are there, under a misspelt symbol
            code, message = "M460", f"{symbol} is not in the universe"
            step = rename(symbol, mention.span, guess)
            step = step if step.hint else Step(f"the universe is: {_few(known)}")
        elif mention.needs_bars and with_bars is not None and symbol not in with_bars:
            code, message = "M460", f"{symbol} has no bars in this test"
            step = Step(f'add given: {{{symbol}: "100+1x260"}}')
        elif symbol in indices and mention.section in ("positions", "orders"):
            code, message = "M475", f"{symbol} is an index: it has data, and nobody can hold it"
            step = Step("remove it")
        else:
            continue
        problems.append(error(code, message, mention.span, path=mention.path, hint=step.hint, fix=step.fix))


def _mentions(root: Node, path: KeyPath) -> Iterator[_Mention]:
    """Every symbol of a test."""
    yield from _keys(root, (*path, "given"), "given")
    yield from _keys(root, (*path, "positions"), "positions")
    for i in range(_count(root, (*path, "expect"))):
        here: KeyPath = (*path, "expect", i)
        for section in ("signal", "target_weight", "position"):
            yield from _keys(root, (*here, section), section)
        scores = root.find((*here, "score"))
        for name in scores.value if scores is not None and scores.is_mapping else ():
            yield from _keys(root, (*here, "score", name), "score")
        for section in ("orders", "exits"):
            for j in range(_count(root, (*here, section))):
                yield from _keys(root, (*here, section, j), section)


def _keys(root: Node, path: KeyPath, section: str) -> Iterator[_Mention]:
    node = root.find(path)
    for symbol, entry in node.value.items() if node is not None and node.is_mapping else ():
        # An instrument without bars has no value and no position, which may be expected.
        needs_bars = section != "given" and entry.node.value not in (None, 0)
        here: KeyPath = (*path, symbol)
        beside = tuple(node.value) if node is not None else ()
        yield _Mention(symbol=symbol, section=section, path=here, span=entry.key, beside=beside, needs_bars=needs_bars)


def _count(root: Node, path: KeyPath) -> int:
    node = root.find(path)
    return len(node.value) if node is not None and (node.is_list or node.is_mapping) else 0


# -------------------------------------------------------------------------------------------------------- whole tests


@dataclass(frozen=True, slots=True)
class _Judge:
    """One test and what it is held against. `problems` grows."""

    root: Node
    case: Case
    subject: Subject
    repository: Path
    problems: list[Problem]

    def judge(self) -> None:
        self._fixtures()
        self._rates()
        too_short = self._too_short()
        for expectation in self.case.expect:
            if self._at(expectation) and not too_short:
                self._warmup(expectation)
            self._signals(expectation)
            self._exits(expectation)
            self._caps(expectation)

    @property
    def path(self) -> KeyPath:
        return self.case.path

    def _report(self, code: str, path: KeyPath, message: str, hint: str = "", *related: Related) -> None:
        self.problems.append(error(code, message, self.root.locate(path), path=path, hint=hint, related=related))

    # --------------------------------------------------------------------------------------------------------- fixtures

    def _fixtures(self) -> None:
        if self.case.fixture is not None:
            self._file(self.case.fixture, (*self.path, "fixture"))
        for symbol, prices in self.case.given.items():
            if isinstance(prices, Fixture):
                self._file(prices, (*self.path, "given", symbol, "fixture"))

    def _file(self, fixture: Fixture, path: KeyPath) -> None:
        """M465: the file is there, inside the repository. What it holds is read when the test is run."""
        if fixture.path is None:
            return
        node = self.root.find(path)
        text = "" if node is None else str(node.value)
        try:
            target = fixture.path.resolve()
            inside, there = target.is_relative_to(self.repository.resolve()), fixture.path.is_file()
        except (OSError, ValueError, RuntimeError):
            self._report("M465", path, f'"{text[:60]}" cannot be the name of a file')
            return
        if not inside:
            self._report("M465", path, f'"{text}" is outside the folder of runner.yaml', "keep fixtures beside it")
        elif not there:
            beside = sorted(p.name for p in target.parent.glob(f"*{target.suffix}"))[:8]
            hint = f"beside it there are: {', '.join(beside)}" if beside else "paths begin in the folder of runner.yaml"
            self._report("M465", path, f'there is no file "{text}"', hint)

    # ------------------------------------------------------------------------------------------------------------ money

    def _rates(self) -> None:
        """M470: rates are between the account's currency and those of the instruments, and none is missing."""
        currencies = self.subject.currencies
        if not currencies:
            return
        account = self.case.account
        own = account.currency or currencies[0]
        fx: KeyPath = (*self.path, "account", "fx")
        needed = {currency: {currency + own, own + currency} for currency in currencies if currency != own}
        for pair in account.fx:
            turned = pair[3:] + pair[:3]
            if turned in account.fx and pair > turned:
                other = Related("the other one", self.root.locate((*fx, turned)))
                self._report("M470", (*fx, pair), f"{pair} and {turned} are one rate", "keep one of them", other)
            elif not any(pair in pairs for pairs in needed.values()):
                hint = f"needed are: {', '.join(c + own for c in needed)}" if needed else f"everything is in {own}"
                self._report("M470", (*fx, pair), f"the rate {pair} is not used", hint)
        missing: dict[str, str] = {}
        for symbol in self.case.given:
            currency = self.subject.currency_of(symbol)
            if currency in needed and not needed[currency] & set(account.fx):
                missing.setdefault(currency, symbol)
        for currency, symbol in missing.items():
            message = f"{symbol} is in {currency} and the account in {own}, and the test has no rate"
            places = (fx, fx[:-1], (*self.path, "given", symbol))
            where = next(place for place in places if self.root.find(place) is not None)
            self._report("M470", where, message, f"write account: {{currency: {own}, fx: {{{currency}{own}: 1.1}}}}")

    # ---------------------------------------------------------------------------------------------------- time and bars

    def _too_short(self) -> bool:
        """M462: some test would end before the strategy has begun."""
        warmup, bars = self.subject.warmup, self.case.bars
        if warmup is None or bars is None or bars > warmup or not any(map(self._needs_value, self.case.expect)):
            return False
        symbol = next(iter(self.case.series))
        message = (
            f"the series have {bars} bar{'' if bars == 1 else 's'}, but nothing is decided before bar {warmup + 1}"
        )
        hint = f'give at least {warmup + 1} bars, as in "100+1x{warmup}", or expect state: Warming'
        self._report("M462", (*self.path, "given", symbol), message, hint)
        return True

    def _warmup(self, expectation: Expectation) -> None:
        """M462: at a bar of the warm-up, of all or of one instrument, there is no value yet."""
        warmup, bars = self.subject.warmup, self.case.bars
        if warmup is None or bars is None or not self._needs_value(expectation):
            return
        bar = expectation.at.index(bars)
        if bar is None:
            return
        if bar < warmup:
            message = f"bar {bar + 1} is in the warm-up: nothing is decided before bar {warmup + 1}"
            hint = f"write bar {warmup + 1} or later, or expect state: Warming"
            self._report("M462", (*expectation.path, "at"), message, hint)
            return
        for section, wanted in (("signal", expectation.signal), ("target_weight", expectation.target_weight)):
            for symbol, bounds in wanted.items():
                series = self.case.series.get(symbol)
                if series is None or bounds.nothing:
                    continue
                present = series.close.present(bar + 1)
                if present < warmup:
                    path = (*expectation.path, section, symbol)
                    message = f"{symbol} has {present} bars by then and needs {warmup} before its first value"
                    self._report("M462", path, message, f"write {symbol}: null, or give it more bars")

    def _needs_value(self, expectation: Expectation) -> bool:
        """Whether it expects what only a strategy that is warm can have."""
        if expectation.state in (StrategyPhase.PENDING, StrategyPhase.WARMING) or expectation.error is not None:
            return False
        numbers: list[Bounds] = [*expectation.signal.values(), *expectation.target_weight.values()]
        numbers += [bounds for of_one in expectation.score.values() for bounds in of_one.values()]
        gross = expectation.gross_weight
        weight = gross is not None and not gross.allows(0.0)
        # Exits may close what is held, whether the signals are warm or not.
        orders = bool(expectation.orders) and not self.case.positions
        return weight or orders or any(not bounds.nothing for bounds in numbers)

    def _at(self, expectation: Expectation) -> bool:
        """M463: the moment is one of the test's bars. False when it is not."""
        at, bars = expectation.at, self.case.bars
        path: KeyPath = (*expectation.path, "at")
        if at.kind is AtKind.BAR and at.bar is not None:
            if at.bar == 0 or (bars is not None and at.bar > bars):
                hint = "bars count from 1" if at.bar == 0 else f"write last, or a bar up to {bars}"
                count = "" if bars is None else f", which has {bars} bars"
                self._report("M463", path, f"there is no bar {at.bar} in this test{count}", hint)
                return False
            return True
        if at.kind in (AtKind.FIRST, AtKind.LAST):
            return True
        size = self.subject.bar_size
        if at.kind is AtKind.CLOCK and size is not None and not size.intraday:
            message = f"{at} is a time of day, and the strategy has bars of {size.value}"
            self._report("M463", path, message, "write last, a bar or a date")
            return False
        if self.case.clock is None and bars is not None:
            message = f"{at} cannot be found in this test, whose bars have no times"
            self._report("M463", path, message, "add clock: 2025-12-31, when the last bar completes, or write bar 101")
            return False
        return self._inside(expectation, path)

    def _inside(self, expectation: Expectation, path: KeyPath) -> bool:
        """M463: a date is not after the last bar, and not before there can have been a first one."""
        moment = expectation.at.moment
        fixture = self.case.fixture
        end = self.case.clock if fixture is None else fixture.as_of
        if moment is None or end is None:
            return True
        late = moment.day > end.day or (
            moment.day == end.day and moment.clock is not None and end.clock is not None and moment.clock > end.clock
        )
        early = False
        bars, size = self.case.bars, self.subject.bar_size
        if bars is not None and size is not None:
            # Without a calendar: two days a session, and two weeks of holidays, are more than any exchange takes.
            days = 2 * bars + 15 if size not in _DAYS_A_BAR else (bars + 1) * _DAYS_A_BAR[size]
            early = (end.day - moment.day) > timedelta(days=days)
        if late or early:
            key = "clock" if fixture is None else "as_of"
            side = f"after the last bar, {end}" if late else f"before the first of {bars} bars up to {end}"
            related = Related("the bars end here", self.root.locate((*self.path, key)))
            self._report("M463", path, f"{moment} is {side}", "", related)
        return not (late or early)

    # ----------------------------------------------------------------------------------------------- signals and limits

    def _signals(self, expectation: Expectation) -> None:
        """M464: the signals are there."""
        known = self.subject.signals
        if known is None:
            return
        for name in expectation.score:
            if name not in known:
                path = (*expectation.path, "score", name)
                span = self.root.key_span(path) or self.root.locate(path)
                step = rename(name, span, meant(name, known, expectation.score))
                step = step if step.hint else Step(f"there are: {_few(known)}")
                message = f'there is no signal called "{name}" in this strategy'
                self.problems.append(error("M464", message, span, path=path, hint=step.hint, fix=step.fix))

    def _exits(self, expectation: Expectation) -> None:
        """M464: the exits are there, and switched on."""
        named, params = self.subject.exits, self.subject.params
        for i, wanted in enumerate(expectation.exits or ()):
            path = (*expectation.path, "exits", i, wanted.symbol)
            if wanted.exit in RULES:
                if params is not None and getattr(params, wanted.exit) == 0:
                    message = f"{wanted.exit} cannot fire: params.{wanted.exit} is 0, which is off"
                    self._report("M464", path, message, f"set it, for example params: {{{wanted.exit}: 0.05}}")
            elif named is not None and wanted.exit not in named:
                known = (*RULES, *named)
                step = instead(wanted.exit, self.root.find(path), known)
                step = step if step.hint else Step(f"there are: {_few(known)}")
                message = f'there is no exit called "{wanted.exit}" in this strategy'
                self.problems.append(error("M464", message, wanted.span, path=path, hint=step.hint, fix=step.fix))

    def _caps(self, expectation: Expectation) -> None:
        """M469: no weight is expected that target_weight and max_position_size rule out."""
        params = self.subject.params
        if params is None or params.max_position_size == 0:
            return
        cap = params.target_weight * params.max_position_size
        for symbol, bounds in expectation.target_weight.items():
            self._cap(bounds, cap, f"the weight of {symbol}", (*expectation.path, "target_weight", symbol))
        count = _count(self.root, (*self.path, "given")) or len(self.subject.symbols or ())
        if expectation.gross_weight is not None and count:
            self._cap(expectation.gross_weight, cap * count, "gross_weight", (*expectation.path, "gross_weight"), count)

    def _cap(self, bounds: Bounds, cap: float, what: str, path: KeyPath, count: int = 1) -> None:
        (low, low_allowed), (high, high_allowed) = bounds.lowest, bounds.highest
        over = low > cap * (1 + EDGE) or (low >= cap and not low_allowed)
        under = high < -cap * (1 + EDGE) or (high <= -cap and not high_allowed)
        if bounds.nothing or not (over or under):
            return
        params = self.subject.params
        assert params is not None
        names = ("target_weight", "max_position_size")
        factors = [f"{name} {getattr(params, name):g}" for name in names]
        if count > 1:
            factors.append(f"{count} instruments")
        limit = f"{' x '.join(factors)} is {cap:.6g}"
        message = f"{what} cannot be {bounds}: {limit}"
        numbers: tuple[float | None, ...] = tuple(getattr(bounds, f.name) for f in fields(bounds) if f.name != "span")
        hint = next((said for n in numbers if (said := fraction_hint(n))), "weights are fractions of account equity")
        self._report("M469", path, message, hint)


def _few(words: Sequence[str]) -> str:
    return ", ".join(words[:8]) + (f", and {len(words) - 8} more" if len(words) > 8 else "")
