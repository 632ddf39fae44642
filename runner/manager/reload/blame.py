"""Which line of a strategy file says something, or is at fault when a version of it could not be prepared."""

from __future__ import annotations

import re
from pathlib import Path

from runner.errors import ContractNotFound, HookError, NoMarketData, RunnerError, SpecError
from runner.manager.reload.files import within
from runner.portfolio.fx_cache import CurrencyWithoutRate
from runner.spec.folder import Loaded
from runner.spec.problems import KeyPath, Span
from runner.spec.spec import StrategySpec
from runner.spec.universe import symbol_places

_SYMBOL = re.compile(r"universe\.symbols\[(.+)\]\Z")
_BLOCK = re.compile(r"in (signal|exit) ([A-Za-z][A-Za-z0-9_]*) |in (combine|sizing) ")


def span_of(path: str, loaded: Loaded) -> Span | None:
    """Where a file, or a base of it, says the field at `path`; the section that it would be in when neither does."""
    if loaded.root is None:
        return None
    symbol = _SYMBOL.match(path)
    if symbol is None:
        return loaded.root.locate(tuple(path.split(".")))
    found = symbol_places(loaded.root, loaded.sources).get(symbol[1])
    return loaded.root.locate(("universe",)) if found is None else found[0]


def explained(error: Exception, loaded: Loaded | None, spec: StrategySpec, root: Path) -> str:
    """The error in words, with file, line and column where the file is at fault. `loaded` is the file that `spec` is
    of, when it is known, `root` the strategies folder."""
    said = error.message if isinstance(error, RunnerError) else f"{type(error).__name__}: {error}"
    notes = "; ".join(getattr(error, "__notes__", ()))
    text = f"{said} ({notes})" if notes else said
    span = None if loaded is None or loaded.spec is None else _span(error, loaded, spec)
    return text if span is None else f"at {within(span.file, root)}:{span.line}:{span.column}: {text}"


def _span(error: Exception, loaded: Loaded, spec: StrategySpec) -> Span | None:
    assert loaded.root is not None
    path = _path(error, spec)
    if path is not None:
        return loaded.root.locate(path)
    if isinstance(error, ContractNotFound | NoMarketData):
        for symbol, (span, _) in symbol_places(loaded.root, loaded.sources).items():
            if re.search(rf"(?<![A-Za-z0-9]){re.escape(symbol)}(?![A-Za-z0-9])", error.message):
                return span
    if isinstance(error, ContractNotFound | NoMarketData | CurrencyWithoutRate):
        return loaded.root.locate(("universe",))
    return None


def _path(error: Exception, spec: StrategySpec) -> KeyPath | None:
    message = str(error)
    for said in (*getattr(error, "__notes__", ()), message):
        block = _BLOCK.search(said)
        if block is not None:
            kind, name, single = block.groups()
            return (single,) if single else (f"{kind}s", name)
    if isinstance(error, HookError):
        for point, reference in spec.hooks.items():
            if reference in message or f"hook {point} " in message:
                return ("hooks", point)
    if isinstance(error, SpecError) or (spec.universe.library and spec.universe.library in message):
        return ("sizing",) if "sizing" in message else ("universe", "library") if spec.universe.library else None
    return None
