"""How problems read: the message, the next step and the caret of each sample in a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.spec.deployment import Deployment
from runner.spec.folder import load_folder, load_text
from runner.spec.problems import Problem
from runner.spec.render import render_text

HEAD = "spec: 1\nname: A\n"
UNIVERSE = "universe: AAPL\n"
REST = "bars: {size: 1 day}\nsignals:\n  trend: {use: sma_cross}\nsizing: {use: equal_weight}\n"
WHOLE = HEAD + UNIVERSE + REST


def judged(text: str) -> tuple[Problem, ...]:
    return load_text(text, path=Path("a.yaml"), deployment=Deployment(allowed_packages=frozenset())).problems


SAMPLES = [
    (
        HEAD + UNIVERSE + "bars: {size: 1 day}\nsignals:\n  trend:\n    use: sma_crosss\nsizing: {use: equal_weight}\n",
        'error[S206]: there is no signal block called "sma_crosss"',
        'did you mean "sma_cross"?',
        "7:10 sma_crosss",
        {},
    ),
    (
        HEAD
        + UNIVERSE
        + "bars: {size: 1 day, history: 90}\nsignals:\n  regime:\n    use: sma_cross\n    with: {slow: 200}\n"
        + "sizing: {use: equal_weight}\n",
        "error[M402]: signals.regime needs 200 bars before its first value, but bars.history is 90",
        "set bars.history to at least 200, or remove it",
        "8:18 200",
        {"4:30 90": "history is set here"},
    ),
    (
        WHOLE + "params:\n  target_weight: 10\n",
        "error[S204]: params.target_weight must be at most 1, not 10",
        "weights and risk are fractions: 10% is 0.1",
        "9:18 10",
        {},
    ),
    (
        WHOLE + "params:\n  stop_loss: .nan\n",
        "error[Y108]: .nan is not a finite number",
        "limits must be ordinary numbers: NaN passes every comparison with a minimum or maximum",
        "9:14 .nan",
        {},
    ),
    (
        WHOLE + "params:\n  max_daily_loss: 0.02\n  max_daily_loss: 0.20\n",
        'error[Y104]: duplicate key "max_daily_loss"',
        "YAML keeps the last one silently; remove one of them",
        "10:3 max_daily_loss",
        {"9:3 max_daily_loss": "first set here"},
    ),
    (
        HEAD + "universe:\n  symbols: [AAPL, ON, TRUE, 0700]\n" + REST,
        'warning[W301]: universe.symbols[2] TRUE looks like true/false to YAML; it is read as the text "TRUE"',
        'write "TRUE" in quotes so that every tool agrees',
        "4:23 TRUE",
        {},
    ),
    (
        HEAD + "universe:\n  symbols: [AAPL, MSFT\nbars: {size: 1 day, history: 10}\n",
        'error[Y103]: this list is never closed: "]" is missing',
        "",
        "4:12 [",
        {"5:5 :": "reading stopped here"},
    ),
    (
        WHOLE + "hooks:\n  before_orders: acme_blocks.hooks:sector_cap\n",
        "error[C503]: hook acme_blocks.hooks:sector_cap is outside the allowed packages",
        'hooks run as code. If you trust it, add "acme_blocks" to plugins.allow in runner.yaml and restart',
        "9:18 acme_blocks.hooks:sector_cap",
        {},
    ),
    # further next steps
    (
        WHOLE + "params: {stop_loss: 15%}\n",
        'error[S203]: params.stop_loss must be a number, not "15%"',
        "write the fraction 0.15",
        "8:21 15%",
        {},
    ),
    (
        WHOLE.replace("1 day}", "1 day, history: 1_000}"),
        'error[S203]: bars.history must be a whole number, not "1_000"',
        "write 1000, without separators",
        "4:30 1_000",
        {},
    ),
    (
        WHOLE + "enabled: yes\n",
        'error[S203]: enabled must be true or false, not "yes"',
        "write true; only true and false are yes and no in YAML 1.2",
        "8:10 yes",
        {},
    ),
    (
        WHOLE + "schedule: {calendar: XNYS, evaluate: 1600}\n",
        "error[S203]: schedule.evaluate must be text, not 1600",
        'write times in quotes: "16:00"',
        "8:38 1600",
        {},
    ),
    *(
        (
            text,
            "error[S200]: the file is one piece of text, not keys and values",
            f'a space is missing after the colon: write "{line}"',
            f"1:1 {text[0]}",
            {},
        )
        for text, line in (
            ("spec:1\nname:TREND\nuniverse:[AAPL]\n", "spec: 1"),
            ("spec:1\n\nname:TREND\n", "spec: 1"),
            ("description:Buys the dip\nspec:1\n", "description: Buys the dip"),
            ("universe:AAPL, MSFT\nowner:desk\n", "universe: AAPL, MSFT"),
        )
    ),
    ("spec:1\nname: A\n", "error[Y101]: a space is missing after the colon", 'write "spec: 1"', "1:5 :", {}),
    (
        HEAD + "bars:\n\tsize: 1 day\n",
        "error[Y101]: a tab cannot be used for indentation",
        "replace it with spaces",
        "4:1 \t",
        {},
    ),
    (
        WHOLE + "execution: {order: Market}\n",
        'error[S205]: execution.order must be one of market, limit, moc, loc, rel, not "Market"',
        'did you mean "market"?',
        "8:20 Market",
        {},
    ),
    (
        WHOLE.replace("equal_weight", "sma_cross"),
        'error[S206]: there is no sizing block called "sma_cross"',
        '"sma_cross" is a signal block',
        "7:15 sma_cross",
        {},
    ),
    (
        WHOLE + "hooks: {on_fil: a.b:c}\n",
        'error[S201]: unknown key "on_fil" in hooks',
        'did you mean "on_fill"?',
        "8:9 on_fil",
        {},
    ),
    (
        WHOLE + "execution: {order: loc, tif: GTC}\n",
        "error[M411]: an order at the close (loc) has time in force DAY, not GTC",
        "write tif: DAY",
        "8:30 GTC",
        {},
    ),
    (
        WHOLE + "params: {max_daily_loss: 0,02}\n",
        'error[S201]: unknown key "02" in params',
        'a comma ends a value between braces: write decimals with a point, numbers without ","',
        "8:28 02",
        {},
    ),
]


def at(problem_span: object, text: str) -> str:
    span = problem_span
    return f"{span.line}:{span.column} {text[span.start : span.end]}"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("text", "headline", "hint", "caret", "related"), SAMPLES, ids=lambda value: str(value)[:30])
def test_a_mistake_is_said_where_it_is_with_the_next_step(
    text: str, headline: str, hint: str, caret: str, related: dict[str, str]
) -> None:
    (problem,) = judged(text)
    assert f"{problem.severity}[{problem.code}]: {problem.message}" == headline
    assert problem.hint == hint
    assert at(problem.span, text) == caret
    assert {at(one.span, text): one.message for one in problem.related} == related
    shown = render_text([problem], {"a.yaml": text}).splitlines()
    assert shown[0] == headline and shown[1].lstrip() == f"--> a.yaml:{problem.line}:{problem.column}"
    line = next(i for i, row in enumerate(shown) if row.lstrip().startswith(f"{problem.line} |"))
    under = shown[line + 1]
    width = len(caret.partition(" ")[2].replace("\t", "    "))
    assert under.count("^") == width and under.rstrip().endswith("^" * width)
    assert (f"= hint: {hint}" in "\n".join(shown)) == bool(hint)


def test_two_files_of_one_name_name_each_other(tmp_path: Path) -> None:
    for stem in ("h", "i"):
        (tmp_path / f"{stem}.yaml").write_text(WHOLE.replace("name: A", "name: BANKS_MEANREV"))
    first, second = load_folder(tmp_path).problems
    assert second.message == f"strategy name BANKS_MEANREV is already used by {first.file}"
    assert second.hint == "neither file is applied; a strategy that is running keeps its last good spec"
    assert (second.line, second.column, second.end_column) == (2, 7, 20)


FOLDED = [
    ("a misspelled key and the missing one that it stands for", WHOLE.replace("name: A", "nmae: A"), ["S201"]),
    ("the same in a block", WHOLE.replace("use: sma_cross", "ues: sma_cross"), ["S201"]),
    ("a misspelled extends and all that the base would have", HEAD + "extneds: _b.yaml\n", ["S201"]),
    ("a base that is not there and all that it would have", HEAD + "extends: _b.yaml\n", ["M431"]),
    ("a number that is text, and its version", WHOLE.replace("spec: 1", 'spec: "1"'), ["S203"]),
    ("a choice that is no text", WHOLE + "on_remove: 5\n", ["S205"]),
    ("a choice without a value", WHOLE + "on_remove:\n", ["S203"]),
    ("a section without a value", WHOLE + "params:\n", ["S203"]),
    ("a block that does not exist, and its settings", WHOLE.replace("sma_cross}", "smma, with: {a: 1}}"), ["S206"]),
    ("a bar size that is wrong, and times that depend on it", WHOLE.replace("1 day", "5min"), ["S205"]),
]


@pytest.mark.parametrize(("what", "text", "codes"), FOLDED, ids=[what for what, _, _ in FOLDED])
def test_what_one_problem_explains_is_not_said_again(what: str, text: str, codes: list[str]) -> None:
    assert [problem.code for problem in judged(text)] == codes, what


def test_no_more_than_fifty_are_shown_of_a_file_and_the_rest_is_counted() -> None:
    text = WHOLE + "".join(f"unknown_{i}: 1\n" for i in range(62))
    shown = render_text(judged(text), {"a.yaml": text})
    assert shown.count("error[S201]") == 50
    assert shown.endswith("a.yaml: and 12 more\n")


@pytest.mark.parametrize(
    ("line", "under"),
    [
        ("owner: {é: 日本}\n", "  | ^^^^^"),
        ("日: 1\n", "  | ^^"),
        ("e\u0301\ufe0fx: 1\n", "  | ^^"),
    ],
)
def test_carets_count_the_cells_of_a_terminal(line: str, under: str) -> None:
    (problem,) = [problem for problem in judged(WHOLE + line) if problem.line == 8]
    assert render_text([problem], {"a.yaml": WHOLE + line}).splitlines()[3] == under


def test_a_wide_line_is_cut_by_cells_and_the_caret_stays_under_its_value() -> None:
    text = WHOLE + "hook_params: {a: " + "日" * 200 + ", nix: 1}\nschedule: {nix: 1}\n"
    text = text.replace("hook_params: {a: ", "params: {description: ")
    problem = next(problem for problem in judged(text) if problem.path == "params.nix")
    _, _, line, under, *_ = render_text([problem], {"a.yaml": text}).splitlines()
    before = line[: line.index("nix")]
    assert sum(2 if char == "日" else 1 for char in before) == under.index("^")
    assert sum(2 if char == "日" else 1 for char in line) <= 170
