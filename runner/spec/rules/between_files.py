"""What must hold between the strategies of one folder: W318 and W319. Names that clash are refused in `folder`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from runner.spec.deployment import Deployment
from runner.spec.load import Node
from runner.spec.problems import Problem, Related, Span, warning
from runner.spec.rules.markets import named
from runner.spec.spec import StrategySpec

Member: TypeAlias = tuple[StrategySpec, Node]
"""A strategy and its document with the bases merged in."""
_Key: TypeAlias = tuple[str, str, str, str]

MAX_RELATED = 3
EDGE = 1e-9


def check_folder(members: Sequence[Member], deployment: Deployment) -> list[Problem]:
    """All of them, over the strategies that are enabled."""
    enabled = [member for member in members if member[0].enabled]
    return [*_total_weight(enabled, deployment.max_total_weight), *_opposed(enabled)]


def _total_weight(members: Sequence[Member], limit: float) -> list[Problem]:
    """W318, at the largest of the weights."""
    total = sum(spec.params.target_weight for spec, _ in members)
    if total <= limit * (1 + EDGE):
        return []
    ranked = sorted(members, key=lambda member: (-member[0].params.target_weight, member[0].name))
    root = ranked[0][1]
    message = (
        f"the target weights of {len(members)} strategies add up to {total:.4g}, "
        f"more than portfolio.max_total_weight {limit:g}"
    )
    hint = "lower some of them, disable a strategy, or raise the limit in runner.yaml if borrowing is meant"
    related = [
        Related(f"{spec.name} has {spec.params.target_weight:g}", _weight_span(node))
        for spec, node in ranked[1 : 1 + MAX_RELATED]
    ]
    where = _weight_span(root)
    return [
        warning("W318", message, where, path=("params", "target_weight"), hint=hint, related=_apart(where, related))
    ]


def _weight_span(root: Node) -> Span:
    """Where the target weight is written, else the name of the strategy that has the default."""
    node = root.find(("params", "target_weight"))
    return node.span if node is not None else root.locate(("name",))


def _apart(where: Span, related: Sequence[Related]) -> list[Related]:
    """Without what points at the same place: weights that come from one base."""
    return [one for one in related if one.span != where]


@dataclass(slots=True)
class _Standing:
    """Who can be long and who short in one instrument, by index."""

    long: list[int] = field(default_factory=list)
    short: list[int] = field(default_factory=list)


def _opposed(members: Sequence[Member]) -> list[Problem]:
    """W319: one strategy's purchase would be another's sale. Reported once for each that can be short, with the
    strategies that can be long in the same instrument."""
    standing: dict[_Key, _Standing] = defaultdict(_Standing)
    for i, (spec, _) in enumerate(members):
        for query in spec.universe.instruments:
            sides = spec.claims.of_symbol.get(query.symbol, spec.claims.sides)
            key = (query.symbol, query.sec_type.value, query.currency, query.expiry)
            if 1 in sides:
                standing[key].long.append(i)
            if -1 in sides:
                standing[key].short.append(i)
    problems = []
    symbols: dict[int, list[str]] = defaultdict(list)
    others: dict[int, dict[int, None]] = defaultdict(dict)
    for (symbol, *_), there in standing.items():
        for i in there.short:
            against = [j for j in there.long[: MAX_RELATED + 2] if j != i]
            if against:
                symbols[i].append(symbol)
                others[i].update(dict.fromkeys(against))
    for i, shared in sorted(symbols.items()):
        spec, root = members[i]
        rivals = list(others[i])[: MAX_RELATED + 1]
        names = named([members[j][0].name for j in rivals])
        message = (
            f"{spec.name} can be short {named(shared)} while {names} can be long: they would trade against each other"
        )
        hint = "give them different instruments, or let only one of them go short"
        related = [
            Related(f"the universe of {members[j][0].name}", members[j][1].locate(("universe",))) for j in rivals
        ]
        where = root.key_span(("universe",)) or root.locate(("universe",))
        problems.append(
            warning("W319", message, where, path=("universe",), hint=hint, related=_apart(where, related)[:MAX_RELATED])
        )
    return problems
