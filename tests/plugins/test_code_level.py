"""Level `code`: foreign code is imported and tried out in a process of its own, and whatever it does is a problem."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from plugin_support import install, install_signals, signal, spec

from runner import plugins
from runner.spec import code
from runner.spec.code import check_code
from runner.spec.deployment import Deployment
from runner.spec.folder import load_folder
from runner.spec.problem_json import problem_from_plain, problem_to_plain
from runner.spec.problems import Edit, Problem, Related, Span, error, in_order

ACME = Deployment(allowed_packages=frozenset({"acme"}))

Check = Callable[[Mapping[str, str]], list[Problem]]


@pytest.fixture
def check(site: Path, tmp_path: Path) -> Check:
    """Writes strategy files, by stem, and gives the errors that level `code` tells of."""
    folder = tmp_path / "strategies.d"
    folder.mkdir()

    def checked(files: Mapping[str, str]) -> list[Problem]:
        for stem, text in files.items():
            (folder / f"{stem}.yaml").write_text(text, encoding="utf-8")
        return [problem for problem in check_code(folder, ACME) if problem.is_error]

    return checked


def said(problems: list[Problem]) -> list[tuple[str, str, str]]:
    """(file, code, path) of each."""
    return [(Path(one.file).stem, one.code, one.path) for one in problems]


def test_code_that_keeps_its_promises_is_no_problem(site: Path, check: Check) -> None:
    install_signals(site, "acme", {"good": signal()})
    assert check({"a": spec("A", "acme:good")}) == []


def test_without_foreign_code_no_process_is_started(site: Path, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    install_signals(site, "acme", {"good": signal()})
    problems = check({"a": spec("A", "sma_cross"), "b": spec("B", "other:good"), "c": spec("C", "acme:nothing")})
    assert said(problems) == [("b", "C504", "signals.s0.use"), ("c", "C505", "signals.s0.use")]
    assert check_code(site, Deployment(allowed_packages=None)) == ()


def test_what_holds_between_files_is_judged_with_the_code_too(site: Path, check: Check, tmp_path: Path) -> None:
    install_signals(site, "acme", {"good": signal()})
    assert check({"a": spec("A", "acme:good"), "b": spec("B", "sma_cross")}) == []
    folder = tmp_path / "strategies.d"
    assert load_folder(folder, deployment=ACME).problems == ()
    assert [one.code for one in check_code(folder, ACME)] == ["W319"], "it does not say that it is only ever long"


def test_settings_are_judged_with_the_blocks_own_schema(site: Path, check: Check) -> None:
    install_signals(
        site, "acme", {"good": signal(post_init="if self.bars == 7: raise ValueError('bars 7 is unlucky')")}
    )
    text = spec("A", "acme:good", bars="{size: 1 day, history: 30}")
    files = {
        "high": text.replace("'acme:good'", "'acme:good', with: {bars: 101}"),
        "typo": text.replace("'acme:good'", "'acme:good', with: {brs: 5}"),
        "luck": text.replace("'acme:good'", "'acme:good', with: {bars: 7}"),
        "long": text.replace("'acme:good'", "'acme:good', with: {bars: 40}"),
    }
    named = {stem: body.replace("name: A", f"name: {stem.upper()}") for stem, body in files.items()}
    problems = check(named)
    assert said(problems) == [
        ("high", "S204", "signals.s0.with.bars"),
        ("long", "M402", "signals.s0.with.bars"),
        ("luck", "M403", "signals.s0.with.bars"),
        ("typo", "S201", "signals.s0.with.brs"),
    ]
    assert problems[0].message == "signals.s0.with.bars must be at most 100, not 101"
    assert problems[3].hint == 'did you mean "bars"?'
    assert all("".join(one.span.file) and one.span.column > 10 for one in problems)


NOISE = """
import sys
for stream in (sys.stdout, sys.stderr):
    stream.write("x" * 1_000_000 + "\\n")
    stream.flush()
    stream.close()
