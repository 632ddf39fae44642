"""The universe of a strategy: every form that a file may give it in, as one typed value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from runner.model.instruments import InstrumentQuery, SecType
from runner.spec.load import Node
from runner.spec.problems import KeyPath, Problem, Related, Span, Step, error, span_at, warning
from runner.spec.schema import SYMBOL_PATTERN
from runner.spec.spec import UniverseSpec
from runner.spec.steps import write_word

_TICKER = re.compile(r"[A-Z0-9][A-Z0-9 .&/-]*\Z", re.ASCII)
_PATH: KeyPath = ("universe",)


def read_universe(node: Node, key: Span, problems: list[Problem]) -> UniverseSpec | None:
    """The universe that `node` under `key` describes; None when it cannot be used, with the reason in `problems`."""
    before = len(problems)
    if node.is_mapping:
        universe = _mapping(node, key, problems)
    elif node.is_list:
        universe = UniverseSpec(instruments=_instruments(node, {}, _PATH, problems))
    else:
        universe = _text(node, problems)
    return None if any(p.is_error for p in problems[before:]) else universe


def lists_symbols(text: str) -> bool:
    """Whether a universe of one piece of text lists symbols; else it names a library."""
    return "," in text or _TICKER.match(text.strip()) is not None


def default_exchange(sec_type: SecType) -> str | None:
    """Where an instrument trades when nobody says; None when it has to be said."""
    if sec_type in (SecType.FUTURE, SecType.INDEX):
        return None
    return "IDEALPRO" if sec_type is SecType.FOREX else "SMART"


def _text(node: Node, problems: list[Problem]) -> UniverseSpec:
    text: str = node.value
    if lists_symbols(text):
        return UniverseSpec(instruments=_instruments(node, {}, _PATH, problems))
    name = text.strip()
    message = f'universe "{name}" is read as an ArcticDB library, because a symbol would be in capital letters'
    hint = f"write universe: {{library: {name}}}, or {{symbols: […]}}"
    problems.append(warning("W302", message, node.span, path=_PATH, hint=hint))
    return UniverseSpec(library=name)


def _mapping(node: Node, key: Span, problems: list[Problem]) -> UniverseSpec | None:
    symbols, library = node.child("symbols"), node.child("library")
    limit = node.child("max_symbols")
    defaults_node = node.child("defaults")
    defaults: dict[str, Any] = defaults_node.data() if defaults_node is not None else {}
    if (symbols is None) == (library is None):
        message = "universe needs either symbols or library" + (", not both" if symbols is not None else "")
        problems.append(error("M409", message, key, path=_PATH, hint="write symbols: [AAPL, MSFT]"))
        return None
    if symbols is not None:
        if limit is not None:
            message = "universe.max_symbols means nothing without universe.library"
            problems.append(error("M409", message, limit.span, path=(*_PATH, "max_symbols"), hint="remove it"))
        return UniverseSpec(instruments=_instruments(symbols, defaults, (*_PATH, "symbols"), problems))
    assert library is not None
    template = _query("", defaults, {}, library, (*_PATH, "library"), problems)
    return UniverseSpec(library=library.value, max_symbols=None if limit is None else limit.value, defaults=template)


def _instruments(
    node: Node, defaults: dict[str, Any], path: KeyPath, problems: list[Problem]
) -> tuple[InstrumentQuery, ...]:
    found: dict[str, tuple[InstrumentQuery, Node]] = {}
    for symbol, own, at, here in _entries(node, path, problems):
        query = _query(symbol, defaults, own, at, here, problems)
        if symbol in found:
            first = found[symbol][1]
            # In one piece of text both stand at the same place.
            related = (Related("first listed here", first.span),) if first is not at else ()
            step = _listed(at, dict.fromkeys(_parts(at))) if first is at else Step("remove one")
            message = f"{symbol} is listed twice"
            problems.append(error("M408", message, at.span, path=here, hint=step.hint, fix=step.fix, related=related))
        else:
            found[symbol] = (query, at)
    return tuple(query for query, _ in found.values())


def _entries(node: Node, path: KeyPath, problems: list[Problem]) -> list[tuple[str, dict[str, Any], Node, KeyPath]]:
    """Symbol, its own settings, and where it is written."""
    entries: list[tuple[str, dict[str, Any], Node, KeyPath]] = []
    if not node.is_list:
        parts = _parts(node)
        for part in parts:
            if re.search(SYMBOL_PATTERN, part):
                entries.append((part, {}, node, path))
            elif part:
                hint = 'write symbols as "AAPL, MSFT"'
                problems.append(error("S207", f'"{part}" is not a symbol', node.span, path=path, hint=hint))
            else:
                step = _listed(node, [part for part in parts if part])
                message = "there is a comma without a symbol"
                problems.append(error("S207", message, node.span, path=path, hint=step.hint, fix=step.fix))
        return entries
    for i, item in enumerate(node.value):
        here = (*path, i)
        if item.is_mapping:
            settings = item.data()
            entries.append((settings.pop("symbol"), settings, item.child("symbol") or item, here))
        else:
            entries.append((item.value, {}, item, here))
    return entries


def symbol_places(root: Node, sources: Mapping[str, str]) -> dict[str, tuple[Span, KeyPath]]:
    """Where each symbol of a strategy that lists its universe is written, and the path of its entry.

    `root` is the document, `sources` the text of its files: symbols that share one text are found in it.
    """
    node, path = root.child("universe"), _PATH
    if node is not None and node.is_mapping:
        node, path = node.child("symbols"), (*path, "symbols")
    if node is None:
        return {}
    entries = _entries(node, path, [])
    if node.is_list:
        return {symbol: (at.span, here) for symbol, _, at, here in entries}
    return {symbol: (_word_in(at.span, sources.get(at.span.file, ""), symbol), here) for symbol, _, at, here in entries}


def _word_in(span: Span, text: str, word: str) -> Span:
    """Where `word` stands between the commas of the text at `span`; `span` when it cannot be told."""
    found = re.search(rf"""(?<![^\s,'"]){re.escape(word)}(?![^\s,'"])""", text[span.start : span.end])
    if found is None:
        return span
    return span_at(span.file, text, span.start + found.start(), length=len(word))


def _parts(node: Node) -> list[str]:
    return [part.strip() for part in node.value.split(",")]


def _listed(node: Node, symbols: Iterable[str]) -> Step:
    return write_word(node, ", ".join(symbols))


def _query(
    symbol: str, defaults: dict[str, Any], own: dict[str, Any], at: Node, path: KeyPath, problems: list[Problem]
) -> InstrumentQuery:
    said = defaults | own
    sec_type = SecType(said.get("sec_type", SecType.STOCK.value))
    exchange = said.get("exchange") or default_exchange(sec_type) or "SMART"
    label = symbol or "the library"
    if sec_type is SecType.FUTURE and not said.get("expiry"):
        hint = "add expiry: yyyymm"
        problems.append(error("M413", f"the future {label} needs an expiry", at.span, path=path, hint=hint))
    if default_exchange(sec_type) is None and "exchange" not in said:
        hint = "add its exchange, for example exchange: CME"
        kind = "future" if sec_type is SecType.FUTURE else "index"
        problems.append(error("M413", f"the {kind} {label} needs an exchange", at.span, path=path, hint=hint))
    if said.get("expiry") and sec_type is not SecType.FUTURE:
        message = f"{label} has an expiry, but is not a future"
        problems.append(error("M413", message, at.span, path=path, hint="add sec_type: FUT, or remove expiry"))
    return InstrumentQuery(
        symbol=symbol,
        sec_type=sec_type,
        exchange=exchange,
        currency=said.get("currency") or "USD",
        primary_exchange=said.get("primary") or "",
        expiry=said.get("expiry") or "",
    )
