"""What operators do about versions, each through its own command, against one runner that looks when it is told."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from live_support import HOLD, STEADY_MARKET, SWING, WAIT_S, Process, Project, until

from runner.store.journal import Journal

CONFIRM = STEADY_MARKET + "reload: {loosening: confirm}\n"
COMMENTED = SWING.replace(
    "params: {target_weight: 0.3}",
    "# how much of it\nparams:\n  target_weight: 0.3  # a third, nearly\n  max_daily_trades: 50",
)
DASHBOARD = """
import json, sys
import arcticdb
uri, name, field, value = sys.argv[1:]
library = arcticdb.Arctic(uri)["general"]
frame = library.read("strategies").data
row = frame.index[frame["strategy"] == name][0]
params = json.loads(frame.at[row, "params"])
params[field] = json.loads(value)
frame.at[row, "params"] = json.dumps(params)
library.write("strategies", frame)
sys.stdout.flush()
import os; os._exit(0)
"""


@pytest.fixture(scope="module")
def project(projects: Callable[[], Project]) -> Project:
    return projects().write({"hold.yaml": HOLD, "swing.yaml": COMMENTED}, config=CONFIRM)


@pytest.fixture(scope="module")
def running(project: Project) -> Iterator[Process]:
    process = project.start("run", "--no-watch").ready()
    for name in ("HOLD", "SWING"):
        process.event(type="fill", strategy=name)
    yield process


def change_row(project: Project, name: str, field: str, value: float) -> None:
    """As a dashboard does: another program, with ArcticDB alone."""
    uri = f"lmdb://{project.state_dir / 'arctic'}"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DASHBOARD, uri, name, field, json.dumps(value)],
        timeout=WAIT_S,
        check=True,
    )


def test_without_changes_there_is_nothing_to_plan(running: Process) -> None:
    said = running.project.say("plan", "--exit-code")
    assert (said.code, said.out) == (0, "0 strategies would change. Nothing applied.\n")
    assert "SWING: runs as its file says" in running.project.say("plan", "SWING").out


def test_a_plan_shows_fields_classes_directions_and_orders_and_applies_nothing(running: Process) -> None:
    project = running.project
    project.edit("swing.yaml", "target_weight: 0.3", "target_weight: 0.2")
    said = project.say("plan", "--exit-code")
    assert said.code == 3
    assert "SWING: would be applied" in said.out
    line = next(line for line in said.out.splitlines() if "params.target_weight" in line)
    assert line.split() == ["swing.yaml:9", "params.target_weight", "0.3", "→", "0.2", "live", "tighter"]
    assert "with prices of" in said.out and "target" in said.out
    assert said.out.endswith("1 strategy would change. Nothing applied.\n")
    assert running.target_weight("SWING") == 0.3

    (row,) = project.say("plan", "--json").json["strategies"]
    assert (row["strategy"], row["action"], row["apply"], row["direction"]) == ("SWING", "apply", "live", "tighter")
    assert [(one["path"], one["old"], one["new"]) for one in row["changes"]] == [("params.target_weight", 0.3, 0.2)]
    assert {one["symbol"] for one in row["effect"]["targets"]} == {"AAPL", "GOOG", "IBM", "MSFT"}


def test_a_kept_plan_is_applied_as_long_as_it_is_true(running: Process) -> None:
    project = running.project
    assert project.say("plan", "--out", "plan.json").code == 0
    good = project.read("swing.yaml")
    project.edit("swing.yaml", "target_weight: 0.2", "target_weight: 0.19")
    stale = project.say("apply", "plan.json")
    assert stale.code == 6 and "the file of SWING has changed since the plan was made" in stale.err
    assert running.target_weight("SWING") == 0.3
    project.save("swing.yaml", good)
    done = project.say("apply", "plan.json", "--reason", "as agreed")
    assert done.code == 0 and running.target_weight("SWING") == 0.2
    assert running.generations("SWING") == (2, 2, 2)
    again = project.say("apply", "plan.json")
    assert again.code == 6 and "SWING runs generation 2 now; the plan was made when it ran 1" in again.err


def test_what_is_no_plan_is_refused(running: Process) -> None:
    (running.project.root / "other.json").write_text("{}")
    assert running.project.say("apply", "other.json").code == 1
    assert running.project.say("apply", "nowhere.json").code == 2
    (running.project.root / "edited.json").write_text('{"plan_format": "1.0", "strategies": [{"action": "hold"}]}')
    said = running.project.say("apply", "edited.json")
    assert said.code == 1 and "edited.json: this is not a plan that can be applied: strategy 1 of the plan" in said.err


def test_a_refused_file_is_in_the_plan_with_its_problems(running: Process) -> None:
    project = running.project
    good = project.read("hold.yaml")
    project.edit("hold.yaml", "target_weight", "target_wait")
    said = project.say("plan")
    assert "HOLD: is refused" in said.out and "hold.yaml:7:10" in said.out
    project.save("hold.yaml", good)


def test_loosening_is_held_until_somebody_decides(running: Process) -> None:
    project = running.project
    project.edit("swing.yaml", "target_weight: 0.2", "target_weight: 0.25")
    held = project.say("reload")
    assert held.code == 5
    assert "loosens params.target_weight 0.2 → 0.25: runner approve SWING@3" in held.out
    assert running.target_weight("SWING") == 0.2 and running.generations("SWING") == (3, 2, 2)
    assert "runner approve SWING@3" in project.say("status").out
    planned = project.say("plan", "--exit-code")
    assert planned.code == 3 and "0 strategies would change, 1 is held." in planned.out
    assert "SWING: is held: loosens params.target_weight 0.2 → 0.25: runner approve SWING@3" in planned.out

    wrong = project.say("approve", "SWING@2")
    assert wrong.code == 1 and "SWING@3 is" in wrong.err
    assert project.say("reject", "SWING@3", "--reason", "not in this market").code == 0
    assert project.say("reload").code == 0, "it is not asked for again"
    planned = project.say("plan", "--exit-code")
    assert planned.code == 0 and "SWING: was rejected: not in this market; it is asked for again" in planned.out
    assert project.say("approve", "SWING@3").code == 1

    project.edit("swing.yaml", "target_weight: 0.25", "target_weight: 0.24")
    assert project.say("reload").code == 5
    done = project.say("approve", "SWING@4", "--reason", "calmer now")
    assert done.code == 0 and running.target_weight("SWING") == 0.24
    states = {one["generation"]: one["state"] for one in running.ask("history", name="SWING")["generations"]}
    assert states == {1: "applied", 2: "applied", 3: "rejected", 4: "applied"}


def test_a_held_version_is_approved_by_applying_its_plan(running: Process) -> None:
    project = running.project
    project.edit("swing.yaml", "target_weight: 0.24", "target_weight: 0.26")
    assert project.say("reload").code == 5
    assert project.say("plan", "--out", "plan.json").code == 0
    assert project.say("apply", "plan.json").code == 0
    assert running.target_weight("SWING") == 0.26


def test_set_edits_the_file_in_place_and_waits_for_the_result(running: Process) -> None:
    project = running.project
    said = project.say("set", "SWING", "params.target_weight", "0.2", "--reason", "too wild")
    assert said.code == 0, said.err
    assert re.search(r"^  target_weight: 0\.2 +# a third, nearly$", project.read("swing.yaml"), re.M)
    assert project.read("swing.yaml").count("# how much of it") == 1
    assert running.target_weight("SWING") == 0.2
    newest = running.ask("history", name="SWING")["generations"][0]
    assert (newest["cause"], newest["reason"], newest["state"]) == ("set", "too wild", "applied")


def test_set_takes_lists_and_takes_keys_away(running: Process) -> None:
    project, text = running.project, running.project.read("hold.yaml")
    ran = running.generations("HOLD")[2]
    assert project.say("set", "HOLD", "tags", "[calm, us]").code == 0
    assert "tags: [calm, us]" in project.read("hold.yaml")
    assert project.say("set", "HOLD", "tags", "null").code == 0
    assert project.read("hold.yaml") == text
    assert running.generations("HOLD")[2] == ran, "tags say nothing about trading"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("params.target_weight", "7", ["params.target_weight cannot be 7; the file was left as it is", "^"]),
        ("params.target_weight", "-1", ["params.target_weight must be at least 0, not -1", "target_weight: -1", "^^"]),
        ("params.target_wait", "0.1", ['unknown key "target_wait"', "target_wait: 0.1", "^^^^^^^^^^^"]),
        ("params.target_weight", "much", ["^"]),
    ],
)
def test_set_leaves_the_file_alone_when_it_would_be_wrong(
    running: Process, field: str, value: str, words: list[str]
) -> None:
    before = running.project.read("swing.yaml")
    said = running.project.say("set", "SWING", field, value)
    assert said.code == 1
    for word in words:
        assert word in said.err
    assert running.project.read("swing.yaml") == before


def test_a_value_for_a_while_goes_back_by_itself_or_when_told(running: Process) -> None:
    project = running.project
    text = project.read("swing.yaml")
    assert project.say("set", "SWING", "params.target_weight", "0.1", "--for", "2h").code == 2, "it needs a reason"
    said = project.say("set", "SWING", "params.target_weight", "0.1", "--for", "2h", "--reason", "the Fed speaks")
    assert said.code == 0 and running.target_weight("SWING") == 0.1
    assert project.read("swing.yaml") == text
    shown = project.say("status", "SWING").out
    assert "params.target_weight is 0.1, from the override until" in shown and "the Fed speaks" in shown
    assert project.say("restore", "SWING", "params.target_weight").code == 0
    assert running.target_weight("SWING") == 0.2
    assert project.say("restore", "SWING").code == 1, "nothing is left to restore"
    off = project.say("set", "SWING", "enabled", "no", "--for", "1h", "--reason", "the Fed speaks")
    assert off.code == 1 and "enabled cannot be no: it must be true or false" in off.err and "write false" in off.err
    assert project.say("set", "SWING", "params.target_weight", "0.4", "--for", "2h", "--reason", "x").code == 5

    assert project.say("set", "SWING", "params.target_weight", "0.1", "--for", "1s", "--reason", "a moment").code == 0
    until(lambda: not running.row("SWING")["reload"]["overrides"], "its second is over")
    assert running.target_weight("SWING") == 0.2


def test_what_a_file_loosens_under_an_override_is_held_like_anything_else(running: Process) -> None:
    """Else it would be in force when the override ends, and nobody is asked then."""
    project = running.project
    for_a_while = ("set", "SWING", "params.target_weight", "0.1", "--for", "2h", "--reason", "the Fed speaks")
    assert project.say(*for_a_while).code == 0
    project.edit("swing.yaml", "target_weight: 0.2 ", "target_weight: 0.21 ")
    said = project.say("reload")
    assert said.code == 5 and "loosens params.target_weight 0.2 → 0.21" in said.out
    assert "SWING: is held" in project.say("plan").out
    assert project.say("set", "SWING", "params.max_daily_trades", "20", "--for", "2h", "--reason", "x").code == 0
    held = running.generations("SWING")[0]
    assert running.target_weight("SWING") == 0.1
    assert project.say("restore", "SWING").code == 0 and running.target_weight("SWING") == 0.2
    assert project.say(*for_a_while).code == 0, "what is held is not what was asked for"
    assert running.row("SWING")["reload"]["state"] == "held"
    assert running.generations("SWING")[0] == held, "temporary values leave its number as it is"
    assert project.say("approve", f"SWING@{held}").code == 0
    assert running.target_weight("SWING") == 0.1, "it is approved for when the override ends"
    ran = running.generations("SWING")[2]
    assert running.generations("SWING") == (ran,) * 3 and ran > held
    assert project.say("restore", "SWING").code == 0 and running.target_weight("SWING") == 0.21
    assert project.say("set", "SWING", "params.target_weight", "0.2", "--reason", "too wild").code == 0


def test_history_diff_and_blame_tell_who_changed_what_and_why(running: Process) -> None:
    project = running.project
    history = project.say("history", "SWING").out
    assert "too wild" in history and "rejected" in history and "not in this market" in history
    assert history.splitlines()[-1] == f"generation {running.generations('SWING')[2]} runs"
    diff = project.say("diff", "SWING@1..2").out
    assert diff.splitlines()[1].split() == ["params.target_weight", "0.3", "0.2"]
    assert "-  target_weight: 0.3  # a third, nearly" in project.say("diff", "SWING@1..2", "--text").out
    blame = project.say("blame", "SWING", "params.target_weight", "--json").json
    assert blame["value"] == 0.2 and blame["changes"][-1]["reason"] == "too wild"
    assert project.say("blame", "SWING", "params.target_wait").code == 1
    assert project.say("history", "NOBODY").code == 1


def test_rollback_runs_an_old_version_and_sets_the_file_aside(running: Process) -> None:
    project = running.project
    assert project.say("set", "SWING", "params.target_weight", "0.15").code == 0
    number = running.generations("SWING")[2]
    project.edit("swing.yaml", "target_weight: 0.15", "target_weight: 0.12")
    assert project.say("reload").code == 0
    assert project.say("rollback", f"SWING@{number}").code == 5, "it loosens, so it is held like any other change"
    newest = running.ask("history", name="SWING")["generations"][0]
    assert project.say("approve", f"SWING@{newest['generation']}").code == 0
    assert running.target_weight("SWING") == 0.15
    assert "target_weight: 0.12" in project.read("swing.yaml")
    assert project.say("reload").code == 0 and running.target_weight("SWING") == 0.15, "the file is set aside"
    planned = project.say("plan", "--exit-code")
    assert planned.code == 0 and "SWING: its file is set aside: rolled back to generation" in planned.out

    tighter = project.say("rollback", f"SWING@{number + 1}", "--reason", "back down")
    assert tighter.code == 0 and running.target_weight("SWING") == 0.12
    project.edit("swing.yaml", "target_weight: 0.12", "target_weight: 0.11")
    assert project.say("reload").code == 0 and running.target_weight("SWING") == 0.11, "an edit counts again"

    into_file = project.say("rollback", f"SWING@{number}", "--file", "--reason", "for good")
    assert into_file.code == 5 and "target_weight: 0.15" in project.read("swing.yaml")
    held = running.ask("history", name="SWING")["generations"][0]
    assert (held["cause"], held["reason"]) == ("rollback", "for good")
    assert project.say("approve", f"SWING@{held['generation']}").code == 0
    assert running.generations("SWING") == (held["generation"],) * 3


def test_a_cap_that_is_tightened_in_the_store_holds_and_a_looser_one_does_not(running: Process) -> None:
    project = running.project
    assert project.say("drift", "--exit-code").out == "the store says what the files say\n"
    unknown = project.say("drift", "SWIMG")
    assert unknown.code == 1 and "there is no YAML strategy called 'SWIMG' (known: HOLD, SWING)" in unknown.err
    change_row(project, "SWING", "target_weight", 0.05)
    said = project.say("drift", "--exit-code")
    assert said.code == 3
    assert said.out.splitlines()[1].split() == [
        "SWING",
        "params.target_weight",
        "0.15",
        "0.05",
        "tighter",
        "0.05",
        "(store)",
    ]
    assert running.target_weight("SWING") == 0.05
    assert "StoreTightened" in project.say("status").out
    project.edit("swing.yaml", "max_daily_trades: 50", "max_daily_trades: 40")
    assert project.say("reload").code == 0
    assert running.target_weight("SWING") == 0.05, "another field of the file does not undo it"
    assert project.say("adopt", "SWING").code == 0
    assert re.search(r"^  target_weight: 0\.05 +# a third, nearly$", project.read("swing.yaml"), re.M)
    assert project.say("drift", "--exit-code").code == 0

    change_row(project, "SWING", "target_weight", 0.5)
    (row,) = project.say("drift", "--json").json["drift"]
    assert (row["direction"], row["in_force"], row["in_force_value"]) == ("looser", "file", 0.05)
    assert running.target_weight("SWING") == 0.05
    assert project.say("revert", "SWING").code == 0
    assert project.say("drift", "--exit-code").code == 0


def test_what_others_write_into_the_store_is_not_written_over_by_another_strategys_change(running: Process) -> None:
    project = running.project
    change_row(project, "HOLD", "target_weight", 0.04)
    assert project.say("set", "SWING", "params.max_daily_trades", "30").code == 0
    assert project.say("drift", "HOLD").out.splitlines()[1].split()[1:4] == ["params.target_weight", "0.1", "0.04"]
    assert running.target_weight("HOLD") == 0.04
    assert project.say("revert", "HOLD").code == 0
    assert running.target_weight("HOLD") == 0.1

    change_row(project, "HOLD", "target_weight", 0.04)
    assert project.say("set", "HOLD", "description", "held").code == 0
    assert running.target_weight("HOLD") == 0.04, "nor by a change of its own file that says nothing about it"
    assert project.say("revert", "HOLD").code == 0


SAMPLE = re.compile(r"(runner_[a-z_]+)(?:\{((?:[a-z]+=\"[^\"]*\",?)*)\})? ([0-9.e+]+)")


def test_metrics_are_in_the_format_that_prometheus_reads(running: Process) -> None:
    lines = running.project.say("metrics").out.splitlines()
    families = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE")}
    assert families["runner_watch_blind_total"] == "counter"
    values: dict[tuple[str, str | None], float] = {}
    for line in lines:
        if not line.startswith("#"):
            found = SAMPLE.fullmatch(line)
            assert found is not None, line
            assert found[1] in families
            values[found[1], found[2]] = float(found[3])
    file, store, ran = running.generations("SWING")
    for stage, generation in (("file", file), ("store", store), ("running", ran)):
        assert values["runner_spec_generation", f'strategy="SWING",stage="{stage}"'] == generation
    assert values["runner_spec_last_reload_success", 'strategy="HOLD"'] == 1
    assert values["runner_config_last_reload_success", None] == 1


def test_hangup_has_the_files_looked_at(running: Process) -> None:
    since = running.last_seq()
    running.project.edit("hold.yaml", "target_weight: 0.1", "target_weight: 0.09")
    running.send(signal.SIGHUP)
    assert running.reloaded(since, "HOLD", result="applied")["running"] == running.generations("HOLD")[2]
    assert running.running and running.target_weight("HOLD") == 0.09


def test_without_a_runner_the_versions_are_read_from_the_journal(running: Process) -> None:
    project = running.project
    before = {words: project.say(*words).out for words in OFFLINE}
    ran = running.generations("SWING")[2]
    assert running.end(signal.SIGINT) == 0
    project.settle()
    project.audit()
    assert project.say("status", "SWING").out.splitlines()[1].split()[:4] == ["SWING", "Stopped", "-", str(ran)]
    for words, out in before.items():
        assert project.say(*words).out == out
    for words in (["plan"], ["apply"], ["approve", "SWING@1"], ["drift"], ["metrics"], ["rollback", "SWING@1"]):
        assert project.say(*words).code == 4, words
    project.edit("hold.yaml", "target_weight: 0.09", "target_weight: 0.08")
    said = project.say("plan", "--offline", "--exit-code")
    assert said.code == 3 and "params.target_weight  0.09 → 0.08" in said.out
    assert project.say("plan", "--offline", "NOBODY").code == 1
    text = project.read("swing.yaml")
    (project.strategies / "swing.yaml").unlink()
    said = project.say("plan", "--offline")
    assert "SWING: would be removed" in said.out and "2 strategies would change" in said.out
    said = project.say("rollback", "SWING@1", "--file")
    assert said.code == 1 and "no file in strategies.d has the strategy SWING" in said.err
    project.save("swing.yaml", text)

    ran = project.say("history", "HOLD", "--json").json["running"]
    assert project.say("rollback", f"HOLD@{ran - 1}", "--file").code == 0
    assert "target_weight: 0.1" in project.read("hold.yaml")
    assert project.say("set", "HOLD", "params.target_weight", "0.07").code == 0
    assert "target_weight: 0.07" in project.read("hold.yaml")


OFFLINE = (("history", "SWING"), ("diff", "SWING@1..2"), ("blame", "SWING", "params.target_weight"))


def test_the_next_start_takes_over_what_was_edited_meanwhile(running: Process) -> None:
    """SWING's file is wrong when it starts, HOLD's is tighter than what ran."""
    project = running.project
    good = project.read("swing.yaml")
    project.edit("swing.yaml", "max_daily_trades", "max_daily_trade")
    again = project.start().ready()
    assert "swing.yaml:10:" in again.err and "max_daily_trade" in again.err
    assert again.target_weight("HOLD") == 0.07
    row = again.row("SWING")
    file, _, ran = again.generations("SWING")
    assert row["phase"] == "Paused" and "opens nothing" in row["reason"] and file == ran + 1
    assert "swing.yaml:10:" in project.say("status", "SWING").out
    project.save("swing.yaml", good)
    until(lambda: again.phases()["SWING"] == "Running", "it trades on once its file is right")
    assert again.end() == 0
    with Journal.read_only(project.journal) as journal:
        for name in ("HOLD", "SWING"):
            numbers = [one.generation for one in journal.generations.history(name, 1000)][::-1]
            assert numbers == list(range(1, len(numbers) + 1))
    project.settle()
    project.audit()
