"""Messages about orders: openOrder, orderStatus, execDetails, commissionReport, completedOrder, field by field.

The layouts change with the server version; every gate is a name of `versions`. Fields that the exchange does not act
on come from the text that the client sent (`OrderTerms.echo`). Counts for a plain order: openOrder 128 fields at 157
and 135 at 178, completedOrder 96 and 100.
"""

from __future__ import annotations

from typing import Any

from runner.gateway import versions
from runner.gateway.encode import contract11
from runner.gateway.model import Execution, PaperOrder, WhatIf
from runner.gateway.wire import UNSET_DOUBLE, UNSET_INTEGER, decimal_point, flag, frame, money, number, zoned

NO_PARENT = "9223372036854775807"
SHAREHOLDER = "Not an insider or substantial shareholder"
UNKNOWN_RIGHT = "?"
"""What TWS writes for the right of an order's contract that has none."""

_UNSET_STATE = (*[UNSET_DOUBLE] * 9, "", "", "", "", "")
"""Margins before, change and after, then commission, its bounds and currency, and a warning: not a what-if."""
_NO_DELTA_NEUTRAL = ("0", "", "", "", "?", "0", "0", "")
"""TWS writes the word `None` as delta-neutral type, so these eight always follow it."""

_AFTER_GOOD_TILL = (
    "rule80A", "percentOffset", "settlingFirm", "shortSaleSlot", "designatedLocation", "exemptCode", "auctionStrategy",
    "startingPrice", "stockRefPrice", "delta", "stockRangeLower", "stockRangeUpper", "displaySize", "blockOrder",
    "sweepToFill", "allOrNone", "minQty", "ocaType", "eTradeOnly", "firmQuoteOnly", "nbboPriceCap",
)  # fmt: skip
_COMPLETED_AFTER_GOOD_TILL = (
    "rule80A", "percentOffset", "settlingFirm", "shortSaleSlot", "designatedLocation", "exemptCode", "startingPrice",
    "stockRefPrice", "delta", "stockRangeLower", "stockRangeUpper", "displaySize", "sweepToFill", "allOrNone",
    "minQty", "ocaType", "triggerMethod",
)  # fmt: skip
_ADJUSTED = (
    "lmtPriceOffset", "adjustedStopPrice", "adjustedStopLimitPrice", "adjustedTrailingAmount", "adjustableTrailingUnit",
    "softDollarName", "softDollarVal",
)  # fmt: skip
_SCALES = ("scaleInitLevelSize", "scaleSubsLevelSize", "scalePriceIncrement")
_PEG_OFFSETS = ("minTradeQty", "minCompeteSize", "competeAgainstBestOffset", "midOffsetAtWhole", "midOffsetAtHalf")


def order_status(order: PaperOrder) -> bytes:
    return frame(
        (
            "3",
            str(order.order_id),
            order.status,
            decimal_point(order.filled),
            decimal_point(order.remaining),
            number(order.average_price),
            str(order.perm_id),
            str(order.terms.parent_id),
            number(order.last_price),
            str(order.client_id),
            order.why_held,
            "0.0",
        )
    )


