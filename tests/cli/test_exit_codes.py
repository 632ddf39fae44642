"""Every error ends in a message that says what to do, and in the right exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner import errors
from runner.cli.group import COMMANDS, cli
from runner.cli.output import counted
from runner.cli.status import status

ERRORS = [
    (errors.SpecError("a file is wrong"), 1),
    (errors.ConfigError("runner.yaml is wrong"), 78),
    (errors.UnknownName("there is no strategy called TRED"), 1),
    (errors.HookError("a hook raised"), 1),
    (errors.StoreError("the store is full"), 4),
    (errors.StoreLocked("in use by process 7", pid=7), 4),
    (errors.StoreCorrupt("the journal is damaged"), 78),
    (errors.NotConnected("nobody listens on 127.0.0.1:4002"), 4),
    (errors.PacingLimit("too fast", retry_after_s=1.0), 4),
    (errors.ClientIdInUse("client id 3 is taken", code=326), 4),
    (errors.WrongAccount("U1 is a live account", setting="mode"), 78),
    (errors.OrderRejected("margin", code=201), 1),
    (errors.ContractNotFound("no contract AAPLX", code=200), 1),
    (errors.NoMarketData("no permission", code=354), 4),
]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes `runner status` raise."""

    def arrange(error: BaseException) -> None:
        def raising(*_args: object, **_kwargs: object) -> None:
            raise error

        monkeypatch.setattr(status, "callback", raising)

    return arrange


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda value: type(value).__name__)
def test_each_kind_of_error_has_its_exit_code(say, failing, error, code):
    failing(error)
    said = say("status")
    assert (said.code, said.out, said.err) == (code, "", f"error: {error.message}\n")


def test_every_error_class_is_in_the_table():
    classes = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}
    assert classes - {type(error) for error, _ in ERRORS} == {errors.RunnerError, errors.GatewayError}


def test_the_hint_stands_under_the_message(say, failing):
    failing(errors.NotConnected("nobody listens", hint="start the gateway"))
    assert say("status").err == "error: nobody listens\n  hint: start the gateway\n"


def test_notes_of_an_error_are_shown(say, failing):
    error = errors.HookError("on_fill raised ValueError: no")
    error.add_note("in strategy TREND")
    failing(error)
    assert say("status").err == "error: on_fill raised ValueError: no\n  in strategy TREND\n"


def test_with_json_an_error_is_also_an_object_on_stdout(say, failing):
    failing(errors.NotConnected("nobody listens", hint="start the gateway"))
    said = say("--json", "status")
    assert said.json == {
        "format_version": "1.0",
        "error": {"message": "nobody listens", "hint": "start the gateway", "exit_code": 4},
    }


def test_a_bug_ends_with_70_and_leaves_a_report(say, failing, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(ZeroDivisionError("division by zero"))
    said = say("status", "--json")
    first, second = said.err.splitlines()
    assert (said.code, first) == (70, "internal error: ZeroDivisionError: division by zero")
    report = Path(second.rpartition(" ")[2])
    assert report.parent == tmp_path
    assert "command: runner status --json" in report.read_text()
    assert "Traceback" in report.read_text()
    assert "Traceback" not in said.err


def test_a_bug_with_nowhere_to_write_shows_its_trace(say, failing, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    failing(ZeroDivisionError("division by zero"))
    said = say("status")
    assert said.code == 70
    assert "Traceback" in said.err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EOFError()])
