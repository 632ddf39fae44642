"""A merged document of good shape to a `StrategySpec`, with the rules that hold between fields.

Each section is built as far as its own shape allows, so that one mistake does not hide another somewhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.base_params import BaseParams
from runner.blocks import CombineBlock, ExitBlock, Kind, NotLoaded, SignalBlock, SizingBlock, build
from runner.model.annotations import Loosening
from runner.model.bars import BarSize
from runner.model.orders import TimeInForce
from runner.spec.build_blocks import BlockBuilder
from runner.spec.deployment import Deployment
from runner.spec.load import Document, Node
from runner.spec.problems import KeyPath, Problem, error
from runner.spec.rules import execution as execution_rules
from runner.spec.rules import history as history_rules
from runner.spec.rules import hooks as hook_rules
from runner.spec.rules import markets as market_rules
from runner.spec.rules import schedule as schedule_rules
from runner.spec.rules import weights as weight_rules
from runner.spec.rules.risk import Risk, check_risk
from runner.spec.schema import REQUIRED, meta_keys
from runner.spec.spec import (
    BarsSpec,
    Claims,
    EvaluateOn,
    ExecutionSpec,
    ExecutionStyle,
    OnRemove,
    ReloadSpec,
    ScheduleSpec,
    StrategySpec,
    UniverseSpec,
)
from runner.spec.subject import Subject
from runner.spec.times import TimeRef, parse_clock, parse_every
from runner.spec.universe import read_universe

if TYPE_CHECKING:
    from runner.spec.cases import Case

DEFAULT_COMBINE = "first"
"""How signals are combined when nothing is said, which does with one signal only."""


@dataclass(slots=True)
class Builder:
    """One file on its way to a spec. `problems` grows; a section with an error in it is not built."""

    root: Node
    document: Document
    path: Path
    bases: tuple[Path, ...]
    deployment: Deployment
    repository: Path
    """What fixtures of tests are relative to."""
    problems: list[Problem] = field(default_factory=list)
    cases: tuple[Case, ...] = ()
    """The tests in the file, once it is built."""
    case_problems: list[Problem] = field(default_factory=list)
    """What is wrong with what they say. It does not keep the strategy from being built."""
    subject: Subject = field(default_factory=Subject)
    """What its tests can be held against, once it is built."""
    blocks: BlockBuilder = field(init=False)

    def __post_init__(self) -> None:
        self.blocks = BlockBuilder(self.root, self.deployment, self.problems)

    def build(self) -> StrategySpec | None:
        """The spec, or None when anything is wrong."""
        universe = self._universe()
        params = self._params(universe)
        signals: dict[str, SignalBlock] = self.blocks.named(Kind.SIGNAL, "signals")
        combine = self._combine()
        sizing = self._sizing(universe, params)
        exits: dict[str, ExitBlock] = self.blocks.named(Kind.EXIT, "exits")
        schedule = self._schedule()
        execution = self._execution()
        bars = self._bars(signals, sizing, exits)
        if bars is not None:
            history_rules.check_reach(self.root, bars, _warmups(signals, sizing, exits), self.problems)
            if schedule is not None:
                schedule_rules.check_times(self.root, bars, schedule, self.problems)
                market_rules.check_hours(self.root, bars, schedule, self.problems)
        if universe is not None:
            market_rules.check_currencies(self.root, universe, self.deployment.base_currency, self.problems)
            if schedule is not None:
                market_rules.check_calendar(self.root, universe, schedule, self.problems)
        if execution is not None:
            execution_rules.check_execution(self.root, execution, self.problems)
        hook_rules.check_hooks(self.root, self.deployment.allowed_packages, self.problems)
        self.subject = self._subject(universe, params, signals, sizing, exits, bars)
        if self.root.child("tests") is not None:
            # Most files have no tests, and need not wait for what judges them.
            from runner.spec.rules import cases as case_rules

            found = list(self.problems)
            self.cases = case_rules.judge_cases(self.root, self.document, self.subject, self.repository, found)
            self.case_problems = found[len(self.problems) :]
        if any(problem.is_error for problem in self.problems):
            return None
        assert universe and params and signals and combine and sizing and schedule and execution and bars
        claims = self.blocks.claims(signals, combine, sizing, universe, params)
        if claims is None:
            return None
        spec = self._spec(universe, params, signals, combine, sizing, exits, schedule, execution, bars, claims)
        history_rules.check_cost(self.root, spec.warmup_cost, self.problems)
        check_risk(Risk(spec=spec, root=self.root, own_file=self.document.file), self.problems)
        return spec

    def _spec(
        self,
        universe: UniverseSpec,
        params: BaseParams,
        signals: dict[str, SignalBlock],
        combine: CombineBlock,
        sizing: SizingBlock,
        exits: dict[str, ExitBlock],
        schedule: ScheduleSpec,
        execution: ExecutionSpec,
        bars: BarsSpec,
        claims: Claims,
    ) -> StrategySpec:
        data = self.root.data()
        return StrategySpec(
            name=data["name"],
            description=data.get("description", ""),
            owner=data.get("owner", ""),
            tags=tuple(data.get("tags", ())),
            enabled=data.get("enabled", True),
            file=self.path,
            spec_hash=spec_hash(data),
            universe=universe,
            bars=bars,
            signals=signals,
            combine=combine,
            sizing=sizing,
            exits=exits,
            params=params,
            schedule=schedule,
            execution=execution,
            hooks=data.get("hooks", {}),
            hook_params=data.get("hook_params", {}),
            on_remove=OnRemove(data.get("on_remove", OnRemove.HOLD.value)),
            reload=_reload(data.get("reload", {})),
            document=data,
            source=self.document.text,
            bases=self.bases,
            warmup_cost=history_rules.warmup_cost(bars, universe),
            claims=claims,
            plugged_in=self.blocks.plugged_in,
        )

    def _good(self, *path: str) -> Node | None:
        return self.blocks.good(path)

    def _bad(self, section: str) -> bool:
        """Whether a section is there, or needed, and cannot be built."""
        return self._good(section) is None and (section in REQUIRED or self.root.child(section) is not None)

    def _universe(self) -> UniverseSpec | None:
        node = self._good("universe")
        key = self.root.key_span(("universe",))
        return None if node is None or key is None else read_universe(node, key, self.problems)

    def _params(self, universe: UniverseSpec | None) -> BaseParams | None:
        if self._bad("params"):
            return None
        node = self.root.child("params")
        said = {} if node is None else node.data()
        if weight_rules.check_weights(self.root, said, self.problems):
            return None
        try:
            return BaseParams.from_mapping(said | {"universe": universe.text if universe is not None else ""})
        except ValueError as exc:
            self.blocks.refused("M403", str(exc), ("params",), "params")
            return None

    def _combine(self) -> CombineBlock | None:
        node = self.root.child("combine")
        names = self.blocks.names("signals")
        if node is None:
            if len(names) > 1:
                span = self.root.key_span(("signals",)) or self.root.locate(("signals",))
                message = f"{len(names)} signals need a combine"
                there_are = ", ".join(self.deployment.catalog.blocks(Kind.COMBINE))
                hint = f"add combine: {{use: all_of}}; there are: {there_are}"
                self.problems.append(error("M412", message, span, path=("signals",), hint=hint))
                return None
            default: CombineBlock = build(self.deployment.catalog.find(Kind.COMBINE, DEFAULT_COMBINE), {})
            return default
        combine: CombineBlock | None = self.blocks.one(Kind.COMBINE, ("combine",))
        if combine is None or not names:
            return combine
        check = partial(combine.check, names)
        return combine if self.blocks.agrees(check, "M414", ("combine",)) else None

    def _sizing(self, universe: UniverseSpec | None, params: BaseParams | None) -> SizingBlock | None:
        sizing: SizingBlock | None = self.blocks.one(Kind.SIZING, ("sizing",))
        if sizing is None or universe is None or params is None:
            return sizing
        check = partial(sizing.check, [query.symbol for query in universe.instruments], params)
        return sizing if self.blocks.agrees(check, "M415", ("sizing",)) else None

    def _bars(
        self, signals: Mapping[str, SignalBlock], sizing: SizingBlock | None, exits: Mapping[str, ExitBlock]
    ) -> BarsSpec | None:
        node = self._good("bars")
        if node is None:
            return None
        needs = _warmups(signals, sizing, exits)
        data = node.data()
        history = data.get("history")
        if history is None:
            history = max([1, *needs.values()])
        else:
            history_rules.check_warmup(self.root, history, needs, self.problems)
        return BarsSpec(size=BarSize(data["size"]), history=history, regular_hours=data.get("regular_hours", True))

    def _subject(
        self,
        universe: UniverseSpec | None,
        params: BaseParams | None,
        signals: Mapping[str, SignalBlock],
        sizing: SizingBlock | None,
        exits: Mapping[str, ExitBlock],
        bars: BarsSpec | None,
    ) -> Subject:
        names, exit_names = self.blocks.names("signals"), self.blocks.names("exits")
        whole = sizing is not None and len(names) == len(signals) > 0 and len(exit_names) == len(exits)
        known = whole and NotLoaded not in self.blocks.plugged_in.values()
        return Subject(
            universe=universe,
            signals=names or None,
            exits=exit_names,
            warmup=max(_warmups(signals, sizing, exits).values()) if known else None,
            bar_size=None if bars is None else bars.size,
            params=params,
        )

    def _schedule(self) -> ScheduleSpec | None:
        if self._bad("schedule"):
            return None
        node = self.root.child("schedule")
        data = {} if node is None else node.data()
        window, every = data.get("window"), data.get("every")
        evaluate, flatten_at = data.get("evaluate"), data.get("flatten_at")
        schedule = ScheduleSpec(
            calendar=data.get("calendar"),
            window=None if window is None else (parse_clock(window[0]), parse_clock(window[1])),
            evaluate=None if evaluate is None else TimeRef.parse(evaluate),
            every=None if every is None else parse_every(every),
            on=EvaluateOn(data.get("on", EvaluateOn.BAR.value)),
            flatten_at=None if flatten_at is None else TimeRef.parse(flatten_at),
        )
        schedule_rules.check_schedule(self.root, schedule, self.problems)
        return schedule

    def _execution(self) -> ExecutionSpec | None:
        if self._bad("execution"):
            return None
        node = self.root.child("execution")
        data = {} if node is None else node.data()
        return ExecutionSpec(
            order=ExecutionStyle(data.get("order", ExecutionStyle.MARKET.value)),
            limit_offset_bps=float(data.get("limit_offset_bps", 0.0)),
            tif=TimeInForce(data.get("tif", TimeInForce.DAY.value)),
        )


def _warmups(
    signals: Mapping[str, SignalBlock], sizing: SizingBlock | None, exits: Mapping[str, ExitBlock]
) -> dict[KeyPath, int]:
    """Bars that each block needs, by where it is in the file."""
    needs: dict[KeyPath, int] = {("signals", name): block.warmup for name, block in signals.items()}
    if sizing is not None:
        needs[("sizing",)] = sizing.warmup
    return needs | {("exits", name): block.warmup for name, block in exits.items()}


def _reload(said: Mapping[str, Any]) -> ReloadSpec:
    loosening = said.get("loosening")
    return ReloadSpec(loosening=None if loosening is None else Loosening(loosening))


def spec_hash(document: Mapping[str, Any]) -> str:
    """sha256 of what the document says about trading, as canonical JSON.

    Keys of reload class `meta` are left out. The order of keys does not count, except that of the signals.
    """
    trading = {key: value for key, value in document.items() if key not in meta_keys()}
    ordered = {**trading, "signals": list((document.get("signals") or {}).items())}
    text = json.dumps(ordered, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