"""
HOSTILE = {
    "prints": (NOISE, None, ""),
    "wanders": ("import os; os.chdir('/')", None, ""),
    "reads": ("import sys; assert sys.stdin.read() == ''", None, ""),
    "threads": ("import threading; threading.Thread(target=threading.Event().wait).start()", None, ""),
    "forks": ("import os; os.fork()", None, ""),
    "leaves_one": ("import os\nif os.fork() == 0:\n    import threading; threading.Event().wait()", None, ""),
    "at_exit": ("import atexit, os; atexit.register(os._exit, 5)", None, ""),
    "raises": ("raise LookupError('no')", "C506", "cannot be imported: LookupError: no (acme/raises.py:9)"),
    "exits": ("import sys; sys.exit(3)", "C507", "ends the process when it is imported"),
    "dies": ("import os; os._exit(3)", "C507", "ends the process when it is imported: exit code 3"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "C507", "when it is imported: signal SIGSEGV"),
    "kills": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "C507", "signal SIGKILL"),
    "closes": ("import os; os.closerange(3, 100)", "C507", "ends the process"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_an_import_does_is_at_most_a_problem_of_the_files_that_need_it(
    site: Path, check: Check, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before, expected, words = HOSTILE[name]
    install_signals(
        site, "acme", {name: signal(name, before=before), "good": signal(), "wild": signal("wild", compute="return 1")}
    )
    problems = check(
        {"a": spec("A", "acme:good", f"acme:{name}"), "b": spec("B", "acme:good"), "c": spec("C", "acme:wild")}
    )
    blamed = [] if expected is None else [("a", expected, "signals.s1.use")]
    assert said(problems) == [*blamed, ("c", "C510", "signals.s0.use")]
    if blamed:
        assert problems[0].message.startswith(f"signal block acme:{name} ") and words in problems[0].message
        assert problems[0].span.column > 20
    assert capfd.readouterr() == ("", "")


FOREVER = "import threading; threading.Event().wait()"


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"before": FOREVER}, "takes longer than 3 s to import"),
        ({"compute": FOREVER}, "takes longer than 3 s in a trial run"),
        ({"compute": "import os; os._exit(0)"}, "ends the process in a trial run: exit code 0"),
        ({"post_init": "import os; self.bars == 3 or os._exit(1)"}, "ends the process when its settings are looked at"),
    ],
)
def test_code_that_hangs_or_ends_the_process_later_is_left_out_and_the_rest_goes_on(
    site: Path, check: Check, monkeypatch: pytest.MonkeyPatch, parts: dict[str, str], words: str
) -> None:
    monkeypatch.setattr(code, "STEP_DEADLINE_S", 3)
    install_signals(site, "acme", {"x": signal("x", **parts), "wild": signal("wild", compute="return 1")})
    bad = spec("A", "acme:x").replace("'acme:x'", "'acme:x', with: {bars: 4}")
    problems = check({"a": bad, "b": spec("B", "acme:wild")})
    assert said(problems) == [("a", "C507", "signals.s0.use"), ("b", "C510", "signals.s0.use")]
    assert words in problems[0].message


def test_nothing_that_it_started_outlives_the_check(site: Path, check: Check, tmp_path: Path) -> None:
    pipe = tmp_path / "alive"
    os.mkfifo(pipe)
    before = f"""
import os, threading
if os.fork() == 0:
    open({str(pipe)!r}, "w")
    held = open({str(pipe)!r}, "w")
    threading.Event().wait()
