"""`start`, `stop`, `pause`, `resume` and `flatten` give orders to the running runner, and only to it."""

from __future__ import annotations

import getpass

import pytest

VERBS = ("start", "stop", "pause", "resume", "flatten")
CHANGED = {"changed": [{"name": "TREND", "phase": "Paused", "reason": "lunch"}]}


@pytest.mark.parametrize("verb", VERBS)
def test_what_changed_is_shown(say, running, verb):
    running.answers[verb] = CHANGED
    said = say(verb, "TREND", "--reason", "lunch")
    assert (said.code, said.err) == (0, "")
    assert said.out == "STRATEGY  PHASE   REASON\nTREND     Paused  lunch\n"
    assert running.asked == [(verb, {"name": "TREND", "reason": "lunch"})]


@pytest.mark.parametrize("verb", VERBS)
def test_the_default_reason_names_the_user(say, running, verb):
    running.answers[verb] = CHANGED
    assert say(verb, "TREND", "--json").json == {"format_version": "1.0"} | CHANGED
    assert running.asked[0][1]["reason"] == f"{verb} by {getpass.getuser()}"


@pytest.mark.parametrize("verb", ["start", "stop", "pause", "resume"])
def test_all_means_all(say, running, verb):
    running.answers[verb] = {"changed": []}
    assert say(verb, "--all", "--reason", "x").out == "nothing to do\n"
    assert running.asked == [(verb, {"all": True, "reason": "x"})]


@pytest.mark.parametrize("verb", VERBS)
def test_without_a_runner_there_is_nobody_to_order(say, verb):
    said = say(verb, "TREND")
    assert (said.code, said.out) == (4, "")
    assert "hint: start one with: runner run" in said.err


def test_a_hand_written_strategy_is_registered_with_its_file(say, running):
    running.answers["start"] = CHANGED
    say("start", "MINE", "--file", "mine.py", "--reason", "new")
    assert running.asked == [("start", {"name": "MINE", "file": "mine.py", "reason": "new"})]


@pytest.mark.parametrize(("typed", "sent"), [("FLATTEN\n", True), ("flatten\n", False), ("yes\n", False)])
def test_flatten_all_asks_for_the_word(say, running, monkeypatch, typed, sent):
    running.answers["flatten"] = {"changed": []}
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.prompt", lambda *_args, **_kwargs: typed.strip())
    said = say("flatten", "--all")
    assert said.code == (0 if sent else 2)
    assert bool(running.asked) is sent


def test_flatten_all_without_a_terminal_wants_yes(say, running):
    running.answers["flatten"] = {"changed": []}
    refused = say("flatten", "--all")
    assert (refused.code, running.asked) == (2, [])
    assert "add --yes" in refused.err
    assert say("flatten", "--all", "--yes").code == 0
    assert running.asked[0][1]["all"] is True


def test_flatten_of_one_strategy_does_not_ask(say, running):
    running.answers["flatten"] = CHANGED
    assert say("flatten", "TREND").code == 0
