"""How orders are sent: M411 and W303."""

from __future__ import annotations

from runner.model.orders import TimeInForce
from runner.spec.load import Node
from runner.spec.problems import KeyPath, Problem, Step, error, warning
from runner.spec.spec import ExecutionSpec, ExecutionStyle
from runner.spec.steps import write_word


def check_execution(root: Node, execution: ExecutionSpec, problems: list[Problem]) -> None:
    """M411 and W303: order style, time in force and offset must fit together."""
    style, tif = execution.order, execution.tif
    at_close = style in (ExecutionStyle.MOC, ExecutionStyle.LOC)
    if at_close and tif is not TimeInForce.DAY:
        path: KeyPath = ("execution", "tif")
        message = f"an order at the close ({style.value}) has time in force DAY, not {tif.value}"
        step = _as_day(root)
        problems.append(error("M411", message, root.locate(path), path=path, hint=step.hint, fix=step.fix))
    if style is ExecutionStyle.REL and tif not in (TimeInForce.DAY, TimeInForce.GTC):
        path = ("execution", "tif")
        message = f"a relative order (rel) has time in force DAY or GTC, not {tif.value}"
        problems.append(error("M411", message, root.locate(path), path=path, hint="write tif: DAY, or tif: GTC"))
    offset = root.find(("execution", "limit_offset_bps"))
    if style is ExecutionStyle.REL and execution.limit_offset_bps < 0:
        path = ("execution", "limit_offset_bps")
        message = "a relative order (rel) cannot have a negative offset"
        problems.append(error("M411", message, root.locate(path), path=path, hint="write 0 or more, or order: limit"))
    if offset is not None and style in (ExecutionStyle.MARKET, ExecutionStyle.MOC):
        path = ("execution", "limit_offset_bps")
        message = f"execution.limit_offset_bps has no effect with order: {style.value}"
        hint = "remove it, or set order: limit"
        problems.append(warning("W303", message, offset.span, path=path, hint=hint))


def _as_day(root: Node) -> Step:
    """DAY as the time in force, written where the order style is: in a base it would change other strategies too."""
    order, tif = root.find(("execution", "order")), root.find(("execution", "tif"))
    together = order is not None and tif is not None and order.span.file == tif.span.file
    return Step("write tif: DAY", write_word(tif, TimeInForce.DAY.value).fix if together else ())
