"""The real process: what it imports, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from runner.__main__ import _end
from runner.manager.control import SOCKET_NAME

TIMEOUT_S = 30
HEAVY = ("pandas", "arcticdb", "ib_async", "numba", "talib", "exchange_calendars", "scipy", "matplotlib")
LIGHT_COMMANDS = [
    ["--help"],
    ["--version"],
    ["nonsense"],
    ["gateway", "--help"],
    ["demo", "--help"],
    ["run", "--help"],
    ["validate"],
    ["validate", "--json"],
    ["status"],
    ["positions", "--json"],
    ["orders"],
    ["fills"],
    ["events"],
    ["events", "--follow"],
    ["start", "X"],
    ["stop", "X"],
    ["pause", "X"],
    ["resume", "X"],
    ["flatten", "X"],
]
PROBE = """
import json, sys
from runner.__main__ import invoke
loaded = {}
for args in json.load(sys.stdin):
    before = set(sys.modules)
    code = invoke(args)
    loaded[" ".join(args)] = [name for name in %r if name in sys.modules]
print("LOADED" + json.dumps(loaded))
"""
SPEC = """\
spec: 1
name: TREND
universe: {symbols: [AAPL]}
bars: {size: 1 day, history: 120}
signals: {trend: {use: sma_cross, with: {fast: 20, slow: 100}}}
sizing: {use: equal_weight}
schedule: {calendar: XNYS, evaluate: "15:45"}
"""


def run(*args: str, cwd: Path, **kwargs) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "runner", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, **kwargs)


def probe(commands: list[list[str]], names: tuple[str, ...], cwd: Path) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE % (names,)],
        cwd=cwd,
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return json.loads(done.stdout.rpartition("LOADED")[2])


def test_commands_that_need_no_store_import_nothing_heavy(project):
    (project / "strategies.d").mkdir()
    (project / "strategies.d" / "trend.yaml").write_text(SPEC)
    loaded = probe(LIGHT_COMMANDS, HEAVY, project)
    assert loaded == {" ".join(args): [] for args in LIGHT_COMMANDS}


def test_help_imports_only_the_command_line(project):
    names = (*HEAVY, "numpy", "yaml", "jsonschema", "rich", "asyncio", "sqlite3", "runner.spec", "runner.manager")
    assert probe([["--help"], ["--version"]], names, project) == {"--help": [], "--version": []}


COMPLETION = """
import os, sys
from runner.__main__ import main
try:
    main()
