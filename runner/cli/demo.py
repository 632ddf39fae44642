"""`runner demo`: the product in small. Past years are traded in a minute, then the books are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING

import click

from runner.cli.group import Command
from runner.cli.options import DAY, day
from runner.cli.output import console, counted, number, show_json
from runner.cli.settings import Settings
from runner.errors import ExitCode
from runner.manager.results import DemoOptions, DemoProgress

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

DEFAULT_YEARS = 2.0
PLAIN_STEPS = 20
"""Progress lines of the trading phase when there is no terminal to draw a bar on."""
PHASES = {"start": "starting", "warm-up": "warming up", "trade": "trading", "close": "closing the books"}


@click.command(cls=Command)
@click.option(
    "--years",
    type=click.FloatRange(min=0, min_open=True, max=100),
    default=DEFAULT_YEARS,
    show_default=True,
    metavar="N",
    help="Years of daily bars to trade through.",
)
@click.option("--start", type=DAY, callback=day, metavar="DATE", help="First session; default the last N years.")
@click.pass_context
def demo(ctx: click.Context, years: float, start: date | None) -> None:
    """Trade the strategies of strategies.d through past years, as fast as they can follow.

    Every order goes through the real IB client over TCP to the embedded paper gateway, which replays real daily bars.
    Nothing leaves this machine and no account is needed. Exit code 0 means that the books agree to the cent.
    """
    settings = ctx.ensure_object(Settings)
    settings.configure_logging()
    config = settings.load_config()
    options = DemoOptions(
        strategies_dir=config.strategies_dir,
        state_dir=None if settings.state_dir is None else config.state_dir,
        years=years,
        start=start,
        plugins_allow=config.plugins_allow,
    )
    from runner.manager.demo import run_demo

    with progress_display(settings) as report:
        result = run_demo(options, report)

    from runner.cli.demo_report import as_json, show_report

    if settings.json:
        show_json(as_json(result))
    else:
        show_report(result, settings)
    ctx.exit(ExitCode.OK if result.reconciled and not result.problems else ExitCode.PROBLEMS)


@contextmanager
def progress_display(settings: Settings) -> Iterator[Callable[[DemoProgress], None]]:
    """What to call with every progress value: a bar on a terminal, else a line now and then; silent with -q."""
    if settings.verbosity < 0:
        yield lambda _progress: None
    elif settings.terminal(error=True):
        with _bar(settings) as bar:
            task = bar.add_task(PHASES["start"], total=None, text="")
            yield lambda progress: _advance(bar, task, progress)
    else:
        yield PlainProgress().show


class PlainProgress:
    """Lines on stderr: one per phase, and one for every twentieth of the trading."""

    def __init__(self) -> None:
        self._shown: tuple[str, int] = ("", -1)

    def show(self, progress: DemoProgress) -> None:
        step = progress.done * PLAIN_STEPS // progress.total if progress.total else 0
        if (progress.phase, step) == self._shown:
            return
        self._shown = (progress.phase, step)
        share = f" {progress.done}/{progress.total}" if progress.total else ""
        details = describe(progress)
        click.echo(f"{PHASES.get(progress.phase, progress.phase)}{share}{': ' if details else ''}{details}", err=True)


def describe(progress: DemoProgress) -> str:
    """Where the market is and what has been traded by then."""
    parts = [progress.text] if progress.text else []
    if progress.market_time is not None:
        parts.append(f"{progress.market_time:%Y-%m-%d}")
    if progress.phase == "trade":
        parts.append(f"{counted(progress.orders, 'order')}, {counted(progress.fills, 'fill')}")
    if progress.equity is not None:
        parts.append(f"equity {number(progress.equity, places=0)}")
    return ", ".join(parts)


def _bar(settings: Settings) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description:<18}", markup=False),
        BarColumn(bar_width=28),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        console=console(settings, error=True),
        transient=True,
    )


def _advance(bar: Progress, task: TaskID, progress: DemoProgress) -> None:
    bar.update(
        task,
        description=PHASES.get(progress.phase, progress.phase),
        completed=progress.done,
        total=progress.total or None,
        text=describe(progress),
    )
