"""Fixes: what is certain is written as the hint says, what is in doubt is left alone, and nothing else is touched."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.spec.findings import Findings
from runner.spec.fix import Mended, mend
from runner.spec.folder import load_folder, load_text
from runner.spec.problems import Edit, Problem, Span, error, whole_file
from runner.spec.spelling import meant, one_edit

REPOSITORY = Path(__file__).resolve().parents[2]
FILE = "strategies.d/a.yaml"
SPEC = """\
spec: 1
name: A
universe: {universe}
bars: {{size: {size}, history: {history}}}   # bars
signals:
  trend: {trend}
sizing: {sizing}
enabled: {enabled}
params:
  stop_loss: {stop_loss}    # a limit
  max_daily_trades: {trades}
schedule:
  calendar: {calendar}
  evaluate: {evaluate}
execution: {{order: {order}, tif: {tif}}}
tags: {tags}
"""
GOOD = {
    "universe": "AAPL, MSFT",
    "size": "1 day",
    "history": "300",
    "trend": "{use: sma_cross, with: {fast: 10, slow: 100}}",
    "sizing": "{use: equal_weight}",
    "enabled": "true",
    "stop_loss": "0.05",
    "trades": "14",
    "calendar": "XNYS",
    "evaluate": '"15:45"',
    "order": "moc",
    "tif": "DAY",
    "tags": "[daily, trend]",
}


def spec(**values: str) -> str:
    return SPEC.format(**GOOD | values)


def judged(text: str) -> Findings:
    loaded = load_text(text, path=Path(FILE), root=REPOSITORY / "strategies.d")
    return Findings(files=(FILE,), problems=loaded.problems, sources=loaded.sources)


def mended(text: str) -> Mended:
    return mend(lambda texts: judged(texts.get(FILE, text)))


def fixed(text: str) -> str:
    return mended(text).texts.get(FILE, text)


CERTAIN = [
    # a fraction as a percentage
    ("stop_loss", "15%", "0.15"),
    ("stop_loss", '"2.5 %"', "0.025"),
    ("stop_loss", "'0,5%'", "0.005"),
    # numbers as people write them
    ("history", "1_000", "1000"),
    ("history", '"1,500"', "1500"),
    ("history", "1e3", "1000"),
    ("stop_loss", "0,05", "0.05"),
    ("stop_loss", "0,005", "0.005"),
    ("stop_loss", '"0.05"', "0.05"),
    ("stop_loss", "'.5'", ".5"),
    ("trades", "14.0", "14"),
    ("trades", '"14"', "14"),
    ("trades", '"14.0"', "14"),
    # yes and no
    ("enabled", "yes", "true"),
    ("enabled", "Off", "false"),
    ("enabled", '"True"', "true"),
    # times
    ("evaluate", "1545", '"15:45"'),
    ("evaluate", "0945", '"09:45"'),
    ("evaluate", "930", '"09:30"'),
    ("evaluate", '"15:45:00"', '"15:45"'),
    ("evaluate", "Close-20", "close-20m"),
    ("evaluate", "'close - 20m'", "'close-20m'"),
    # choices
    ("order", "MOC", "moc"),
    ("order", "'Moc'", "'moc'"),
    ("tif", "DYA", "DAY"),
    ("tif", "GTC", "DAY"),
    ("calendar", "xnys", "XNYS"),
    ("size", "1 Day", "1 day"),
    ("size", "30 min", "30 mins"),
    ("size", "1day", "1 day"),
    # symbols
    ("universe", "[AAPL, TRUE]", '[AAPL, "TRUE"]'),
    ("universe", "[{symbol: DBK, currency: eur, exchange: ibis}]", "[{symbol: DBK, currency: EUR, exchange: IBIS}]"),
    ("universe", "'AAPL, , MSFT,'", "'AAPL, MSFT'"),
    ("universe", "AAPL, MSFT, AAPL", '"AAPL, MSFT"'),
    # blocks and their settings
    ("sizing", "{use: equal_wieght}", "{use: equal_weight}"),
    ("sizing", "equal_weight", "{use: equal_weight}"),
    ("sizing", "use:equal_weight", "{use: equal_weight}"),
    ("trend", "{use: sma_cross, with: {fsat: 10, slow: 100}}", "{use: sma_cross, with: {fast: 10, slow: 100}}"),
    ("trend", "{use: sma_cross, with: {fast:10, slow: 100}}", "{use: sma_cross, with: {fast: 10, slow: 100}}"),
    ("trend", '{use: sma_cross, "wiht": {fast: 10}}', '{use: sma_cross, "with": {fast: 10}}'),
    # lists
    ("tags", "daily, trend", "[daily, trend]"),
    ("tags", "daily", "[daily]"),
]


@pytest.mark.parametrize(("key", "wrong", "right"), CERTAIN)
def test_what_can_only_mean_one_thing_is_written_so(key: str, wrong: str, right: str) -> None:
    result = mended(spec(**{key: wrong}))
    assert result.texts[FILE] == spec(**{key: right})
    assert [change.what for change in result.changes]
    assert not [problem for problem in result.findings.problems if problem.fix]


IN_DOUBT = [
    ("stop_loss", "1,500"),  # one and a half, or fifteen hundred
    ("stop_loss", "5"),  # probably a percentage
    ("stop_loss", "false"),
    ("stop_loss", "yes"),
    ("stop_loss", "abc"),
    ("trades", "10%"),
    ("trades", "14.5"),
    ("trades", '"14.5"'),
    ("history", "0"),
    ("evaluate", "2575"),
    ("evaluate", "15"),
    ("evaluate", "15.45"),
    ("size", "1m"),  # a minute, or a month
    ("size", "2W"),
    ("size", "2 min"),  # 2 mins, or 1 min
    ("size", "4 mins"),
    ("tif", "IOK"),  # IOC, or FOK
    ("tif", "GTD"),
    ("calendar", "NYC"),
    ("universe", "us_stocks"),
    ("universe", "[AAPL, AAPL]"),
    ("sizing", "{use: sma_cross}"),
    ("trend", "{use: sma_cross, with: {fast: 10, sloww: 50, slow: 100}}"),
    ("trend", "{use: sma_cross, with: {fast: &n 10.0, slow: *n}}"),
    ("trend", "{use: sma_cross, with: {fast: !!int 10.0}}"),
    ("tags", "5"),
]


@pytest.mark.parametrize(("key", "wrong"), IN_DOUBT)
def test_what_could_mean_two_things_is_left_to_the_author(key: str, wrong: str) -> None:
    text = spec(**{key: wrong})
    assert judged(text).problems
    assert fixed(text) == text


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("spec:1\nname: A\n", "spec: 1\nname: A\n"),
        ("spec:1\nname:A\nowner:me # x\n", "spec: 1\nname: A\nowner: me # x\n"),
        ("spec: 1\n" + "a:1\n" * 30, "spec: 1\n" + "a: 1\n" * 30),
        ("spec: 1\nbars:\n  size:1 day\n  history: 3\n", "spec: 1\nbars:\n  size: 1 day\n  history: 3\n"),
        ("spec: 1\nbars:\n\tsize: 1 day\n\thistory: 3\n", "spec: 1\nbars:\n  size: 1 day\n  history: 3\n"),
        ("spec: 1\nbars:\n    size: 1 day\n\thistory: 3\n", "spec: 1\nbars:\n    size: 1 day\n    history: 3\n"),
        ("spec: 1\na:\n  b:\n\tc: 1\n", None),  # c could be in a or in b
        ("spec: 1\nowner: @desk\n", 'spec: 1\nowner: "@desk"\n'),
        ("spec: 1\nowner: @desk # who\n", None),
        ("spec: 1\nname: A\x07B\n", "spec: 1\nname: AB\n"),
        ("universe: [AAPL, MSFT\nspec: 1\n", None),
        ("spec: http://x: 1\n", None),
    ],
)
def test_text_that_is_not_yaml_is_put_right_when_there_is_one_way(wrong: str, right: str | None) -> None:
    first, second = judged(wrong), judged(fixed(wrong))
    assert [problem.code in ("S200", "Y101", "Y102", "Y103") for problem in first.problems] == [True]
    if right is None:
        assert fixed(wrong) == wrong
    else:
        assert fixed(wrong).startswith(right)
        assert not {"S200", "Y101", "Y102"} & {problem.code for problem in second.problems}


def test_a_hint_and_its_fix_say_the_same() -> None:
    """The text that a fix writes is in the hint, quotes aside."""
    for key, wrong, _ in CERTAIN:
        for problem in judged(spec(**{key: wrong})).problems:
            for edit in problem.fix:
                written = edit.text.strip('"') or edit.text
                assert written.strip() in problem.hint, (problem.hint, edit.text)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(CERTAIN), min_size=1, max_size=8))
def test_several_mistakes_are_all_fixed_and_nothing_else_is_touched(mistakes: list[tuple[str, str, str]]) -> None:
    wrong = {key: text for key, text, _ in mistakes}
    right = {key: text for key, found, text in CERTAIN if wrong.get(key) == found}
    assert fixed(spec(**wrong)) == spec(**right)


def test_whatever_the_file_nothing_fixable_remains_and_nothing_gets_worse() -> None:
    random_source = random.Random(int(os.environ.get("RUNNER_FUZZ_SEED", "20110131")))
    texts = [p.read_text(encoding="utf-8") for p in sorted(REPOSITORY.glob("strategies.d/[a-z]*.yaml"))]
    texts += [p.read_text(encoding="utf-8") for p in sorted(REPOSITORY.glob("tests/specs/*/[a-z]*.yaml"))]
    for _ in range(int(os.environ.get("RUNNER_FUZZ_FIXES", "400"))):
        text = sloppy(random_source.choice(texts), random_source)
        before = judged(text)
        seen = [before]

        def look(texts: Mapping[str, str], text: str = text, seen: list[Findings] = seen) -> Findings:
            seen.append(judged(texts.get(FILE, text)))
            return seen[-1]

        result = mend(look)
        assert not [problem for problem in result.findings.problems if problem.fix]
        for i, found in enumerate(seen[1:], start=1):
            assert any(comes_of(earlier, found.sources[FILE]) for earlier in seen[:i])
        assert by_depth(result.findings.problems) <= by_depth(before.problems)
        assert result.texts.get(FILE, text).count("\n") == text.count("\n")
        comments = re.compile(r"(?m)(?<=\s)#.*$")
        assert comments.findall(result.texts.get(FILE, text)) == comments.findall(text)
        again = mended(result.texts.get(FILE, text))
        assert again.texts == {}


def comes_of(earlier: Findings, text: str) -> bool:
    """Whether `text` is the earlier one with some of its fixes applied, and every other character where it was."""
    source = earlier.sources[FILE]
    edits = sorted({edit for problem in earlier.problems for edit in problem.fix}, key=lambda edit: edit.span.start)
    pattern, done = "", 0
    for edit in edits:
        if edit.span.start >= done:
            pattern += re.escape(source[done : edit.span.start])
            pattern += f"(?:{re.escape(source[edit.span.start : edit.span.end])}|{re.escape(edit.text)})"
            done = edit.span.end
    return re.fullmatch(pattern + re.escape(source[done:]), text) is not None


def sloppy(text: str, random_source: random.Random) -> str:
    """A few of the slips that people make, anywhere in the text."""
    for _ in range(random_source.randint(1, 6)):
        places = list(re.finditer(r"[A-Za-z_]{3,}|[0-9.]+|: |^ +", text, re.MULTILINE))
        if not places:
            break
        match = random_source.choice(places)
        found = match[0]
        i = random_source.randrange(len(found))
        changes = [found[:i] + found[i + 1 :], found[:i] + found[i] + found[i:], found.upper(), f'"{found}"']
        if found.strip() == ":":
            changes = [":", ":\t"]
        elif not found.strip():
            changes = ["\t" * (len(found) // 2), "\t" + found[2:]]
        elif found[0].isdigit():
            changes = [f"{found}%", found.replace(".", ","), f"{found}.0", f'"{found}"', f"{found}_000", "yes"]
        text = text[: match.start()] + random_source.choice(changes) + text[match.end() :]
    return text


def by_depth(problems: tuple[Problem, ...]) -> list[int]:
    """How many errors keep the text, each mapping in the next, and at last the meaning of a file from being read."""
    counts = [0] * 12
    for problem in problems:
        depth = len(re.findall(r"[.\[]", problem.path.partition(":")[0])) + 1
        if problem.code[0] == "Y" and problem.code not in ("Y104", "Y105", "Y106", "Y107", "Y108"):
            depth = 0
        elif problem.code[0] not in "YS" or problem.code == "S200":
            depth = 0 if problem.code == "S200" else 11
        counts[depth] += problem.is_error
    return counts


def test_a_fix_in_a_base_is_made_where_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "_b.yaml").write_text("params: {stop_los: 5%}\n")
    (tmp_path / "a.yaml").write_text(spec().replace("  stop_loss: 0.05    # a limit\n", "") + "extends: _b.yaml\n")

    def look(texts: Mapping[str, str]) -> Findings:
        unsaved = {Path(name).resolve(): text.encode() for name, text in texts.items()}
        found = load_folder(tmp_path, unsaved=unsaved)
        return Findings(files=tuple(found.sources), problems=found.problems, sources=found.sources)

    result = mend(look)
    assert result.texts == {(tmp_path / "_b.yaml").as_posix(): "params: {stop_loss: 0.05}\n"}
    assert result.findings.errors == 0


def test_a_base_is_not_changed_for_the_sake_of_one_that_extends_it(tmp_path: Path) -> None:
    (tmp_path / "_b.yaml").write_text("execution: {tif: GTC}\n")
    (tmp_path / "a.yaml").write_text(spec(tif="null") + "extends: _b.yaml\n")
    (tmp_path / "b.yaml").write_text(
        spec().replace(", tif: DAY", "").replace("name: A", "name: B") + "extends: _b.yaml\n"
    )
    found = load_folder(tmp_path)
    errors = [(problem.code, Path(problem.file).name, problem.fix) for problem in found.problems if problem.is_error]
    assert errors == [("M411", "_b.yaml", ())]


def test_a_misspelled_base_is_found_among_those_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "_daily.yaml").write_text("tags: [daily]\n")
    (tmp_path / "a.yaml").write_text(spec() + "extends: _dialy.yaml\n")
    problem = next(problem for problem in load_folder(tmp_path).problems if problem.code == "M431")
    assert problem.fix[0].text == "_daily.yaml"


def test_a_fix_that_would_do_harm_is_refused_and_the_others_are_made() -> None:
    """Characters that are wrong until they are 9; when the seventh one is, everything is worse."""
    looks = []

    def look(texts: Mapping[str, str]) -> Findings:
        text = texts.get("x", "1 " * 64)
        looks.append(text)
        found = []
        for offset in range(0, len(text), 2):
            span = Span("x", 1, offset + 1, 1, offset + 2, offset, offset + 1)
            if text[offset] != "9":
                found.append(error("S203", "wrong", span, fix=(Edit(span, "9"),)))
        if text[14] == "9":
            found += [error("S204", f"worse {i}", whole_file("x")) for i in range(99)]
        return Findings(files=("x",), problems=tuple(found), sources={"x": text})

    result = mend(look)
    assert result.texts == {"x": "9 " * 7 + "1 " + "9 " * 56}
    assert [change.what for change in result.changes] == ["1 → 9"] * 63
    assert len(looks) < 40


@pytest.mark.parametrize(
    ("word", "other", "near"),
    [
        ("slow", "slow", True),
        ("slwo", "slow", True),
        ("Slow", "slow", True),
        ("slo", "slow", True),
        ("sloww", "slow", True),
        ("slew", "slow", True),
        ("wols", "slow", False),
        ("slwoo", "slow", False),
        ("", "a", True),
        ("", "ab", False),
        ("ab", "ba", True),
        ("abc", "cba", False),
        ("abcd", "badc", False),
    ],
)
def test_one_edit_is_one_letter_or_one_swap(word: str, other: str, near: bool) -> None:
    assert one_edit(word, other) is near and one_edit(other, word) is near


@pytest.mark.parametrize(
    ("word", "known", "present", "expected"),
    [
        ("slwo", ["slow", "fast"], (), ("slow", True)),
        ("slwo", ["slow", "fast"], ("slow",), ("slow", False)),
        ("mix_weight", ["min_weight", "max_weight"], (), ("min_weight", False)),
        ("1m", ["1M", "1W"], (), ("1M", False)),
        ("2W", ["1W", "1M"], (), ("1W", False)),
        ("xyz", ["slow"], (), (None, False)),
    ],
)
def test_a_guess_is_sure_when_one_free_word_alone_is_near(
    word: str, known: list[str], present: tuple[str, ...], expected: tuple[str | None, bool]
) -> None:
    guess = meant(word, known, present)
    assert (guess.word, guess.sure) == expected