def open_order(order: PaperOrder, version: int, what_if: WhatIf | None = None) -> bytes:
    """openOrder; with `what_if` the margin answer to a what-if order."""
    terms = order.terms
    echo = terms.echo
    get = echo.get
    trail = number(order.trail_stop if order.trail_stop is not None else terms.trail_stop_price)
    out = [
        "5", str(order.order_id), *_contract(order), *_terms(order), get("openClose", ""), get("origin", "0"),
        terms.order_ref, str(order.client_id), str(order.perm_id), flag(terms.outside_rth), flag(terms.hidden),
        get("discretionaryAmt") or "0.0", terms.good_after_time, "", get("faGroup", ""), get("faMethod", ""),
        get("faPercentage", ""),
    ]  # fmt: skip
    if version < versions.NO_FA_PROFILE:
        out.append(get("faProfile", ""))
    out += [get("modelCode", ""), terms.good_till_date]
    out += [get(name, "") for name in _AFTER_GOOD_TILL]
    out += [
        str(terms.parent_id), get("triggerMethod") or "0", get("volatility", ""), get("volatilityType") or "0",
        get("deltaNeutralOrderType") or "None", get("deltaNeutralAuxPrice", ""),
        *get("deltaNeutral", _NO_DELTA_NEUTRAL), get("continuousUpdate") or "0", get("referencePriceType") or "0",
        trail, number(terms.trailing_percent), "", "", "",
    ]  # fmt: skip
    _legs(out, echo)
    _scale_and_hedge(out, echo)
    out += [get("optOutSmartRouting") or "0", get("clearingAccount", ""), get("clearingIntent") or "IB"]
    out.append(get("notHeld") or "0")
    _delta_neutral_contract_and_algo(out, echo)
    out += [get("solicited") or "0", flag(what_if is not None), order.status]
    out += _UNSET_STATE if what_if is None else _margins(what_if)
    out += [get("randomizeSize") or "0", get("randomizePrice") or "0"]
    _peg_bench_and_conditions(out, echo)
    out += [get("adjustedOrderType") or "None", get("triggerPrice", ""), trail]
    out += [get(name, "") for name in _ADJUSTED]
    out += [
        "", number(terms.cash_quantity) or "0.0", get("dontUseAutoPriceForHedge") or "0", get("isOmsContainer") or "0",
        get("discretionaryUpToLimitPrice") or "0", get("usePriceMgmtAlgo") or "0",
    ]  # fmt: skip
    if version >= versions.DURATION:
        out.append(get("duration", ""))
    if version >= versions.POST_TO_ATS:
        out.append(get("postToAts", ""))
    if version >= versions.AUTO_CANCEL_PARENT:
        out.append(get("autoCancelParent") or "0")
    if version >= versions.PEG_OFFSETS:
        out += [get(name, "") for name in _PEG_OFFSETS]
    return frame(out)


def completed_order(order: PaperOrder, version: int) -> bytes:
    """completedOrder. It carries neither order id nor client id; the perm id and the order ref identify it."""
    terms = order.terms
    echo = terms.echo
    get = echo.get
    trail = number(order.trail_stop if order.trail_stop is not None else terms.trail_stop_price)
    out = [
        "101", *_contract(order), *_terms(order), get("openClose", ""), get("origin", "0"), terms.order_ref,
        str(order.perm_id), flag(terms.outside_rth), flag(terms.hidden), get("discretionaryAmt") or "0.0",
        terms.good_after_time, get("faGroup", ""), get("faMethod", ""), get("faPercentage", ""),
    ]  # fmt: skip
    if version < versions.NO_FA_PROFILE:
        out.append(get("faProfile", ""))
    out += [get("modelCode", ""), terms.good_till_date]
    out += [get(name, "") for name in _COMPLETED_AFTER_GOOD_TILL]
    neutral = get("deltaNeutral", _NO_DELTA_NEUTRAL)
    out += [
        get("volatility", ""), get("volatilityType") or "0", get("deltaNeutralOrderType") or "None",
        get("deltaNeutralAuxPrice", ""), neutral[0], neutral[5], neutral[6], neutral[7],
        get("continuousUpdate") or "0", get("referencePriceType") or "0", trail, number(terms.trailing_percent), "",
    ]  # fmt: skip
    _legs(out, echo)
    _scale_and_hedge(out, echo)
    out += [get("clearingAccount", ""), get("clearingIntent") or "IB", get("notHeld") or "0"]
    _delta_neutral_contract_and_algo(out, echo)
    out += [get("solicited") or "0", order.status, get("randomizeSize") or "0", get("randomizePrice") or "0"]
    _peg_bench_and_conditions(out, echo)
    completed = "" if order.completed_at is None else zoned(order.completed_at)
    out += [
        trail, number(terms.limit_price_offset), number(terms.cash_quantity) or "0.0",
        get("dontUseAutoPriceForHedge") or "0", get("isOmsContainer") or "0", "", decimal_point(order.filled),
        UNSET_INTEGER, get("autoCancelParent") or "0", SHAREHOLDER, "0", "0", NO_PARENT, completed,
        order.completed_status,
    ]  # fmt: skip
    if version >= versions.PEG_OFFSETS:
        out += [get(name, "") for name in _PEG_OFFSETS]
    return frame(out)


