"""The demo's report: what each strategy did, what the account did, and whether the gateway's books say the same."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from runner.cli.ask import shown
from runner.cli.output import Column, counted, number, percent, show_table
from runner.cli.settings import Settings
from runner.manager.results import DemoResult, ReconciliationLine
from runner.model.money import ZERO

STRATEGY_COLUMNS = (
    Column("Strategy"),
    Column("Kind"),
    Column("Orders", "right"),
    Column("Fills", "right"),
    Column("Refused", "right"),
    Column("Exposure avg", "right"),
    Column("max", "right"),
)
PROFIT_COLUMNS = (
    Column("Strategy"),
    Column("Realised", "right", "sign"),
    Column("Unrealised", "right", "sign"),
    Column("Commissions", "right"),
    Column("Net", "right", "sign"),
)
POSITION_COLUMNS = (
    Column("Strategy"),
    Column("Symbol"),
    Column("Quantity", "right", "sign"),
    Column("Average", "right"),
    Column("Price", "right"),
    Column("Value", "right", "sign"),
    Column("Unrealised", "right", "sign"),
)
BOOK_COLUMNS = (
    Column("", tone="check"),
    Column("What"),
    Column("Runner's books", "right"),
    Column("Gateway's books", "right"),
)


def show_report(result: DemoResult, settings: Settings) -> None:
    """The whole report on stdout. Amounts are in base currency; P&L is before commissions except net."""
    click.echo(
        f"Traded {counted(result.sessions, 'session')}, {result.first_session} to {result.last_session}, "
        f"in {result.elapsed_s:.1f} s on paper account {result.account}."
    )
    _heading("Strategies", settings)
    show_table(STRATEGY_COLUMNS, _strategy_rows(result), settings, empty="no strategy ran")
    _heading(f"Profit and loss in {result.base_currency}", settings)
    show_table(PROFIT_COLUMNS, _profit_rows(result), settings, empty="no strategy ran")
    _heading("Final positions", settings)
    show_table(POSITION_COLUMNS, _position_rows(result), settings, empty="all flat")
    _heading("Account", settings)
    click.echo(account_sentence(result))
    _heading("Reconciliation", settings)
    show_table(BOOK_COLUMNS, [_book_row(line) for line in result.reconciliation], settings, empty="nothing compared")
    click.echo(verdict(result))
    for problem in result.problems:
        click.echo(click.style("problem: ", fg="red") + problem, color=settings.colored())
    _heading("Where to look next", settings)
    for command, purpose in next_steps(result):
        click.echo(f"  {command:<{max(len(c) for c, _ in next_steps(result))}}  {purpose}")


def account_sentence(result: DemoResult) -> str:
    """From what the account came to what it is."""
    gain = result.end_equity - result.start_equity
    share = gain / result.start_equity if result.start_equity else None
    currency = result.base_currency
    return (
        f"Equity went from {number(result.start_equity)} to {number(result.end_equity)} {currency}: "
        f"{number(gain, signed=True)} {currency}{'' if share is None else f' ({share * 100:+.2f}%)'}."
    )


def verdict(result: DemoResult) -> str:
    """One sentence: do the books agree."""
    total = len(result.reconciliation)
    wrong = sum(not line.agrees for line in result.reconciliation)
    if not total:
        return "The books were not compared."
    if wrong:
        return f"The books differ in {wrong} of {total} numbers."
    return f"All {total} numbers agree to the cent."


def next_steps(result: DemoResult) -> list[tuple[str, str]]:
    """Commands to type next, with the state directory of this run."""
    runner = f"runner --state-dir {shell_word(result.state_dir)}"
    return [
        (f"{runner} fills", "every execution with its commission"),
        (f"{runner} orders", "every order and why it was placed"),
        (f"{runner} positions", "who holds what"),
        (f"{runner} events", f"all {result.events:,} events as JSON lines"),
        ("runner validate", "check strategies.d after a change of yours, then run the demo again"),
        ("runner run", "the same strategies on a market in real time"),
    ]


def shell_word(path: str) -> str:
    """A path as it has to be typed from here."""
    import shlex
    from pathlib import Path

    return shlex.quote(shown(Path(path)))


def as_json(result: DemoResult) -> dict[str, Any]:
    """The result as plain data, with the sums a reader would otherwise have to make."""
    body = asdict(result)
    body["reconciliation"] = [asdict(line) | {"agrees": line.agrees} for line in result.reconciliation]
    return body | {"reconciled": result.reconciled}


def _heading(text: str, settings: Settings) -> None:
    click.echo("\n" + click.style(text, bold=True), color=settings.colored())


def _strategy_rows(result: DemoResult) -> list[list[str]]:
    return [
        [
            line.name,
            line.kind,
            number(line.orders, places=0),
            number(line.fills, places=0),
            number(line.refused, places=0),
            percent(line.average_exposure),
            percent(line.max_exposure),
        ]
        for line in result.strategies
    ]


def _profit_rows(result: DemoResult) -> list[list[str]]:
    lines = [(one.name, one.realized, one.unrealized, one.commissions, one.net) for one in result.strategies]
    if len(lines) > 1:
        realized, unrealized, commissions, net = (sum(column, ZERO) for column in list(zip(*lines, strict=True))[1:])
        lines.append(("total", realized, unrealized, commissions, net))
    return [
        [name, number(realized, signed=True), number(unrealized, signed=True), number(paid), number(net, signed=True)]
        for name, realized, unrealized, paid, net in lines
    ]


def _position_rows(result: DemoResult) -> list[list[str]]:
    return [
        [
            strategy.name,
            row.symbol,
            number(row.quantity, places=None),
            number(row.average_price, places=4),
            number(row.market_price, places=4),
            number(row.market_value),
            number(row.unrealized, signed=True),
        ]
        for strategy in result.strategies
        for row in strategy.positions
    ]


def _book_row(line: ReconciliationLine) -> list[str]:
    """To the cent when they agree; with every digit when they do not."""
    counted = line.what.startswith(("position", "executions"))
    places = None if counted or not line.agrees else 2
    return [
        "✓" if line.agrees else "✗",
        line.what,
        number(line.ours, places=places),
        number(line.theirs, places=places),
    ]
