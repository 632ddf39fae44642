"""Findings for machines: what GitHub, code scanning and test servers are given is well formed whatever a file holds."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry

from runner.spec.codes import CODES
from runner.spec.explain import page_of
from runner.spec.findings import Findings, together
from runner.spec.folder import load_folder, load_text
from runner.spec.levels import Level, level_of, not_checked
from runner.spec.problems import Edit, Problem, Related, Span, error, warning
from runner.spec.render.github import render_github, summary_table
from runner.spec.render.json import findings_as_data
from runner.spec.render.junit import render_junit
from runner.spec.render.sarif import to_sarif

REPOSITORY = Path(__file__).resolve().parents[2]
SARIF = json.loads((Path(__file__).parent / "schemas" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
INVALID = sorted(REPOSITORY.glob("tests/specs/invalid/*.yaml"))
NASTY = "spec: 1\n\"a\\x07]]>&<b \\ud7ff\\ufffe\\e[31m\": '::error::x%'\nname: \x85x\u2028y\n"


def span(file: str = "strategies.d/a.yaml", line: int = 2, column: int = 3) -> Span:
    return Span(file, line, column, line, column + 4, 10, 14)


def findings(*problems: Problem, level: Level = Level.RULES) -> Findings:
    return Findings(
        files=("strategies.d/a.yaml", "strategies.d/b.yaml"),
        strategies=(("B", "strategies.d/b.yaml"),),
        problems=problems,
        sources={"strategies.d/a.yaml": "spec: 1\na: bcdefgh\n"},
        level=level,
        not_checked=not_checked(level),
    )


def of(text: str, file: str = "strategies.d/a.yaml") -> Findings:
    loaded = load_text(text, path=Path(file), root=REPOSITORY / "strategies.d")
    return Findings(files=(file,), problems=loaded.problems, sources=loaded.sources)


def every_kind() -> Findings:
    """The problems of all files that the tests have, and of a folder."""
    folder = load_folder(REPOSITORY / "tests" / "specs" / "invalid")
    found = Findings(files=tuple(folder.sources), problems=folder.problems, sources=folder.sources)
    return together([found, of(NASTY)], level=Level.RULES, not_checked=())


# ----------------------------------------------------------------------------------------------------------- github


def annotations(text: str) -> list[str]:
    """The commands that GitHub would obey."""
    found, stopped = [], ""
    for line in text.splitlines():
        if stopped:
            stopped = "" if line == f"::{stopped}::" else stopped
        elif line.startswith("::stop-commands::"):
            stopped = line.removeprefix("::stop-commands::")
        elif line.lstrip().startswith("::"):
            found.append(line)
    assert not stopped
    return found


def test_an_annotation_is_at_the_place_with_everything_escaped() -> None:
    problem = error("M401", "100 % of a,b: c", span("dir,1/a:b.yaml"), hint="write 5%")
    (line,) = annotations(render_github(findings(problem)))
    assert line == (
        "::error file=dir%2C1/a%3Ab.yaml,line=2,col=3,endLine=2,endColumn=7,title=M401::"
        "100 %25 of a,b: c%0Ahint: write 5%25"
    )


def test_the_worst_is_annotated_first_and_no_more_than_github_shows() -> None:
    errors = [error("S201", f"e{i}", span(line=i + 1)) for i in range(12)]
    warnings = [warning("W301", f"w{i}", span(line=i + 1)) for i in range(11)]
    text = render_github(findings(*warnings, *errors))
    found = annotations(text)
    assert [line.split(" ")[0] for line in found] == ["::error"] * 10 + ["::warning"] * 10
    assert "2 more errors have no annotation: GitHub shows 10 of a kind\n" in text
    assert "1 more warning has no annotation: GitHub shows 10 of a kind\n" in text
    assert text.count("error[S201]") == 12


def test_no_file_can_speak_to_github() -> None:
    text = "'::stop-commands::a': 1\n\"\\n::error::b\": 1\n"
    found = of(text, file="::add-mask::x.yaml")
    shown = render_github(found)
    assert all(line.startswith("::error file=%3A%3Aadd-mask%3A%3Ax.yaml,") for line in annotations(shown))
    assert len(annotations(shown)) == len(found.problems)


def test_files_are_named_from_the_root_of_the_repository() -> None:
    (line,) = annotations(render_github(findings(error("S201", "x", span())), below="bots/eu/"))
    assert "file=bots/eu/strategies.d/a.yaml," in line
    assert "bots/eu/strategies.d/a.yaml:2:3" in summary_table(findings(error("S201", "x", span())), below="bots/eu/")


def test_the_summary_is_a_table_in_which_markdown_means_nothing() -> None:
    problem = error("S201", 'unknown key "a|b<script>`*_"', span(), hint="remove [it](x)")
    lines = summary_table(findings(warning("W301", "w", span()), problem)).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert rows[2].startswith("| error | S201 | strategies.d/a.yaml:2:3 |") and rows[3].startswith("| warning ")
    assert "<script>" not in rows[2] and r"\|" in rows[2] and r"\[it\](x)" in rows[2]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)
    assert lines[2] == "2 files, 1 strategy: 1 error, 1 warning"


def test_a_summary_is_cut_before_github_would_refuse_it() -> None:
    problems = [error("S201", "x" * 900, span(line=i + 1)) for i in range(2000)]
    text = summary_table(findings(*problems))
    assert len(text.encode()) < 1_000_000
    assert re.search(r"and \d+ more\n$", text)


# ------------------------------------------------------------------------------------------------------------ sarif


def valid(log: object) -> None:
    errors = list(Draft202012Validator(SARIF, registry=Registry()).iter_errors(log))
    assert errors == []


def test_a_sarif_log_of_every_kind_of_problem_fits_the_schema() -> None:
    found = every_kind()
    log = json.loads(json.dumps(to_sarif(found, version="0.1.0", documentation="https://example.org/docs")))
    valid(log)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted({problem.code for problem in found.problems})
    assert len(run["results"]) == len(found.problems) > 60
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert len(result["locations"]) == 1
    assert any("relatedLocations" in result for result in run["results"])
    assert any("fixes" in result for result in run["results"])


def test_a_rule_says_what_it_is_and_where_to_read_on() -> None:
    log = to_sarif(
        findings(error("M401", "x", span()), warning("W301", "y", span())),
        version="0.1.0",
        documentation="https://example.org/docs/",
    )
    first, second = log["runs"][0]["tool"]["driver"]["rules"]
    assert first["shortDescription"]["text"] == f"{CODES['M401']}."
    assert first["helpUri"] == "https://example.org/docs/problems.md#m401"
    assert page_of("M401").fix in first["help"]["text"] and "```yaml" in first["help"]["markdown"]
    assert [rule["defaultConfiguration"]["level"] for rule in (first, second)] == ["error", "warning"]
    assert second["shortDescription"]["text"].startswith("A word")
    assert (
        "helpUri"
        not in to_sarif(findings(error("M401", "x", span())), version="1")["runs"][0]["tool"]["driver"]["rules"][0]
    )


def test_a_result_has_its_region_its_relatives_and_its_fix() -> None:
    related = (Related("max_weight is set here", span(line=9)),)
    problem = error(
        "M401", "too much", span(), path=("params", "a"), hint="write 1", related=related, fix=(Edit(span(), "1"),)
    )
    run = to_sarif(findings(problem, level=Level.SCHEMA), version="0.1.0", below="sub/")["runs"][0]
    assert run["columnKind"] == "unicodeCodePoints"
    assert (
        run["properties"]["level"] == "schema" and "rules between fields and files" in run["properties"]["notChecked"]
    )
    (result,) = run["results"]
    region = {"startLine": 2, "startColumn": 3, "endLine": 2, "endColumn": 7}
    place = {"uri": "sub/strategies.d/a.yaml", "uriBaseId": "%SRCROOT%"}
    assert result["locations"][0]["physicalLocation"] == {"artifactLocation": place, "region": region}
    assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "params.a"
    assert result["relatedLocations"][0]["message"]["text"] == "max_weight is set here"
    assert result["fixes"][0]["artifactChanges"] == [
        {
            "artifactLocation": place,
            "replacements": [{"deletedRegion": region, "insertedContent": {"text": "1"}}],
        }
    ]
    assert result["message"]["text"] == "too much. Hint: write 1"


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("a b/é.yaml", "a%20b/%C3%A9.yaml"),
        ("<stdin>", "%3Cstdin%3E"),
        ("./x/../a.yaml", "a.yaml"),
        ("a%20#?.yaml", "a%2520%23%3F.yaml"),
    ],
)
def test_an_address_is_relative_and_escaped(file: str, uri: str) -> None:
    run = to_sarif(findings(error("S201", "x", span(file))), version="1")["runs"][0]
    location = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": uri, "uriBaseId": "%SRCROOT%"}


def test_a_file_outside_the_repository_has_a_whole_address() -> None:
    log = to_sarif(findings(error("S201", "x", span("../x.yaml"))), version="1")
    location = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location["uri"].startswith("file:///") and "uriBaseId" not in location
    valid(log)


# ------------------------------------------------------------------------------------------------------------ junit


def test_a_suite_a_file_and_a_case_a_level() -> None:
    problems = (error("S201", 'unknown key "<x>"', span()), warning("W303", "no effect", span()))
    root = ElementTree.fromstring(render_junit(findings(*problems)))
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }
    first, second = root.findall("testsuite")
    assert [case.get("name") for case in first.findall("testcase")] == ["syntax", "schema", "rules"]
    failure = first.findall("testcase")[1].find("failure")
    assert failure is not None and failure.get("message") == 'unknown key "<x>"' and failure.get("type") == "S201"
    assert failure.text is not None and "2 | a: bcdefgh\n  |   ^^^^" in failure.text
    rules = first.findall("testcase")[2]
    assert rules.find("skipped") is not None and rules.find("failure") is None
    assert "W303" in (rules.findtext("system-out") or "")
    assert not list(second.iter("failure"))


def test_with_strict_a_warning_is_a_failure() -> None:
    found = findings(warning("W303", "no effect", span()))
    assert ElementTree.fromstring(render_junit(found)).get("failures") == "0"
    assert ElementTree.fromstring(render_junit(found, strict=True)).get("failures") == "1"


def test_the_report_is_xml_whatever_a_file_holds() -> None:
    found = every_kind()
    root = ElementTree.fromstring(render_junit(found))
    assert len(root.findall("testsuite")) == len(found.by_file())
    random_source = random.Random(7)
    for _ in range(200):
        text = "".join(chr(random_source.choice([*range(1, 160), 0xD7FF, 0xE000, 0xFFFE, 0x1F600])) for _ in range(40))
        ElementTree.fromstring(render_junit(of(text, file=f"a{text[:5]}.yaml")))
    ElementTree.fromstring(render_junit(of("a: 1\n", file="b\udcff.yaml")).encode("utf-8", "backslashreplace"))
    ElementTree.fromstring(render_junit(Findings()))


# ------------------------------------------------------------------------------------------------------------- json


def test_data_has_the_fix_the_level_and_what_was_not_checked() -> None:
    fixable = error("S203", "x", span(), hint="write 1", fix=(Edit(span(), "1"),))
    data = json.loads(json.dumps(findings_as_data(findings(fixable, error("S201", "y", span()), level=Level.SCHEMA))))
    assert (data["ok"], data["level"]) == (False, "schema")
    assert data["not_checked"] == list(not_checked(Level.SCHEMA))
    first, second = data["problems"]
    assert first["fix"] == [{"range": first["range"], "replacement": "1"}]
    assert second["fix"] is None


@pytest.mark.parametrize(
    ("code", "deepest", "level"),
    [
        ("Y101", "rules", "syntax"),
        ("S203", "rules", "schema"),
        ("W301", "rules", "rules"),
        ("M410", "env", "rules"),
        ("C503", "rules", "rules"),
        ("C503", "env", "code"),
        ("E601", "syntax", "syntax"),
        ("E601", "env", "env"),
    ],
)
def test_a_code_tells_the_level_at_which_it_is_found(code: str, deepest: str, level: str) -> None:
    assert level_of(code, Level(deepest)) is Level(level)