def exec_details(execution: Execution, version: int, request_id: int = -1) -> bytes:
    """execDetails; request id −1 is a fill as it happens."""
    order = execution.order
    out = [
        "11", str(request_id), str(order.order_id), *contract11(order.contract, _exchange(order)), execution.exec_id,
        zoned(execution.at), execution.account, execution.exchange, execution.side, decimal_point(execution.quantity),
        number(execution.price), str(order.perm_id), str(order.client_id), "0", decimal_point(execution.cumulative),
        number(execution.average_price), order.terms.order_ref, "", "", order.terms.echo.get("modelCode", ""), "2",
    ]  # fmt: skip
    if version >= versions.PENDING_PRICE_REVISION:
        out.append("0")
    return frame(out)


def commission_report(execution: Execution) -> bytes:
    realized = UNSET_DOUBLE if execution.realized is None else number(execution.realized)
    commission = number(execution.commission)
    return frame(("59", "1", execution.exec_id, commission, execution.commission_currency, realized, UNSET_DOUBLE, ""))


# ---------------------------------------------------------------- parts that both order messages have


def _exchange(order: PaperOrder) -> str:
    return order.terms.contract.exchange or order.contract.exchange


def _contract(order: PaperOrder) -> list[str]:
    return contract11(order.contract, _exchange(order), no_right=UNKNOWN_RIGHT)


def _terms(order: PaperOrder) -> list[str]:
    """action … account."""
    terms = order.terms
    return [
        terms.action,
        decimal_point(terms.quantity),
        terms.order_type,
        number(terms.limit_price) or "0.0",
        number(terms.aux_price) or "0.0",
        terms.tif or "DAY",
        terms.oca_group,
        order.account,
    ]


def _legs(out: list[str], echo: dict[str, Any]) -> None:
    for name in ("legs", "legPrices", "smartRouting"):
        rows = echo.get(name, ())
        out.append(str(len(rows)))
        for row in rows:
            out += row


def _scale_and_hedge(out: list[str], echo: dict[str, Any]) -> None:
    out += [echo.get(name, "") for name in _SCALES]
    out += echo.get("scale", ())
    hedge = echo.get("hedgeType", "")
    out.append(hedge)
    if hedge:
        out.append(echo.get("hedgeParam", ""))


def _delta_neutral_contract_and_algo(out: list[str], echo: dict[str, Any]) -> None:
    neutral = echo.get("deltaNeutralContract")
    out += ("0",) if neutral is None else ("1", *neutral)
    algo = echo.get("algoStrategy", "")
    out.append(algo)
    if algo:
        pairs = echo.get("algoParams", ())
        out.append(str(len(pairs)))
        for pair in pairs:
            out += pair


def _peg_bench_and_conditions(out: list[str], echo: dict[str, Any]) -> None:
    out += echo.get("pegBench", ())
    conditions = echo.get("conditions", ())
    out.append(str(len(conditions)))
    for condition in conditions:
        out += condition
    if conditions:
        out += echo.get("conditionFlags", ("0", "0"))


def _margins(answer: WhatIf) -> list[str]:
    before = (answer.init_before, answer.maint_before, answer.equity_before)
    change = (answer.init_change, answer.maint_change, answer.equity_change)
    after = [a + b for a, b in zip(before, change, strict=True)]
    margins = [money(value) for value in (*before, *change, *after)]
    return [*margins, number(answer.commission), "", "", answer.commission_currency, ""]
