"""What the exchange reports, sent to the sessions that may or want to know it.

Orders and executions go to the client that placed them and to the master client, at once and in the order in which the
exchange tells them. Positions go at once to whoever has subscribed. Account values, portfolio, summaries and profit
and loss are gathered: they leave at most once per turn of the event loop and not more often than every
`BOOKS_EVERY_S`, and always before a session that has subscribed to them is told the market's time. When nobody but
followers has subscribed they leave only then: a replay must not depend on the real time that passes.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runner.gateway import encode, encode_orders, ticks
from runner.gateway.model import BarRow, Execution, MarketStep, PaperOrder, PositionLine, Quote, RequestRefused
from runner.gateway.requests_account import send_multi, send_pnl, send_summary
from runner.gateway.subscriptions import LiveBars, RealTimeBars, changed_rows
from runner.gateway.wire import GATEWAY_ZONE, zoned

if TYPE_CHECKING:
    from runner.gateway.server import GatewayServer
    from runner.gateway.session import Session

BOOKS_EVERY_S = 0.05
"""Real seconds between two pushes of account values."""
ACCOUNTS_EVERY = timedelta(minutes=3)
"""Market time after which account values and summaries are brought up to date without a trade, as at IB."""
MOST_BARS_AT_ONCE = 5_000
"""5-second bars of one subscription in one long step; older ones are left out."""
SHORT_BAR_S = 5
DAY_S = 86_400


class Publisher:
    """The listener of the exchange."""

    def __init__(self, server: GatewayServer) -> None:
        self._server = server
        self._exchange = server.exchange
        self._accounts: set[str] = set()
        self._portfolio: dict[tuple[str, int], PositionLine] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._pushed_s = -BOOKS_EVERY_S
        self._accounts_at: datetime | None = None

    # ------------------------------------------------------------ orders

    def _viewers(self, client_id: int) -> list[Session]:
        """The placing client's session and the master's, those of them that are connected."""
        sessions = self._server.by_client_id
        own = sessions.get(client_id)
        master_id = self._server.settings.master_client_id
        master = None if master_id is None or master_id == client_id else sessions.get(master_id)
        return [session for session in (own, master) if session is not None]

    def order_changed(self, order: PaperOrder, *, with_terms: bool) -> None:
        viewers = self._viewers(order.client_id)
        if not viewers:
            return
        status = encode_orders.order_status(order)
        terms: dict[int, bytes] = {}
        for session in viewers:
            if with_terms:
                if session.version not in terms:
                    terms[session.version] = encode_orders.open_order(order, session.version)
                session.send(terms[session.version])
            session.send(status)

    def executed(self, execution: Execution) -> None:
        for session in self._viewers(execution.order.client_id):
            session.send(encode_orders.exec_details(execution, session.version))

    def commission_charged(self, execution: Execution) -> None:
        viewers = self._viewers(execution.order.client_id)
        if viewers:
            report = encode_orders.commission_report(execution)
            for session in viewers:
                session.send(report)

    def order_error(self, client_id: int, order_id: int, code: int, text: str) -> None:
        """To the placing client only: another client would take the id for one of its own orders."""
        session = self._server.by_client_id.get(client_id)
        if session is not None:
            session.error(order_id, code, text)

    # ------------------------------------------------------------ books

    def position_changed(self, line: PositionLine) -> None:
        message: bytes | None = None
        watched = False
        for session in self._server.sessions.values():
            subscriptions = session.subscriptions
            if subscriptions.positions:
                message = message or encode.position(line)
                session.send(message)
            for request_id, accounts in subscriptions.positions_multi.items():
                if line.account in accounts:
                    session.send(encode.position_multi(request_id, line, ""))
            watched = watched or subscriptions.books
        if watched:
            self._portfolio[line.account, line.contract.con_id] = line
            self._gather(line.account)

    def account_changed(self, account: str) -> None:
        if any(session.subscriptions.books for session in self._server.sessions.values()):
            self._gather(account)

    def _gather(self, account: str) -> None:
        self._accounts.add(account)
        if self._timer is None and self._anybody_in_real_time():
            wait = max(0.0, self._pushed_s + BOOKS_EVERY_S - self._server.loop.time())
            self._timer = self._server.loop.call_later(wait, self.push_books)

    def _anybody_in_real_time(self) -> bool:
        return any(one.subscriptions.books and not one.follower for one in self._server.sessions.values())

    def push_books(self) -> None:
        """Send what has been gathered about the accounts."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._accounts:
            return
        accounts, portfolio = self._accounts, self._portfolio
        self._accounts, self._portfolio = set(), {}
        self._pushed_s = self._server.loop.time()
        for session in self._server.sessions.values():
            subscriptions = session.subscriptions
            if not subscriptions.books:
                continue
            if subscriptions.account in accounts:
                self._push_account(session, portfolio)
            for multi in subscriptions.account_multi.values():
                if accounts.intersection(multi.accounts):
                    send_multi(session, multi)
            for subscription in subscriptions.pnl.values():
                if subscription.account in accounts:
                    send_pnl(session, subscription)

    def _push_account(self, session: Session, portfolio: dict[tuple[str, int], PositionLine]) -> None:
        account, sent = session.subscriptions.account, session.subscriptions.account_sent
        rows = changed_rows(self._exchange.account_rows(account), account, sent)
        lines = [line for (of, _), line in portfolio.items() if of == account]
        if rows or lines:
            session.send_all([encode.account_value(row, account) for row in rows])
            session.send_all([encode.portfolio_value(line) for line in lines])
            session.send(encode.account_time(zoned(self._exchange.now(), GATEWAY_ZONE)[9:14]))

    # ------------------------------------------------------------ market

    def stepped(self, step: MarketStep) -> None:
        """Ticks, bars and figures of one step to every session; shared between sessions where they are the same."""
        view = _StepView(self._server, step)
        for session in self._server.sessions.values():
            subscriptions = session.subscriptions
            for line in subscriptions.market_data.values():
                session.send_all(ticks.of_line(line, view.quote(line.contract.con_id), session.version))
            for tick_line in subscriptions.tick_by_tick.values():
                if tick_line.kind > 2 or tick_line.contract.con_id in step.bars:
                    quote = view.quote(tick_line.contract.con_id)
                    session.send_all(ticks.of_tick_by_tick(tick_line, quote, session.version))
            for real_time in subscriptions.real_time.values():
                for bar in view.real_time_bars(real_time):
                    session.send(encode.real_time_bar(real_time.request_id, bar, session.version))
            for live in subscriptions.bars.values():
                for bar in view.live_bars(live):
                    date = encode.bar_date(bar, live.daily, live.contract, live.format_date)
                    session.send(encode.bar_update(live.request_id, bar, date, session.version))
        self._step_books(step)

    def _step_books(self, step: MarketStep) -> None:
        """Profit and loss at every step, account values and summaries every few minutes of market time."""
        due = self._accounts_at is None or step.end - self._accounts_at >= ACCOUNTS_EVERY
        if due:
            self._accounts_at = step.end
        portfolio: dict[str, list[PositionLine]] = {}
        for session in self._server.sessions.values():
            subscriptions = session.subscriptions
            for subscription in subscriptions.pnl.values():
                send_pnl(session, subscription)
            if due and subscriptions.account:
                self._accounts.add(subscriptions.account)
                if subscriptions.account not in portfolio:
                    portfolio[subscriptions.account] = self._exchange.positions(subscriptions.account)
            if due:
                for multi in subscriptions.account_multi.values():
                    self._accounts.update(multi.accounts)
                for summary in subscriptions.summaries.values():
                    send_summary(session, summary)
        for lines in portfolio.values():
            for line in lines:
                self._portfolio.setdefault((line.account, line.contract.con_id), line)
        self.push_books()


