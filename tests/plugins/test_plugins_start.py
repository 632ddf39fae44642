"""What a runner that starts does about plugged-in code: what it refuses, and what it puts on the record."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from plugin_support import ALWAYS_LONG, install_signals, live_spec, signal, visible

from runner.errors import ConfigError
from runner.manager.app import first_look, reloading, start_all
from runner.manager.verbs import Verbs
from runner.model.events import Notice
from runner.spec.deployment import Deployment
from runner.spec.folder import load_folder

START = date(2012, 1, 3)
GOOD = signal("good", compute=f"{ALWAYS_LONG}return scores")


def notices(system: Any, name: str) -> list[str]:
    """What was said about a strategy's code."""
    found = [event for event in system.events if isinstance(event, Notice) and event.strategy == name]
    return [event.text for event in found if event.code.startswith("code")]


async def test_other_code_behind_the_same_file_is_noticed_at_the_next_start(build: Any, tmp_path: Path) -> None:
    site = tmp_path / "site"
    changed = []
    for number, source in enumerate([GOOD, GOOD, GOOD + "# better\n", GOOD + "# better\n"]):
        install_signals(site, "acme", {"good": source})
        with visible(site):
            options = {"gateway": changed[0].gateway} if changed else {"start": START, "end": START}
            running = build({"a.yaml": live_spec("A", "acme:good")}, state=tmp_path, plugins=("acme",), **options)
            changed.append(running)
            running.start()
            with reloading(running.manager) as service:
                (row,) = (await Verbs(running.manager, service).status({}))["strategies"]
            assert row["code_changed"] is (number == 2)
            running.settle()
            assert ("same file, different code" in notices(running, "A")[0]) is (number == 2)
            running.manager.close()


async def test_code_that_is_edited_while_it_runs_is_named_and_counts_later(site: Path, build: Any) -> None:
    install_signals(site, "acme", {"good": GOOD})
    running = build({"a.yaml": live_spec("A", "acme:good")}, start=START, end=START, plugins=("acme",))
    with reloading(running.manager) as service:
        start_all(running.manager, first_look(service, None), None)
        track, verbs = service.engine.track("A"), Verbs(running.manager, service)

        async def said() -> str:
            service.engine.observing.observe_all([track])
            (row,) = (await verbs.status({}))["strategies"]
            return str(row["reload"]["code_edited"])

        assert await said() == ""
        module = site / "acme" / "good.py"
        module.write_text(GOOD + "# better\n")
        assert "code on disk differs from the code that runs: acme:good" in await said()
        module.write_text(GOOD)
        assert await said() == ""
    running.settle()
    assert [text for text in notices(running, "A") if "on disk" in text] == [
        "code on disk differs from the code that runs: acme:good; it counts when the runner is started again"
    ]


def test_a_block_that_was_not_there_at_the_start_needs_a_restart(site: Path, build: Any) -> None:
    """A file may name what was installed after the runner had started: it is judged, and cannot run."""
    install_signals(site, "acme", {"good": GOOD})
    running = build({"a.yaml": live_spec("A", "acme:good")}, start=START, end=START, plugins=("acme",))
    (late,) = load_folder(running.folder, deployment=Deployment(allowed_packages=frozenset({"acme"}))).specs
    with pytest.raises(ConfigError, match="A uses acme:good, which was not there when the runner started"):
        running.manager.start_strategy("A", late)


def test_a_failing_import_hurts_only_the_files_that_use_it(site: Path, build: Any) -> None:
    install_signals(site, "acme", {"good": GOOD, "bad": "raise SystemExit(1)"})
    files = {
        "a.yaml": live_spec("A", "acme:good"),
        "b.yaml": live_spec("B", "acme:bad"),
        "c.yaml": live_spec("C", universe="AAPL"),
    }
    running = build(files, start=START, end=START, plugins=("acme",))
    with reloading(running.manager) as service:
        folder, starts = service.begin()
        assert [(one.code, Path(one.file).name) for one in folder.problems] == [("C507", "b.yaml")]
        assert start_all(running.manager, starts, None) == []
    assert [runtime.name for runtime in running.manager.runtimes] == ["A", "C"]