"""
    install_signals(site, "acme", {"leaves": signal("leaves", before=before)})
    ended = threading.Event()

    def watch() -> None:
        with open(pipe) as stream:
            stream.read()
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    assert check({"a": spec("A", "acme:leaves")}) == []
    assert ended.wait(20), "the copy that it forked still holds its file"


def test_too_much_code_that_ends_the_process_is_given_up(
    site: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code, "MAX_PROCESSES", 2)
    names = ["a", "b", "c"]
    install_signals(site, "acme", {name: signal(name, before="import os; os._exit(1)") for name in names})
    problems = check({"a": spec("A", *(f"acme:{name}" for name in names))})
    assert {one.code for one in problems} == {"C507"} and len(problems) == 3
    assert "was not looked at" in problems[0].message


def test_a_process_that_cannot_even_begin_is_a_problem_too(
    site: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "sitecustomize.py").write_text("import os; os._exit(9)")
    install_signals(site, "acme", {"good": signal()})
    (problem,) = check({"a": spec("A", "acme:good")})
    assert problem.code == "C507" and "before anything was imported: exit code 9" in problem.message


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"compute": "return np.ones((1, 1))"}, "returns shape (1, 1)"),
        ({"compute": "raise KeyError('close')"}, "raises KeyError: 'close' (acme/x.py:25) in a trial run"),
        ({"compute": "import sys; sys.exit(1)"}, "raises SystemExit: 1"),
        ({"compute": "return np.where(panel.close > panel.close[-1:], 1.0, 0.0)"}, "it looks ahead"),
        ({"warmup": "return 3 if self.bars == 3 else -1"}, "its warm-up must be a whole number of bars of at least 1,"),
        ({"post_init": "self.bars == 3 or {}['a']"}, "raises KeyError: 'a' (acme/x.py:"),
        ({"warmup": "return 3 if self.bars == 3 else 1 / 0"}, "raises ZeroDivisionError: division by zero"),
        ({"more": "@property\ndef sides(self): return {}['a']"}, "raises KeyError: 'a' (acme/x.py:"),
        ({"more": "sides = 3"}, "raises TypeError"),
        ({"more": "sides = frozenset({-1})"}, "says that its scores have the signs [-1], and has [1]"),
    ],
)  # fmt: skip
def test_a_broken_promise_names_the_block_and_what_it_did(
    site: Path, check: Check, parts: dict[str, str], words: str
) -> None:
    install_signals(site, "acme", {"x": signal("x", **parts)})
    problems = check({"a": spec("A", "acme:x").replace("'acme:x'", "'acme:x', with: {bars: 4}")})
    assert {one.code for one in problems} == {"C510"}
    assert any(words in one.message for one in problems), [one.message for one in problems]
    assert all(one.message.startswith("signal block acme:x ") and one.path == "signals.s0.use" for one in problems)


HOOKS = """
def cap(context, targets): ...
def told(fill): ...
"""


def test_hooks_are_imported_and_their_arguments_looked_at(site: Path, check: Check) -> None:
    install(site, "acme", {"hooks.py": HOOKS}, {"runner.hooks": {"cap": "acme.hooks:cap"}})
    good = "{before_orders: 'acme:cap', on_fill: 'acme.hooks:told', on_status_change: 'acme.hooks:told'}"
    bad = "{before_orders: 'acme.hooks:told', on_fill: 'acme.hooks:tld', on_status_change: 'acme.none:f'}"
    problems = check({"a": spec("A", "sma_cross", hooks=good), "b": spec("B", "sma_cross", hooks=bad)})
    assert said(problems) == [
        ("b", "C509", "hooks.before_orders"),
        ("b", "C509", "hooks.on_fill"),
        ("b", "C506", "hooks.on_status_change"),
    ]


def test_a_reference_in_a_base_is_blamed_where_it_is_written(site: Path, check: Check) -> None:
    install_signals(site, "acme", {"dies": signal("dies", before="import os; os._exit(1)")})
    text = (
        "spec: 1\nname: {}\nextends: _base.yaml\nuniverse: AAPL\nbars: {{size: 1 day}}\nsizing: {{use: equal_weight}}\n"
    )
    problems = check({"_base": "signals:\n  s: {use: 'acme:dies'}\n", "a": text.format("A"), "b": text.format("B")})
    assert said(problems) == [("_base", "C507", "signals.s.use")]


def test_a_relative_folder_names_its_files_as_they_are_typed(
    site: Path, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_signals(site, "acme", {"wild": signal("wild", before="import os; os.chdir('/')", compute="return 1")})
    check({"a": spec("A", "acme:wild")})
    monkeypatch.chdir(tmp_path)
    (problem,) = check_code(Path("strategies.d"), ACME)
    assert problem.file == "strategies.d/a.yaml"


def test_what_the_files_say_alone_is_known_without_an_import(site: Path, tmp_path: Path) -> None:
    install_signals(site, "acme", {"good": signal(before="raise SystemExit")})
    install_signals(site, "other", {"good": signal(before="raise SystemExit")})
    uses = ["acme:good", "acme:god", "other:good", "acme:a.b", "acme:"]
    (tmp_path / "a.yaml").write_text(spec("A", *uses))
    (tmp_path / "b.yaml").write_text(spec("B", "acme:good", params="{stop_loss: 0.05, min_weight: 0.5}"))
    folder = load_folder(tmp_path, deployment=ACME)
    assert said(list(folder.problems)) == [
        ("a", "C505", "signals.s1.use"),
        ("a", "C504", "signals.s2.use"),
        ("a", "S207", "signals.s3.use"),
        ("a", "S207", "signals.s4.use"),
        ("b", "M401", "params.min_weight"),
    ]
    assert folder.problems[0].hint == 'did you mean "acme:good"?'
    assert not {"acme", "other"} & set(sys.modules)
    (tmp_path / "a.yaml").unlink()
    (tmp_path / "b.yaml").write_text(spec("B", "acme:good"))
    folder = load_folder(tmp_path, deployment=ACME)
    assert folder.not_loaded == ("acme:good",) and folder.specs[0].not_loaded == ("acme:good",)
    with pytest.raises(RuntimeError, match="acme:good was not loaded"):
        folder.specs[0].signals["s0"].compute(None)  # type: ignore[arg-type]


def test_what_an_unknown_block_would_say_of_itself_is_no_warning(site: Path, tmp_path: Path) -> None:
    install_signals(site, "acme", {"good": signal()})
    params = "{target_weight: 0.1, max_daily_trades: 1, stop_loss: 0.5, max_daily_loss: 0.01}"
    for name in ("A", "B"):
        (tmp_path / f"{name}.yaml").write_text(spec(name, "acme:good", params=params))
    assert load_folder(tmp_path, deployment=ACME).problems == ()
    loaded = load_folder(tmp_path, deployment=replace(ACME, catalog=plugins.load({"acme"})))
    assert {one.code for one in loaded.problems} == {"W313", "W314", "W319"}


def test_a_problem_survives_the_pipe_whole() -> None:
    span, other = Span("a.yaml", 1, 2, 3, 4, 5, 6), Span("_b.yaml", 7, 8, 9, 10, 11, 12)
    problem = error("M401", "ü", span, path=("a", 0), hint="h", related=[Related("r", other)], fix=[Edit(span, "x")])
    assert problem_from_plain(problem_to_plain(problem)) == problem
    assert in_order([problem, problem_from_plain(problem_to_plain(problem))]) == (problem,)
