"""The life of an order: taken or refused, held, matched, changed, cancelled. Speaks to the clients in IB's sequences.

    place ─► check ─► held back (transmit 0) ─► waiting for its parent ─► working ─► Filled | Cancelled | Inactive

When an order meets the market the rules of `runner.engine.matching` decide. An order that arrives while its market
trades meets the present quote at once; all others meet the bars of the following steps, first in arrival order at the
open, then inside the bar with protective orders first, then at the close. How much of it fills is `liquidity`: the
quote shows a limited size, a bar gives a limited fraction of its volume to all orders together, oldest first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from runner.engine import matching
from runner.engine.matching import Match, Rules
from runner.gateway.held import HELD_UNTIL_CONDITION, Held, working_of
from runner.gateway.market import Market, Series
from runner.gateway.model import ZERO, Contract, ExchangeListener, OrderTerms, PaperOrder, RequestRefused
from runner.gateway.order_book import OrderBook, OrderIds
from runner.gateway.order_checks import (
    AUCTION_TYPES,
    check_modification,
    check_terms,
    closed_warning,
    margin_refusal,
    parse_time,
)
from runner.gateway.settings import GatewaySettings

CANCELLED_TEXT = "Order Canceled - reason:"
BY_TRADER = "Cancelled by Trader"
BY_SYSTEM = "Cancelled by System"

Fill = Callable[[Held, Decimal, Decimal], None]
"""Books a fill (order, quantity, price) and tells everybody."""
MarginOf = Callable[[str, Contract, Decimal], tuple[Decimal, Decimal] | None]
"""(equity, initial margin) when an order of that signed quantity is beyond the account's margin, else None."""


