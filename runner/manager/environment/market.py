"""Bars for the strategies of the folder: whether IB gives them, how far they reach back, and how many streams they
need. E618, E619, E620 and E621."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from runner.broker.bar_times import bars_since
from runner.broker.pacing import HISTORY_OPEN
from runner.broker.requests import is_not_permitted
from runner.errors import GatewayError
from runner.gateway.subscriptions import MOST_OF_A_KIND
from runner.manager.environment.session import Seen, Stream
from runner.manager.environment.subjects import Asked, Finding, Subject, problem_at
from runner.spec.problems import Problem, Related, Severity
from runner.spec.rules.markets import named

MARKET_DATA_LINES = 100
"""What an account has at IB unless it books more."""
COMPETING_SESSION = 10197


def stream_of(asked: Asked, seen: Seen) -> Stream | None:
    """The subscription that the instrument needs, as `MarketDataHub` counts them; None for an unknown instrument."""
    instrument = seen.instruments.get(asked.query)
    bars = asked.subject.spec.bars
    return None if instrument is None else Stream(instrument.con_id, bars.size, bars.regular_hours)


def streams_of(asked: Sequence[Asked], seen: Seen) -> list[Stream]:
    """Every subscription of the folder once."""
    return list(dict.fromkeys(stream for one in asked if (stream := stream_of(one, seen)) is not None))


def check_bars(asked: Sequence[Asked], seen: Seen) -> list[Finding]:
    """E618 and E620: an instrument without bars keeps its strategy from starting."""
    findings = []
    for one in asked:
        stream = stream_of(one, seen)
        error = None if stream is None else seen.bars.get(stream)
        if error is not None:
            findings.append(_without_bars(one, error))
    return findings


def _without_bars(asked: Asked, error: GatewayError) -> Finding:
    symbol, size = asked.query.symbol, asked.subject.spec.bars.size.value
    words = f" (IB says {error.code}: {error.text.strip().rstrip('.')})" if error.code else ""
    if is_not_permitted(error):
        message = f"the account gets no data of {symbol}{words}"
        hint = "subscribe to its market data at IB, or leave it out"
        if error.code == COMPETING_SESSION:
            hint = "log out of the other session of the same user, or give the runner a user of its own"
        return Finding(asked=asked, code="E620", message=message, hint=hint)
    message = f"IB has no {size} bars of {symbol}{words}"
    return Finding(asked=asked, code="E618", message=message, hint="use other bars, or leave it out")


def check_reach(asked: Sequence[Asked], seen: Seen) -> list[Problem]:
    """E619: a shorter history than the file asks for, in one warning for each strategy."""
    short: dict[str, list[_Reach]] = {}
    for one in asked:
        reach = _reach(one, seen)
        if reach is not None and reach.bars < one.subject.spec.bars.history:
            short.setdefault(one.subject.spec.name, []).append(reach)
    return [_short(found) for found in short.values()]


@dataclass(frozen=True, slots=True)
class _Reach:
    """How far back the data of an instrument go, and about how many completed bars that makes."""

    asked: Asked
    since: datetime
    bars: int

    def __str__(self) -> str:
        return f"about {self.bars} of {self.asked.query.symbol} since {self.since:%Y-%m-%d}"


def _reach(asked: Asked, seen: Seen) -> _Reach | None:
    """None when IB did not say."""
    instrument, bars = seen.instruments.get(asked.query), asked.subject.spec.bars
    since = None if instrument is None else seen.begins.get((instrument.con_id, bars.regular_hours))
    if instrument is None or since is None:
        return None
    return _Reach(asked, since, bars_since(since, seen.now, bars.size, instrument, bars.regular_hours))


def _short(found: Sequence[_Reach]) -> Problem:
    subject = found[0].asked.subject
    spec = subject.spec
    message = (
        f"bars.history is {spec.bars.history}, but IB has fewer {spec.bars.size.value} bars: {named(map(str, found))}"
    )
    late = [reach.asked.query.symbol for reach in found if reach.bars < spec.warmup]
    hint = "the strategy starts with what there is"
    if late:
        hint = f"{named(late)} would have no signal before {spec.warmup} bars are there"
    place = subject.first_written(("bars", "history")) or subject.place(("bars",))
    symbol, _ = found[0].asked.place
    related = [Related(f"{found[0].asked.query.symbol} is traded here", symbol)]
    return problem_at(place, "E619", message, hint=hint, severity=Severity.WARNING, related=related)


def check_streams(asked: Sequence[Asked], seen: Seen, *, embedded: bool) -> list[Problem]:
    """E621, at the strategy with which there are more subscriptions than can be open at a time.

    A stream of bars that keeps itself up to date counts at IB as a request for history that stays open, and as a market
    data line: of the two limits the first is lower, and no booking raises it.
    """
    limit = MOST_OF_A_KIND if embedded else min(HISTORY_OPEN, MARKET_DATA_LINES)
    streams: set[Stream] = set()
    over: Subject | None = None
    strategies: set[str] = set()
    for one in asked:
        stream = stream_of(one, seen)
        if stream is None or not one.subject.spec.enabled:
            continue
        streams.add(stream)
        strategies.add(one.subject.spec.name)
        if len(streams) > limit and over is None:
            over = one.subject
    if over is None:
        return []
    who = "the paper gateway" if embedded else "IB"
    count = "this strategy needs" if len(strategies) == 1 else f"{len(strategies)} strategies need"
    message = f"{count} {len(streams)} live subscriptions to bars; {who} keeps {limit} open at a time"
    hint = "trade fewer instruments; strategies with the same instrument and bars share a subscription"
    return [problem_at(over.place(("universe",)), "E621", message, hint=hint)]
