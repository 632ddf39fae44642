"""Generated files are fresh, tables are complete, imports are light."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from runner.blocks import params_of
from runner.catalog import BUILT_IN
from runner.spec.calendars import CALENDARS
from runner.spec.codes import CODES
from runner.spec.folder import load_folder
from runner.spec.reference import refreshed, tables
from runner.spec.render import render_text
from runner.spec.schema import schema_texts

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", list(schema_texts()))
def test_the_committed_schema_is_fresh_and_is_a_schema(name: str) -> None:
    committed = (REPOSITORY / "schemas" / name).read_text(encoding="utf-8")
    assert committed == schema_texts()[name], "run: python -m runner.spec.schema schemas"
    Draft202012Validator.check_schema(json.loads(committed))
    assert '"$ref"' not in committed


def test_the_tables_of_the_page_are_fresh() -> None:
    page = (REPOSITORY / "docs" / "spec.md").read_text(encoding="utf-8")
    assert page == refreshed(page), "run: python -m runner.spec.reference docs/spec.md"
    assert set(re.findall(r"<!-- table: (\w+) -->", page)) == set(tables())


def test_every_yaml_example_of_the_page_is_valid(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "spec.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", page, re.DOTALL)
    assert len(examples) >= 2
    for name, text in examples:
        (tmp_path / Path(name).name).write_text(text, encoding="utf-8")
    folder = load_folder(tmp_path)
    assert folder.problems == (), render_text(folder.problems, folder.sources)
    assert folder.specs


def test_the_list_of_calendars_is_that_of_the_library() -> None:
    import exchange_calendars

    assert set(CALENDARS) == set(exchange_calendars.get_calendar_names())


def test_every_code_in_the_source_is_described_and_every_described_one_used() -> None:
    used = set()
    for source in (REPOSITORY / "runner").rglob("*.py"):
        if source.name != "codes.py":
            used |= set(re.findall(r'"([YSWMCE][1-6]\d\d)"', source.read_text(encoding="utf-8")))
    assert used == set(CODES)


def test_every_parameter_of_every_block_says_what_it_is() -> None:
    for kind, classes in BUILT_IN.tables.items():
        for name, cls in classes.items():
            for info in params_of(cls):
                assert info.description, f"{kind} {name}.{info.name}"


@pytest.mark.parametrize("level", ["syntax", "schema", "rules"])
def test_nothing_heavy_is_imported(level: str) -> None:
    code = (
        "import sys, runner.spec.folder, runner.spec.config, runner.spec.render\n"
        "from pathlib import Path\n"
        "from runner.spec.levels import Level\n"
        f"runner.spec.folder.load_folder(Path('strategies.d'), level=Level('{level}'))\n"
        "heavy = {'pandas', 'arcticdb', 'ib_async', 'talib', 'exchange_calendars', 'numba'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, timeout=60)


def test_reading_the_configuration_alone_needs_no_blocks() -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom runner.spec.config import load_config\n"
        "load_config(None, Path('tests'), env={})\n"
        "assert 'numpy' not in sys.modules and 'jsonschema' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, timeout=60)


def test_the_shipped_strategies_are_valid_and_fit_one_account() -> None:
    folder = load_folder(REPOSITORY / "strategies.d")
    assert folder.problems == (), render_text(folder.problems, folder.sources)
    assert len(folder.specs) >= 3
    assert sum(spec.params.target_weight for spec in folder.specs) <= 0.9
    for spec in folder.specs:
        assert spec.source.startswith("# yaml-language-server: $schema=../schemas/strategy.schema.json\n")
        assert spec.schedule.calendar == "XNYS"
        assert [query.symbol for query in spec.universe.instruments] == ["AAPL", "GOOG", "IBM", "MSFT"]


def test_the_hours_and_other_names_of_calendars_are_those_of_the_library() -> None:
    import exchange_calendars
    from exchange_calendars import calendar_utils

    from runner.spec.calendars import ALIASES, HOURS, Hours

    assert calendar_utils._default_calendar_aliases == ALIASES
    assert sorted(calendar_utils._default_calendar_factories) == list(HOURS)
    for code, hours in HOURS.items():
        calendar = exchange_calendars.get_calendar(code, start="2025-01-02", end="2026-06-30")
        opens, closes = calendar.open_times[-1][1], calendar.close_times[-1][1]
        days = (calendar.open_offset, calendar.close_offset)
        assert hours == Hours(str(calendar.tz), f"{opens:%H:%M}", f"{closes:%H:%M}", *days), code
