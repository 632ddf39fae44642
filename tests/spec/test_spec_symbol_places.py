"""Where each symbol of a universe is written, in every form that a universe can have."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.spec.folder import load_file, load_text
from runner.spec.problems import dotted
from runner.spec.universe import symbol_places

REST = """
bars: {size: 1 day}
signals: {trend: {use: sma_cross}}
sizing: {use: equal_weight}
"""


@pytest.mark.parametrize(
    ("universe", "expected"),
    [
        ("AAPL", {"AAPL": (11, "universe")}),
        ("AAPL, A, PL", {"AAPL": (11, "universe"), "A": (17, "universe"), "PL": (20, "universe")}),
        ('"BRK B,AAPL"', {"BRK B": (12, "universe"), "AAPL": (18, "universe")}),
        ("[AAPL, {symbol: DBK, currency: EUR}]", {"AAPL": (12, "universe[0]"), "DBK": (27, "universe[1]")}),
        ("{symbols: [AAPL, 0700]}", {"AAPL": (22, "universe.symbols[0]"), "0700": (28, "universe.symbols[1]")}),
        ("{symbols: 'AAPL, IBM'}", {"AAPL": (22, "universe.symbols"), "IBM": (28, "universe.symbols")}),
        ("{library: us_stocks}", {}),
    ],
)
def test_a_symbol_is_found_where_it_is_written(universe: str, expected: dict[str, tuple[int, str]]) -> None:
    loaded = load_text(f"spec: 1\nname: A\nuniverse: {universe}\n{REST}", path=Path("a.yaml"))
    assert loaded.spec is not None and loaded.root is not None, loaded.problems
    places = symbol_places(loaded.root, loaded.sources)
    assert {symbol: (span.column, dotted(path)) for symbol, (span, path) in places.items()} == expected
    assert all(span.line == 3 for span, _ in places.values())
    text = loaded.sources["a.yaml"]
    assert all(text[span.start : span.end] == symbol for symbol, (span, _) in places.items())


def test_symbols_on_several_lines_are_found_on_theirs() -> None:
    loaded = load_text(f'spec: 1\nname: A\nuniverse: "AAPL,\n  IBM"\n{REST}', path=Path("a.yaml"))
    assert loaded.root is not None
    span, _ = symbol_places(loaded.root, loaded.sources)["IBM"]
    assert (span.line, span.column) == (4, 3)


def test_symbols_of_a_base_are_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "_base.yaml").write_text(f"universe: AAPL, IBM\n{REST}")
    (tmp_path / "a.yaml").write_text("spec: 1\nname: A\nextends: _base.yaml\n")
    loaded = load_file(tmp_path / "a.yaml", root=tmp_path)
    assert loaded.root is not None
    span, _ = symbol_places(loaded.root, loaded.sources)["IBM"]
    assert (Path(span.file).name, span.line, span.column) == ("_base.yaml", 1, 17)