def test_an_interrupt_ends_with_130(say, failing, error):
    failing(error)
    said = say("status")
    assert (said.code, said.err) == (130, "interrupted\n")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["statsu"], "No such command 'statsu'. Did you mean 'status'?"),
        (["status", "--jsno"], "Did you mean '--json'?"),
        (["validate", "--formt", "json"], "No such option '--formt'. Did you mean '--format'?"),
        (["validate", "--format", "jsno"], "'jsno' is not one of"),
        (["orders", "--limit", "0"], "0 is not in the range"),
        (["demo", "--years", "0"], "0.0 is not in the range"),
        (["demo", "--start", "yesterday"], "'yesterday' does not match the format '%Y-%m-%d'"),
        (["gateway", "--speed", "-1"], "'-1' is neither a number above 0 nor max"),
        (["gateway", "--speed", "nan"], "'nan' is neither a number above 0 nor max"),
        (["gateway", "--cash", "1000"], "'1000' is not of the form USD=1000000"),
        (["gateway", "--cash", "USD=1", "--cash", "USD=2"], "USD is given twice"),
        (["stop"], "name one strategy, or say --all"),
        (["stop", "A", "--all"], "name one strategy, or say --all"),
        (["start", "--all", "--file", "x.py"], "--file needs the NAME of one strategy"),
        (["validate", "nothing.yaml"], "'nothing.yaml' does not exist"),
        (["-C", "nowhere", "status"], "cannot go to nowhere"),
    ],
)
def test_wrong_usage_ends_with_2(say, args, words):
    said = say(*args)
    assert (said.code, said.out) == (2, "")
    assert words in said.err


@pytest.mark.parametrize("args", [["--help"], ["-h"], *[[name, "--help"] for name in COMMANDS]])
def test_help_is_a_result(say, args):
    said = say(*args)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("Usage: runner")


def test_no_command_at_all_shows_the_commands_as_wrong_usage(say):
    said = say()
    assert (said.code, said.out) == (2, "")
    assert all(name in said.err for name in COMMANDS)


def test_the_version_is_shown(say):
    from runner import __version__

    assert say("--version").out == f"runner, version {__version__}\n"


def test_the_list_of_commands_says_what_their_pages_say():
    """The group knows a line of each command so that it need not import it; it must not be another command's."""
    for name in COMMANDS:
        command = cli.get_command(None, name)
        assert command is not None
        assert command.name == name
        assert any(option.name == "json" or "--json" in option.opts for option in command.params)


def test_shared_options_may_stand_on_either_side(say, project, running):
    running.answers["fills"] = {"fills": []}
    assert say("--json", "fills").json == say("fills", "--json").json
    (project / "inner").mkdir()
    assert say("fills", "-C", "inner").code == 4


@pytest.mark.parametrize(
    ("place", "words", "hint"),
    [
        ("no such/x.json", "no such/x.json cannot be written: there is no folder no such", "mkdir -p 'no such'"),
        ("runner.yaml/x.json", "runner.yaml/x.json cannot be written: runner.yaml is a file", "name another place"),
        ("x" * 300, "cannot be written: file name too long", "name it shorter"),
        ("/proc/x.json", "/proc/x.json cannot be written: no such file", "name a place that you may write to"),
        ("/dev/full", "/dev/full cannot be written: no space left on device", ""),
    ],
)
def test_a_file_that_was_named_and_cannot_be_written_is_said_with_what_would_help(
    say, project, monkeypatch, place, words, hint
):
    (project / "strategies.d").mkdir()
    (project / "runner.yaml").write_text("strategies_dir: strategies.d\n")
    empty = {"changes": 0, "held": 0, "strategies": []}
    monkeypatch.setattr("runner.cli.plan.call", lambda *_args, **_kwargs: empty)
    for args in (["plan", "--out", place], ["validate", "--format", "junit", "--output", place]):
        said = say(*args)
        assert (said.code, said.out) == (1, "")
        assert words in said.err and hint in said.err


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 files"), (1, "1 file"), (2, "2 files"), (2000, "2,000 files")],
)
def test_one_is_not_many(count, words):
    assert counted(count, "file") == words


@pytest.mark.parametrize(("held", "words"), [(["a.yaml"], "1 file is missing"), (["a", "b"], "2 files are missing")])
def test_files_that_are_missing_are_counted_in_words_that_fit(say, monkeypatch, held, words):
    result = {"strategies": [], "deletions_held": held, "settled": True}
    monkeypatch.setattr("runner.cli.versions.call", lambda *_args, **_kwargs: result)
    said = say("reload")
    assert said.code == 5 and f"{words} and nothing is removed" in said.err
