"""From the fields of a request to values: contracts, and placeOrder with every one of its fields.

A request that is too short, too long or carries text where a number belongs raises `wire.BadField`: a misread order
must never be executed. Kinds of fields are letters: `i` integer, `d` double, `b` bool, `s` text.
"""

from __future__ import annotations

from decimal import Decimal

from runner.gateway import versions
from runner.gateway.model import ZERO, ContractQuery, OrderTerms
from runner.gateway.wire import INFINITE, INFINITY, UNSET_INTEGER, BadField, to_bool, to_decimal, to_int

MOST_REPEATS = 1_000
"""Legs, conditions or tags in one order; IB allows far fewer."""

_COMMON = frozenset({"", "0", "1"})
"""Texts that are right for every kind of number and that most fields carry."""


class FieldReader:
    """Reads the fields of one request from left to right."""

    __slots__ = ("_at", "_fields")

    def __init__(self, fields: list[str], at: int = 1) -> None:
        self._fields = fields
        self._at = at

    def text(self) -> str:
        try:
            value = self._fields[self._at]
        except IndexError:
            raise BadField(f"the request ends after {len(self._fields)} fields") from None
        self._at += 1
        return value

    def integer(self, default: int = 0) -> int:
        return to_int(self.text(), default)

    def number(self) -> Decimal | None:
        return to_decimal(self.text())

    def flag(self) -> bool:
        return to_bool(self.text())

    def count(self) -> int:
        """How many of something follow."""
        value = self.integer()
        if not 0 <= value <= MOST_REPEATS:
            raise BadField(f"{value} repeated fields")
        return value

    def texts(self, many: int) -> list[str]:
        end = self._at + many
        taken = self._fields[self._at : end]
        if len(taken) != many:
            raise BadField(f"the request ends after {len(self._fields)} fields")
        self._at = end
        return taken

    def row(self, kinds: str) -> list[str]:
        """One group of fields, each checked against its kind and with IB's unset numbers emptied."""
        return [checked(text, kind) for text, kind in zip(self.texts(len(kinds)), kinds, strict=True)]

    def rows(self, kinds: str) -> list[list[str]]:
        """A count, then that many groups."""
        return [self.row(kinds) for _ in range(self.count())]

    def finish(self) -> None:
        """Refuse fields that nobody asked for: everything before them may have been misread."""
        left = len(self._fields) - self._at
        if left:
            raise BadField(f"{left} fields more than the request has")

    def contract(self) -> ContractQuery:
        """The twelve contract fields of requests."""
        texts = self.texts(12)
        strike = to_decimal(texts[4])
        return ContractQuery(
            con_id=to_int(texts[0]),
            symbol=texts[1],
            sec_type=texts[2],
            expiry=texts[3],
            strike=0.0 if strike is None else float(strike),
            right=texts[5],
            multiplier=texts[6],
            exchange=texts[7],
            primary_exchange=texts[8],
            currency=texts[9],
            local_symbol=texts[10],
            trading_class=texts[11],
        )

    def skip_legs(self, query: ContractQuery) -> None:
        """The four-field legs that follow a combination's contract in data requests."""
        if query.sec_type == "BAG":
            self.rows("iiss")


def checked(text: str, kind: str) -> str:
    """`text` when it may stand in a field of that kind, with IB's unset numbers emptied. BadField otherwise."""
    if kind == "s" or text in _COMMON:
        return text
    if kind == "d":
        if text in INFINITE:
            return INFINITY
        return "" if to_decimal(text) is None else text
    if kind == "i":
        return "" if text == UNSET_INTEGER else str(to_int(text))
    return "1" if to_bool(text) else "0"


# ---------------------------------------------------------------- placeOrder, block by block in the order of the wire