class OrderEngine:
    """All orders of one exchange."""

    def __init__(
        self,
        market: Market,
        settings: GatewaySettings,
        *,
        listener: Callable[[], ExchangeListener],
        new_perm_id: Callable[[], int],
        fill: Fill,
        margin: MarginOf,
        resolve: Callable[[OrderTerms], Contract],
    ) -> None:
        self._market = market
        self._settings = settings
        self._listener = listener
        self._new_perm_id = new_perm_id
        self._fill = fill
        self._margin = margin
        self._resolve = resolve
        self.book = OrderBook()
        self.ids = OrderIds()
        self._sequence = 0
        self._left: dict[int, int | None] = {}
        """Units that are left of the quote or bar under way, per contract."""
        self._stepping = False
        self._fresh: set[int] = set()
        """Sequence numbers of the children that this step's fills released."""
        liquidity = settings.liquidity
        self._rules = Rules(half_spread=float(liquidity.half_spread_ticks), slippage=liquidity.slippage_bps / 10_000.0)

    # what clients ask

    def place(self, client_id: int, terms: OrderTerms) -> None:
        """A new order, or a changed one under an id that works. Every outcome goes to the listener."""
        held = self.book.orders.get((client_id, terms.order_id))
        try:
            if held is not None:
                self._modify(held, terms)
            else:
                self._place_new(client_id, terms)
        except RequestRefused as refusal:
            if held is None and refusal.code != 103:
                self.ids.use(client_id, terms.order_id, refused=True)
            self._listener().order_error(client_id, terms.order_id, refusal.code, refusal.text)

    def prepare(self, client_id: int, terms: OrderTerms) -> Held:
        """A checked order that nobody holds yet. RequestRefused."""
        contract = self._resolve(terms)
        check_terms(terms, contract, self._settings.accounts)
        series = self._market.series(contract.con_id)
        self._sequence += 1
        order = PaperOrder(
            client_id=client_id,
            order_id=terms.order_id,
            perm_id=0,
            contract=contract,
            terms=terms,
            account=terms.account,
            transmitted=terms.transmit,
        )
        held = Held(order=order, series=series, sequence=self._sequence, working=working_of(terms, series))
        self._set_times(held)
        order.perm_id = self._new_perm_id()
        return held

    def cancel(self, client_id: int, order_id: int, *, master: bool = False) -> None:
        """Numbers are each client's own: another client's order of that number is none of it. Only the master may name
        another's, when the number is nobody else's."""
        held = self.book.orders.get((client_id, order_id))
        if held is None and master:
            others = [h for h in self.book.working() if h.order.order_id == order_id]
            held = others[0] if len(others) == 1 else None
        if held is None:
            text = f"OrderId {order_id} that needs to be cancelled is not found."
            self._listener().order_error(client_id, order_id, 10147, text)
        elif not held.order.active:
            text = f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {held.order.status}."
            self._listener().order_error(client_id, order_id, 10148, text)
        else:
            self.end(held, "Cancelled", BY_TRADER)

    def cancel_all(self) -> None:
        for held in self.book.working():
            if held.order.active:
                self.end(held, "Cancelled", BY_TRADER)

    def adopt(self, held: Held) -> None:
        """Take over an order from a saved state."""
        self._sequence = max(self._sequence, held.sequence)
        self.book.add(held)
        if held.order.active and held.order.transmitted:
            self.book.enter(held)
        elif not held.order.active:
            self.book.leave(held)

    # a new order

    def _place_new(self, client_id: int, terms: OrderTerms) -> None:
        self.ids.check(client_id, terms.order_id)
        held = self.prepare(client_id, terms)
        if terms.parent_id:
            parent = self.book.orders.get((client_id, terms.parent_id))
            if parent is None or not (parent.order.active or parent.order.status == "Filled"):
                raise RequestRefused(135, f"Can't find order with id ={terms.parent_id}")
            held.parent = parent.key
            held.waiting = parent.order.status != "Filled"
        self.ids.use(client_id, terms.order_id, refused=False)
        self.book.add(held)
        if terms.transmit:
            self._transmit(held)

    def _set_times(self, held: Held) -> None:
        """When the order can first trade and when it dies."""
        terms, series, now = held.order.terms, held.series, self._market.now_s
        timeline = series.timeline
        i = timeline.at_or_after(now)
        if terms.tif == "OPG" and timeline.trading(now):
            i += 1
        if i >= len(timeline.days):
            raise RequestRefused(201, "Order rejected - reason:There is no further trading session")
        held.session = i
        held.active_from = 0
        if terms.good_after_time:
            held.active_from = parse_time(terms.good_after_time, held.order.contract, "good after time")
            i = max(i, timeline.at_or_after(held.active_from))
        if terms.tif == "GTD":
            held.expires = parse_time(terms.good_till_date, held.order.contract, "good till date")
            if held.expires <= now:
                raise RequestRefused(201, "Order rejected - reason:The good till date has passed")
        elif terms.tif == "GTC":
            held.expires = None
        else:
            held.expires = timeline.closes[min(i, len(timeline.closes) - 1)]
        if series.listing.last_day is not None:
            last = timeline.closes[series.last]
            held.expires = last if held.expires is None else min(held.expires, last)

    def _transmit(self, held: Held) -> None:
        """Send an order to the market, before it the parent and the siblings that were held back for it."""
        held.order.transmitted = True
        family = self.book.family(held)
        for member in family:
            member.order.transmitted = True
            member.order.terms.transmit = True
        for member in [*family, held]:
            if member.order.active:
                self._submit(member)

    def _submit(self, held: Held) -> None:
        order, terms = held.order, held.order.terms
        reason = self._rejection(held)
        if reason is not None:
            self._listener().order_error(order.client_id, order.order_id, 201, reason)
            self.end(held, "Inactive", reason, with_error=False)
            return
        self.book.enter(held)
        timeline, now = held.series.timeline, self._market.now_s
        if held.waiting:
            self._show(held, "PreSubmitted", "child")
        elif terms.echo.get("conditions"):
            self._show(held, "PreSubmitted", HELD_UNTIL_CONDITION)
        else:
            self._enter(held)
        opens = timeline.opens[held.session]
        if order.active and opens > now and self._settings.warn_when_closed:
            text = closed_warning(terms, order.contract, opens)
            self._listener().order_error(order.client_id, order.order_id, 399, text)

    def _rejection(self, held: Held) -> str | None:
        if not held.series.listing.tradable:
            return f"Order rejected - reason:{held.order.contract.local_symbol} is not available for trading"
        if held.series.timeline.on_or_before(self._market.today()) > held.series.last:
            return "Order rejected - reason:The contract has expired"
        if held.parent is not None or not self._settings.margin_check:
            return None  # A child closes what its parent opened.
        order = held.order
        beyond = self._margin(order.account, order.contract, held.side * order.remaining)
        return None if beyond is None else margin_refusal(*beyond, self._settings.base_currency)

    def _enter(self, held: Held) -> None:
        """The order is free to trade: it meets the quote now, or rests until the market opens."""
        stopped = held.protective or held.working.kind in (matching.IF_TOUCHED, matching.LIMIT_IF_TOUCHED)
        rests = "trigger" if stopped and not held.working.triggered else ""
        if not self._may_trade(held) or not self._market.trading(held.series):
            self._show(held, "PreSubmitted", rests)
            return
        held.at_exchange = True
        if held.order.terms.order_type in AUCTION_TYPES:
            self._show(held, "Submitted")
            return
        match = self._meet_quote(held)
        if match is not None and match.phase:
            self._show(held, "PreSubmitted", rests)
            self._take(held, match)
        elif match is not None and match.triggered and not held.working.triggered:
            self._show(held, "PreSubmitted", rests)
            self._trigger(held, match)
        else:
            self._keep_stop(held, match)
            self._show(held, "PreSubmitted" if rests else "Submitted", rests)
        self._end_if_immediate(held)
        if held.order.active and held.order.status == "PreSubmitted" and not held.order.why_held:
            self._show(held, "Submitted")  # The quote had nothing left for it: it rests.

    def _meet_quote(self, held: Held) -> Match | None:
        last = held.series.last_price(self._market.now_s)
        if last is None:
            return None
        con_id = held.order.contract.con_id
        if con_id not in self._left:
            self._left[con_id] = self._market.displayed(held.series)
        return matching.at_open(held.working, float(last), False, self._rules)

    def _may_trade(self, held: Held) -> bool:
        """Whether nothing but the market's hours keeps it from trading."""
        order = held.order
        return (
            order.active
            and not held.waiting
            and order.why_held != HELD_UNTIL_CONDITION
            and held.active_from <= self._market.now_s
        )

    # changes

    def _modify(self, held: Held, terms: OrderTerms) -> None:
        order = held.order
        if order.status == "Filled":
            raise RequestRefused(104, "Cannot modify a filled order.")
        if not order.active:
            raise RequestRefused(103, "Duplicate order id")
        contract = self._resolve(terms)
        check_terms(terms, contract, self._settings.accounts)
        check_modification(order.terms, terms, contract.con_id == order.contract.con_id, order.filled)
        before = (order.terms, held.expires, held.active_from, held.session)
        same_trail = (terms.order_type, terms.aux_price, terms.trailing_percent, terms.trail_stop_price) == (
            order.terms.order_type, order.terms.aux_price, order.terms.trailing_percent, order.terms.trail_stop_price
        )  # fmt: skip
        more = terms.quantity - order.terms.quantity
        if more > 0 and order.transmitted and held.parent is None and self._settings.margin_check:
            beyond = self._margin(order.account, order.contract, held.side * more)
            if beyond is not None:
                raise RequestRefused(201, margin_refusal(*beyond, self._settings.base_currency))
        order.terms = terms
        try:
            self._set_times(held)
        except RequestRefused:
            order.terms, held.expires, held.active_from, held.session = before
            raise
        kept = held.working.stop if same_trail else matching.NAN
        triggered = held.working.triggered and terms.order_type == before[0].order_type
        held.working = working_of(terms, held.series, kept)._replace(triggered=triggered)
        self.book.touched(held)
        if not order.transmitted:
            if terms.transmit:
                self._transmit(held)
            return
        terms.transmit = True
        self._show(held, order.status, order.why_held)
        if self._may_trade(held) and self._market.trading(held.series) and terms.order_type not in AUCTION_TYPES:
            match = self._meet_quote(held)
            if match is not None and match.phase:
                self._take(held, match)
                self._end_if_immediate(held)

    def end(self, held: Held, status: str, why: str, *, with_error: bool = True) -> None:
        """Cancelled or Inactive: for the order, and for what hangs on it."""
        order = held.order
        order.status, order.why_held = status, ""
        order.completed_at = self._market.now()
        order.completed_status = why
        self.book.leave(held)
        self._listener().order_changed(order, with_terms=False)
        if with_error:
            self._listener().order_error(order.client_id, order.order_id, 202, CANCELLED_TEXT)
        for child in self.book.children(held):
            if order.filled and order.transmitted:
                # The part that filled keeps its protection, in its own size.
                child.order.terms.quantity = min(child.order.terms.quantity, order.filled)
                self._release(child)
            else:
                self.end(child, "Cancelled", BY_SYSTEM)

    def _show(self, held: Held, status: str, why_held: str = "") -> None:
        held.order.status, held.order.why_held = status, why_held
        self.book.touched(held)
        self._listener().order_changed(held.order, with_terms=True)

    # matching

    def begin(self, budgets: dict[int, int | None]) -> None:
        """A new bar: what each contract's orders may have of it."""
        self._left = budgets
        self._fresh.clear()

    def open_bar(self, con_id: int, open_: int, auction: bool) -> None:
        """The first price of a bar; `auction` when it is a session's."""
        for held in self.book.at_work(con_id):
            if not self._may_trade(held) or held.working.kind in (matching.ON_CLOSE, matching.LIMIT_ON_CLOSE):
                continue
            if held.auction_only and not (
                auction and held.session <= held.series.timeline.started(self._market.now_s + 1)
            ):
                continue
            match = matching.at_open(held.working, float(open_), auction, self._rules)
            if match.phase:
                self._take(held, match)
            elif match.triggered and not held.working.triggered:
                self._trigger(held, match)
            else:
                self._keep_stop(held, match)
            self._end_if_immediate(held)
            if held.auction_only and held.order.active:
                self.end(held, "Cancelled", BY_SYSTEM)
            self._first_time_at_exchange(held)

    def _first_time_at_exchange(self, held: Held) -> None:
        """Say that an order which waited for the market to open is in it now."""
        if held.at_exchange or not held.order.active:
            return
        held.at_exchange = True
        if held.order.status == "PreSubmitted" and not held.order.why_held:
            self._show(held, "Submitted")

    def inside_bar(self, con_id: int, high: int, low: int, close: int, open_: int) -> None:
        """From the open to the close. A child whose parent fills in here meets what is left of the bar."""
        met: set[int] = set()
        rests: dict[int, tuple[float, float, float, float]] = {}
        whole = (float(open_), float(high), float(low), float(close))
        while True:
            waiting = [
                held for held in self.book.at_work(con_id)
                if held.sequence not in met and self._may_trade(held) and not held.auction_only
            ]  # fmt: skip
            if not waiting:
                return
            held = min(waiting, key=lambda h: (not h.protective, h.sequence))
            met.add(held.sequence)
            bar = rests.get(held.sequence, whole)
            known = {h.sequence for h in waiting}
            match = (
                self._meet_rest(held, bar)
                if held.sequence in self._fresh
                else (matching.inside(held.working, *bar, self._rules))
            )
            if match.phase:
                self._take(held, match)
                rest = matching.rest_of_bar(match.price, match.direction, bar[1], bar[2], bar[3])
                for other in self.book.at_work(con_id):
                    if other.sequence not in known and other.sequence not in met:
                        rests[other.sequence] = rest
            elif match.triggered and not held.working.triggered:
                self._trigger(held, match)
            else:
                self._keep_stop(held, match)

    def _meet_rest(self, held: Held, bar: tuple[float, float, float, float]) -> Match:
        """An order that was freed at the first price of `bar`."""
        match = matching.at_open(held.working, bar[0], False, self._rules)
        if match.phase:
            return match
        return matching.inside(held.working._replace(stop=match.stop, triggered=match.triggered), *bar, self._rules)

    def close_session(self, con_id: int, close: int) -> None:
        """The closing auction."""
        for held in self.book.at_work(con_id):
            if held.order.terms.order_type in AUCTION_TYPES and self._may_trade(held):
                match = matching.at_close(held.working, float(close), self._rules)
                if match.phase:
                    self._left[con_id] = None  # The auction's volume is not the bar's.
                    self._take(held, match)

    def expire(self) -> None:
        """End what dies by now."""
        now = self._market.now_s
        for held in self.book.working():
            if held.expires is not None and held.expires <= now and held.order.active:
                self.end(held, "Cancelled", BY_SYSTEM)
        for held in self.book.held_back():
            if held.expires is not None and held.expires <= now:
                held.order.status = "Cancelled"  # Nobody was told of it, so nobody is told of its end.
                self.book.leave(held)

    def _take(self, held: Held, match: Match) -> None:
        """Fill as much as there is; `match` says at what price."""
        if not held.working.triggered and held.working.kind in (
            *matching.PROTECTIVE,
            matching.IF_TOUCHED,
            matching.LIMIT_IF_TOUCHED,
        ):
            self._trigger(held, match)
        con_id = held.order.contract.con_id
        available = self._available(held, self._left.get(con_id))
        if available <= 0:
            return
        left = self._left.get(con_id)
        if left is not None:
            self._left[con_id] = left - int(available)
        held.at_exchange = True
        price = max(1, round(match.price)) * held.series.tick
        self._fill(held, available, price)
        if held.order.terms.order_type == "MTL" and held.order.active and held.working.kind == matching.MARKET:
            held.working = held.working._replace(kind=matching.LIMIT, limit=match.price)
            held.order.terms.limit_price = price

    def _available(self, held: Held, left: int | None) -> Decimal:
        """How much of the order can fill now: whole lots, all or none where that is asked."""
        order, terms = held.order, held.order.terms
        remaining = order.remaining
        if left is None:
            return remaining
        step = order.contract.size_increment
        available = min(remaining, Decimal(left) // step * step)
        if available < remaining and (terms.all_or_none or terms.tif == "FOK"):
            return ZERO
        if (
            terms.min_quantity is not None
            and not order.filled
            and available < min(Decimal(terms.min_quantity), remaining)
        ):
            return ZERO
        return available

    def _trigger(self, held: Held, match: Match) -> None:
        held.working = held.working._replace(triggered=True, stop=match.stop)
        if held.working.kind in (matching.TRAIL, matching.TRAIL_LIMIT):
            held.order.trail_stop = _price(match.stop, held.series)
        held.order.triggered = True
        self._show(held, "Submitted")

    def _keep_stop(self, held: Held, match: Match | None) -> None:
        """Remember where a trailing stop is now."""
        if match is None or held.working.kind not in (matching.TRAIL, matching.TRAIL_LIMIT):
            return
        if match.stop == match.stop and match.stop != held.working.stop:
            held.working = held.working._replace(stop=match.stop)
            held.order.trail_stop = _price(match.stop, held.series)
            self.book.touched(held)

    def _end_if_immediate(self, held: Held) -> None:
        """What IOC and FOK leave unfilled is over."""
        order = held.order
        if not order.active or order.why_held == "trigger" or order.terms.tif not in ("IOC", "FOK"):
            return
        if order.terms.tif == "FOK":
            self.end(held, "Inactive", BY_SYSTEM, with_error=False)
            return
        order.status = "PendingCancel"
        self._listener().order_changed(order, with_terms=False)
        self.end(held, "Cancelled", BY_SYSTEM)

    # what a fill does to others

    def after_fill(self, held: Held, quantity: Decimal) -> None:
        """The order has a new fill: leave the book when done, free its children, change its group."""
        self.book.touched(held)
        if held.order.status == "Filled":
            held.order.completed_at = self._market.now()
            held.order.completed_status = f"Filled Size: {held.order.filled.normalize():f}"
            self.book.leave(held)
            for child in self.book.children(held):
                if child.order.transmitted and child.waiting:
                    self._release(child)
        for other, share in self.book.affected(held, quantity):
            if share is None or other.order.remaining <= share:
                self.end(other, "Cancelled", BY_SYSTEM)
            else:
                other.order.terms = replace(other.order.terms, quantity=other.order.terms.quantity - share)
                self.book.touched(other)
                self._show(other, other.order.status, other.order.why_held)

    def _release(self, child: Held) -> None:
        """The parent is filled: the child works. Inside a step it meets the rest of the bar from there."""
        child.waiting = False
        if self._stepping:
            resting = child.protective or child.working.kind in (matching.IF_TOUCHED, matching.LIMIT_IF_TOUCHED)
            child.at_exchange = True
            self._fresh.add(child.sequence)
            self._show(child, "PreSubmitted" if resting else "Submitted", "trigger" if resting else "")
        else:
            self._enter(child)

    def stepping(self, under_way: bool) -> None:
        """Whether bars are being met; between steps a released child meets the quote."""
        self._stepping = under_way
        if not under_way:
            self._left = {}


def _price(ticks: float, series: Series) -> Decimal | None:
    return None if ticks != ticks else round(ticks) * series.tick
