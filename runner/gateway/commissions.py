"""What a fill costs: IB's fixed pricing in its plain form, to the cent.

A minimum is charged once an order, not once a fill: the commission of a fill is what the whole order so far costs, less
what its earlier fills were charged. So the sum over fills is the order's commission, to the cent.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from runner.gateway.model import ZERO, Contract

CENT = Decimal("0.01")
STOCK_PER_SHARE = Decimal("0.005")
STOCK_MINIMUM = Decimal("1.00")
STOCK_MAXIMUM_FRACTION = Decimal("0.01")
"""Of the trade's value; it holds against the minimum too."""
FOREIGN_STOCK_FRACTION = Decimal("0.0005")
FOREIGN_STOCK_MINIMUM = Decimal("3.00")
FUTURE_PER_CONTRACT = Decimal("2.25")
FX_FRACTION = Decimal("0.00002")
FX_MINIMUM = Decimal("2.00")


def cents(amount: Decimal) -> Decimal:
    """`amount` to the cent, halves away from zero."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def order_commission(contract: Contract, quantity: Decimal, value: Decimal) -> Decimal:
    """Commission of an order of which `quantity` units are filled for `value` (price × quantity × multiplier, > 0).

    `value` is in the contract's currency, and so is the result; for FX both are in the account's base currency.
    """
    if quantity <= 0:
        return ZERO
    if contract.sec_type == "CASH":
        return cents(max(FX_MINIMUM, FX_FRACTION * value))
    if contract.sec_type == "FUT":
        return cents(FUTURE_PER_CONTRACT * quantity)
    if contract.currency == "USD":
        wanted = max(STOCK_MINIMUM, STOCK_PER_SHARE * quantity)
        return cents(min(wanted, STOCK_MAXIMUM_FRACTION * value))
    return cents(max(FOREIGN_STOCK_MINIMUM, FOREIGN_STOCK_FRACTION * value))