_TERMS = (
    "action", "totalQuantity", "orderType", "lmtPrice", "auxPrice", "tif", "ocaGroup", "account", "openClose", "origin",
    "orderRef", "transmit", "parentId", "blockOrder", "sweepToFill", "displaySize", "triggerMethod", "outsideRth",
    "hidden",
)  # fmt: skip
_ALLOCATION = ("discretionaryAmt", "goodAfterTime", "goodTillDate", "faGroup", "faMethod", "faPercentage")
_CONDITIONS_OF_TRADE = (
    "modelCode", "shortSaleSlot", "designatedLocation", "exemptCode", "ocaType", "rule80A", "settlingFirm",
    "allOrNone", "minQty", "percentOffset", "eTradeOnly", "firmQuoteOnly", "nbboPriceCap", "auctionStrategy",
    "startingPrice", "stockRefPrice", "delta", "stockRangeLower", "stockRangeUpper", "overridePercentageConstraints",
    "volatility", "volatilityType", "deltaNeutralOrderType", "deltaNeutralAuxPrice",
)  # fmt: skip
_MOVING = (
    "continuousUpdate", "referencePriceType", "trailStopPrice", "trailingPercent", "scaleInitLevelSize",
    "scaleSubsLevelSize", "scalePriceIncrement",
)  # fmt: skip
_ACTIVITY = ("scaleTable", "activeStartTime", "activeStopTime", "hedgeType")
_CLEARING = ("optOutSmartRouting", "clearingAccount", "clearingIntent", "notHeld")
_AFTER_ALGO = ("algoId", "whatIf", "orderMiscOptions", "solicited", "randomizeSize", "randomizePrice")
_ADJUSTMENT = (
    "adjustedOrderType", "triggerPrice", "lmtPriceOffset", "adjustedStopPrice", "adjustedStopLimitPrice",
    "adjustedTrailingAmount", "adjustableTrailingUnit", "extOperator", "softDollarName", "softDollarVal", "cashQty",
    "mifid2DecisionMaker", "mifid2DecisionAlgo", "mifid2ExecutionTrader", "mifid2ExecutionAlgo",
    "dontUseAutoPriceForHedge", "isOmsContainer", "discretionaryUpToLimitPrice", "usePriceMgmtAlgo",
)  # fmt: skip

_DOUBLES = (
    "totalQuantity", "lmtPrice", "auxPrice", "discretionaryAmt", "percentOffset", "nbboPriceCap", "startingPrice",
    "stockRefPrice", "delta", "stockRangeLower", "stockRangeUpper", "volatility", "deltaNeutralAuxPrice",
    "trailStopPrice", "trailingPercent", "scalePriceIncrement", "triggerPrice", "lmtPriceOffset", "adjustedStopPrice",
    "adjustedStopLimitPrice", "adjustedTrailingAmount", "cashQty",
)  # fmt: skip
_INTEGERS = (
    "origin", "parentId", "displaySize", "triggerMethod", "shortSaleSlot", "exemptCode", "ocaType", "minQty",
    "auctionStrategy", "volatilityType", "referencePriceType", "scaleInitLevelSize", "scaleSubsLevelSize",
    "adjustableTrailingUnit", "usePriceMgmtAlgo",
)  # fmt: skip
_BOOLS = (
    "transmit", "blockOrder", "sweepToFill", "outsideRth", "hidden", "allOrNone", "eTradeOnly", "firmQuoteOnly",
    "overridePercentageConstraints", "continuousUpdate", "optOutSmartRouting", "notHeld", "whatIf", "solicited",
    "randomizeSize", "randomizePrice", "dontUseAutoPriceForHedge", "isOmsContainer", "discretionaryUpToLimitPrice",
)  # fmt: skip
_KINDS = {**dict.fromkeys(_DOUBLES, "d"), **dict.fromkeys(_INTEGERS, "i"), **dict.fromkeys(_BOOLS, "b")}

_LEG = "iissiisi"
_DELTA_NEUTRAL = "issssbis"
_SCALE = "didbiib"
_PEG_BENCH = "ibdds"
CONDITION_KINDS = {1: "sbdisi", 3: "sbs", 4: "sbi", 5: "ssss", 6: "sbiis", 7: "sbdis"}
"""What follows the type of an order condition: price, time, margin, execution, volume, percent change."""