finally:
    print("LOADED", [name for name in %r if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("runner val", ["validate"]),
        ("runner st", ["status", "start", "stop"]),
        ("runner validate --form", ["--format"]),
        ("runner validate --format con", ["concise"]),
        ("runner status --js", ["--json"]),
    ],
)
def test_a_shell_completes_commands_options_and_choices_without_importing_more(project, words, offered):
    shell = {"_RUNNER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", COMPLETION % ((*HEAVY, "numpy", "yaml", "jsonschema"),), "runner"],
        cwd=project,
        env={**os.environ, **shell},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    *lines, loaded = done.stdout.splitlines()
    assert [line.partition(",")[2] for line in lines] == offered
    assert loaded == "LOADED []"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_its_script(project, shell):
    said = run(cwd=project, env={**os.environ, "_RUNNER_COMPLETE": f"{shell}_source"})
    assert said.returncode == 0
    assert "_RUNNER_COMPLETE=" in said.stdout


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the threads of a process are counted in /proc")
def test_validating_starts_no_threads_that_spin(project):
    """numpy's BLAS would start one for each core."""
    (project / "strategies.d").mkdir()
    (project / "strategies.d" / "trend.yaml").write_text(SPEC)
    code = (
        "import atexit, os, sys\n"
        "atexit.register(lambda: print(len(os.listdir('/proc/self/task')), 'numpy' in sys.modules))\n"
        "from runner.__main__ import main\n"
        "sys.argv = ['runner', 'validate']\n"
        "main()\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.stdout.splitlines()[-1] == "1 True"


def test_the_process_ends_with_the_commands_exit_code(project):
    assert run("--version", cwd=project).returncode == 0
    assert run("nonsense", cwd=project).returncode == 2
    said = run("status", cwd=project)
    assert (said.returncode, said.stdout) == (4, "")


def test_a_reader_that_leaves_early_is_no_error(project):
    """`runner --help | head -0`: the pipe is closed before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "runner", "--help"],
            cwd=project,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT_S,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_waiting_command_with_130(project, number):
    state_dir = project / ".runner"
    state_dir.mkdir()
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listener:
        listener.bind(str(state_dir / SOCKET_NAME))
        listener.listen()
        listener.settimeout(TIMEOUT_S)
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", "events", "--follow"],
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            process.send_signal(number)
            out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out, err) == (130, b"", b"interrupted\n")


def test_sigterm_works_where_sigint_is_ignored(project):
    """Children that a shell script starts in the background ignore SIGINT; SIGTERM must reach them all the same."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listener:
        (project / ".runner").mkdir()
        listener.bind(str(project / ".runner" / SOCKET_NAME))
        listener.listen()
        listener.settimeout(TIMEOUT_S)
        process = subprocess.Popen(
            ["/bin/sh", "-c", 'trap "" INT; exec "$0" -m runner events --follow', sys.executable],
            cwd=project,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT_S) == 130


def test_a_process_that_used_arcticdb_ends_through_its_owner(monkeypatch):
    """Its worker threads can crash an interpreter that is finalising, after all the output was right."""
    ended: list[int] = []
    monkeypatch.setitem(sys.modules, "arcticdb", object())
    monkeypatch.setattr("runner.store.arctic_manager.exit_cleanly", ended.append)
    with pytest.raises(SystemExit):
        _end(3)
    assert ended == [3]


def test_a_broken_session_is_not_mistaken_for_a_reader_that_left(say, monkeypatch):
    from runner.cli.status import status

    def broken(*_args: object, **_kwargs: object) -> None:
        raise BrokenPipeError("the gateway went away")

    monkeypatch.setattr(status, "callback", broken)
    monkeypatch.setattr("runner.__main__._reader_left", lambda: False)
    monkeypatch.setattr("runner.__main__._write_report", lambda *_args: "report.txt")
    assert say("status").code == 70


async def use_as_a_client_does(port: int) -> None:
    """What makes a gateway look at its calendars: trading hours, history of several sizes and exchanges, live bars,
    and an order that trades."""
    import ib_async

    ib = ib_async.IB()
    ib.RaiseRequestErrors = True
    await ib.connectAsync("127.0.0.1", port, clientId=1, timeout=TIMEOUT_S)
    try:
        (details,) = await ib.reqContractDetailsAsync(ib_async.Stock("AAPL", "SMART", "USD"))
        assert details.liquidHours and details.tradingHours
        for contract in (details.contract, ib_async.Forex("EURUSD")):
            for size in ("1 day", "1 hour", "1 week"):
                what = "TRADES" if contract is details.contract else "MIDPOINT"
                assert await ib.reqHistoricalDataAsync(contract, "", "1 M", size, what, useRTH=True)
        assert await ib.reqHeadTimeStampAsync(details.contract, "TRADES", useRTH=True, formatDate=1)
        ib.reqRealTimeBars(details.contract, 5, "TRADES", useRTH=False)
        trade = ib.placeOrder(details.contract, ib_async.MarketOrder("BUY", 1))
        ended = asyncio.Event()
        trade.filledEvent += lambda _trade: ended.set()
        await asyncio.wait_for(ended.wait(), TIMEOUT_S)
    finally:
        ib.disconnect()


SERVE = ["gateway", "--port", "0", "--json", "--speed", "600"]


@pytest.fixture
def probed_gateway(project):
    """A gateway that says what it has imported once it has been told to stop."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROBE % (HEAVY,)],
        cwd=project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    killer = threading.Timer(TIMEOUT_S, process.kill)
    killer.start()
    process.stdin.write(json.dumps([SERVE]))
    process.stdin.close()
    yield process
    killer.cancel()
    process.kill()
    process.wait()
    process.stdout.close()


async def test_a_gateway_that_serves_imports_nothing_heavy(probed_gateway):
    await use_as_a_client_does(json.loads(probed_gateway.stdout.readline())["port"])
    probed_gateway.send_signal(signal.SIGTERM)
    said = probed_gateway.stdout.read()
    assert json.loads(said.rpartition("LOADED")[2]) == {" ".join(SERVE): []}


@pytest.mark.parametrize(
    ("option", "said"), [((), "listening on 127.0.0.1:"), (("--json",), '"host": "127.0.0.1", "port": ')]
)
def test_the_gateway_serves_until_it_is_told_to_stop(project, option, said):
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "gateway", "--port", "0", *option],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    killer = threading.Timer(TIMEOUT_S, process.kill)
    killer.start()
    try:
        line = process.stdout.readline()
        assert said in line
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
    finally:
        killer.cancel()
        process.kill()
        process.communicate()
    assert (process.returncode, out, err) == (0, "", "")