class _StepView:
    """The market after one step, each part of it asked of the exchange once."""

    def __init__(self, server: GatewayServer, step: MarketStep) -> None:
        self._exchange = server.exchange
        self._step = step
        self._length_s = (step.end - step.start).total_seconds()
        self._quotes: dict[int, Quote] = {}
        self._bars: dict[tuple[int, str, str, bool], BarRow | None] = {}

    def quote(self, con_id: int) -> Quote:
        quote = self._quotes.get(con_id)
        if quote is None:
            quote = self._quotes[con_id] = self._exchange.quote(con_id)
        return quote

    def _current(self, con_id: int, bar_size: str, what: str, regular_hours: bool) -> BarRow | None:
        key = (con_id, bar_size, what, regular_hours)
        if key not in self._bars:
            self._bars[key] = self._exchange.bar_in_progress(con_id, bar_size, what=what, regular_hours=regular_hours)
        return self._bars[key]

    def live_bars(self, live: LiveBars) -> list[BarRow]:
        """What a keepUpToDate subscription is told: the bar in progress; over a bar's end the finished one first."""
        current = self._current(live.contract.con_id, live.bar_size, live.what, live.regular_hours)
        before = live.last
        if current is None or current == before or (before is not None and current.start < before.start):
            return []
        bars = [current]
        if before is not None and current.start > before.start:
            was_final = before.end <= live.sent_at
            if not was_final or self._length_s > live.bar_s:
                bars = [bar for bar in self._since(live, before.start) if bar.start < current.start and bar != before]
                bars.append(current)
        live.last = current
        live.sent_at = self._step.end
        return bars

    def _since(self, live: LiveBars, start: datetime) -> list[BarRow]:
        seconds = int((self._step.end - start).total_seconds()) + 1
        duration = f"{seconds} S" if seconds <= DAY_S else f"{seconds // DAY_S + 1} D"
        return [bar for bar in self._history(live, duration, live.bar_size) if bar.start >= start]

    def real_time_bars(self, real_time: RealTimeBars) -> list[BarRow]:
        """The 5-second bars that have ended since the last step."""
        if self._length_s <= SHORT_BAR_S:
            bar = self._current(
                real_time.contract.con_id, f"{SHORT_BAR_S} secs", real_time.what, real_time.regular_hours
            )
            bars = [] if bar is None else [bar]
        else:
            since = max(self._step.start, real_time.sent_until)
            seconds = min(DAY_S, int((self._step.end - since).total_seconds()))
            bars = self._history(real_time, f"{seconds} S", f"{SHORT_BAR_S} secs") if seconds > 0 else []
        due = [bar for bar in bars if bar.start >= real_time.sent_until and bar.end <= self._step.end]
        if due:
            real_time.sent_until = due[-1].end
        return due[-MOST_BARS_AT_ONCE:]

    def _history(self, of: LiveBars | RealTimeBars, duration: str, bar_size: str) -> list[BarRow]:
        try:
            return self._exchange.history(
                of.contract.con_id, end=None, duration=duration, bar_size=bar_size, what=of.what,
                regular_hours=of.regular_hours,
            )  # fmt: skip
        except RequestRefused:
            return []