def place_order(fields: list[str], version: int) -> OrderTerms:
    """A whole placeOrder request (message 3). Fields that the exchange does not act on stay as text in `echo`."""
    reader = FieldReader(fields)
    order_id = reader.integer()
    contract = reader.contract()
    echo: dict[str, object] = dict(zip(("secIdType", "secId"), reader.texts(2), strict=True))
    flat: dict[str, str] = {}

    def block(names: tuple[str, ...]) -> None:
        flat.update(zip(names, reader.texts(len(names)), strict=True))

    block(_TERMS)
    if contract.sec_type == "BAG":
        echo["legs"] = reader.rows(_LEG)
        echo["legPrices"] = reader.rows("d")
        echo["smartRouting"] = reader.rows("ss")
    reader.text()  # sharesAllocation, always empty
    block(_ALLOCATION)
    if version < versions.NO_FA_PROFILE:
        block(("faProfile",))
    block(_CONDITIONS_OF_TRADE)
    if flat["deltaNeutralOrderType"]:
        echo["deltaNeutral"] = reader.row(_DELTA_NEUTRAL)
    block(_MOVING)
    if (to_decimal(flat["scalePriceIncrement"]) or ZERO) > 0:
        echo["scale"] = reader.row(_SCALE)
    block(_ACTIVITY)
    if flat["hedgeType"]:
        block(("hedgeParam",))
    block(_CLEARING)
    if reader.flag():
        echo["deltaNeutralContract"] = reader.row("idd")
    block(("algoStrategy",))
    if flat["algoStrategy"]:
        echo["algoParams"] = reader.rows("ss")
    block(_AFTER_ALGO)
    if flat["orderType"] in ("PEG BENCH", "PEGBENCH"):
        echo["pegBench"] = reader.row(_PEG_BENCH)
    echo["conditions"] = _conditions(reader)
    if echo["conditions"]:
        echo["conditionFlags"] = reader.row("bb")
    block(_ADJUSTMENT)
    _newer(reader, version, contract, flat["orderType"], echo)
    reader.finish()
    for name, kind in _KINDS.items():
        text = flat[name]
        if text not in _COMMON:
            flat[name] = checked(text, kind)
    echo.update(flat)
    return _terms(order_id, contract, flat, echo)


def _conditions(reader: FieldReader) -> list[list[str]]:
    conditions = []
    for _ in range(reader.count()):
        kind = reader.integer()
        if kind not in CONDITION_KINDS:
            raise BadField(f"there is no order condition of type {kind}")
        conditions.append([str(kind), *reader.row(CONDITION_KINDS[kind])])
    return conditions


def _newer(
    reader: FieldReader, version: int, contract: ContractQuery, order_type: str, echo: dict[str, object]
) -> None:
    """The fields that came after version 157, at the end of the request."""
    if version >= versions.DURATION:
        echo["duration"] = checked(reader.text(), "i")
    if version >= versions.POST_TO_ATS:
        echo["postToAts"] = checked(reader.text(), "i")
    if version >= versions.AUTO_CANCEL_PARENT:
        echo["autoCancelParent"] = checked(reader.text(), "b")
    if version >= versions.ADVANCED_REJECT:
        echo["advancedErrorOverride"] = reader.text()
    if version >= versions.MANUAL_ORDER_TIME:
        echo["manualOrderTime"] = reader.text()
    if version >= versions.PEG_OFFSETS:
        if contract.exchange == "IBKRATS":
            echo["minTradeQty"] = checked(reader.text(), "i")
        if order_type in ("PEG BEST", "PEGBEST"):
            echo["minCompeteSize"], echo["competeAgainstBestOffset"] = reader.row("id")
            if echo["competeAgainstBestOffset"] == INFINITY:
                echo["midOffsetAtWhole"], echo["midOffsetAtHalf"] = reader.row("dd")
        elif order_type in ("PEG MID", "PEGMID"):
            echo["midOffsetAtWhole"], echo["midOffsetAtHalf"] = reader.row("dd")


def _terms(order_id: int, contract: ContractQuery, flat: dict[str, str], echo: dict[str, object]) -> OrderTerms:
    min_quantity = flat["minQty"]
    return OrderTerms(
        order_id=order_id,
        contract=contract,
        action=flat["action"],
        quantity=to_decimal(flat["totalQuantity"]) or ZERO,
        order_type=flat["orderType"],
        limit_price=to_decimal(flat["lmtPrice"]),
        aux_price=to_decimal(flat["auxPrice"]),
        tif=flat["tif"] or "DAY",
        oca_group=flat["ocaGroup"],
        oca_type=to_int(flat["ocaType"]),
        account=flat["account"],
        order_ref=flat["orderRef"],
        transmit=flat["transmit"] == "1",
        parent_id=to_int(flat["parentId"]),
        outside_rth=flat["outsideRth"] == "1",
        hidden=flat["hidden"] == "1",
        good_after_time=flat["goodAfterTime"],
        good_till_date=flat["goodTillDate"],
        all_or_none=flat["allOrNone"] == "1",
        min_quantity=to_int(min_quantity) if min_quantity else None,
        trail_stop_price=to_decimal(flat["trailStopPrice"]),
        trailing_percent=to_decimal(flat["trailingPercent"]),
        limit_price_offset=to_decimal(flat["lmtPriceOffset"]),
        what_if=flat["whatIf"] == "1",
        cash_quantity=to_decimal(flat["cashQty"]),
        echo=echo,
    )
