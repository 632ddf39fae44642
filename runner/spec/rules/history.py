"""The history that a strategy needs: M402, M418 and W315."""

from __future__ import annotations

from collections.abc import Mapping

from runner.model.bar_requests import most_years, pacing_s, requests_for, years_of
from runner.spec.load import Node
from runner.spec.problems import KeyPath, Problem, Related, dotted, error, warning
from runner.spec.spec import BarsSpec, UniverseSpec, WarmupCost

LONG_WARMUP_MINUTES = 10.0
MANY_REQUESTS = 1_000


def check_warmup(root: Node, history: int, needs: Mapping[KeyPath, int], problems: list[Problem]) -> None:
    """M402: the history must hold at least the warm-up of every block."""
    most = max(needs.values(), default=0)
    for path, bars in needs.items():
        if bars <= history:
            continue
        here = _largest_setting(root, path)
        related = (Related("history is set here", root.locate(("bars", "history"))),)
        message = f"{dotted(path)} needs {bars} bars before its first value, but bars.history is {history}"
        hint = f"set bars.history to at least {most}, or remove it"
        problems.append(error("M402", message, root.locate(here), path=here, hint=hint, related=related))


def _largest_setting(root: Node, path: KeyPath) -> KeyPath:
    """The block's largest whole number, which is what makes it need so many bars; else its `use`."""
    settings = root.find((*path, "with"))
    if settings is not None and settings.is_mapping:
        numbers = {
            key: entry.node.value
            for key, entry in settings.value.items()
            if isinstance(entry.node.value, int) and not isinstance(entry.node.value, bool)
        }
        if numbers:
            return (*path, "with", max(numbers, key=lambda key: numbers[key]))
    return (*path, "use")


def check_reach(root: Node, bars: BarsSpec, needs: Mapping[KeyPath, int], problems: list[Problem]) -> None:
    """M418: IB has no bars from before a certain time, the shorter the bars the less far back."""
    years, most = years_of(bars.history, bars.size, bars.regular_hours), most_years(bars.size)
    if years <= most:
        return
    path: KeyPath = ("bars", "history")
    if root.find(path) is None:
        path = _largest_setting(root, max(needs, key=lambda block: needs[block]))
    message = f"{bars.history} bars of {bars.size.value} reach back {years:,.0f} years; IB has about {most:g}"
    hint = f"ask for {int(bars.history * most / years)} bars at most"
    problems.append(error("M418", message, root.locate(path), path=path, hint=hint))


def warmup_cost(bars: BarsSpec, universe: UniverseSpec) -> WarmupCost | None:
    """What loading the history takes with an empty cache; None for a library of unknown size."""
    count = universe.max_symbols if universe.library is not None else len(universe.instruments)
    if count is None:
        return None
    requests = count * requests_for(bars.history, bars.size, bars.regular_hours)
    return WarmupCost(requests=requests, minutes=pacing_s(requests, bars.size) / 60)


def check_cost(root: Node, cost: WarmupCost | None, problems: list[Problem]) -> None:
    """W315: a warm-up that keeps the strategy waiting, by IB's own pacing."""
    if cost is None or (cost.minutes < LONG_WARMUP_MINUTES and cost.requests < MANY_REQUESTS):
        return
    path: KeyPath = ("bars", "history") if root.find(("bars", "history")) is not None else ("bars", "size")
    message = f"the first warm-up takes {cost}"
    hint = (
        "IB answers 60 requests for bars of 30 seconds or less in ten minutes; use longer bars, fewer of them, or fewer"
    )
    if not cost.minutes:
        hint = "use longer bars, fewer of them, or fewer"
    problems.append(warning("W315", message, root.locate(path), path=path, hint=hint + " instruments"))
