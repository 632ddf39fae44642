"""Results on stdout: drawn by rich on a terminal, plain aligned text in a pipe, JSON when asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal

import click

from runner.cli.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

FORMAT_VERSION = "1.0"
"""Of all JSON results; the second number grows when keys are added."""
NOTHING = "-"
FOLDED_WIDTH = 16
"""Least width of a column that folds."""
GAP = 2
"""Cells between columns: the padding and the divider that rich leaves blank."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `align` right for numbers; `tone` colours a number by its sign or a phase by its meaning.

    Only a column that `folds` is made narrower on a narrow terminal: a number is never cut.
    """

    title: str
    align: Literal["left", "right"] = "left"
    tone: Literal["", "sign", "phase", "check"] = ""
    folds: bool = False


def show_json(result: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    click.echo(json.dumps({"format_version": FORMAT_VERSION, **result}, indent=2, default=_plain))


def show_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], settings: Settings, *, empty: str = "nothing to show"
) -> None:
    """A table on stdout, or the sentence `empty` when there are no rows."""
    if not rows:
        click.echo(empty)
    elif settings.terminal():
        _draw(columns, rows, settings)
    else:
        click.echo(plain_table(columns, rows))


def plain_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned with spaces; no line ends with one."""
    lines = [[column.title.upper() for column in columns], *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column.align == "right" else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    )


def console(settings: Settings, *, error: bool = False) -> Console:
    """A rich console on stdout (or stderr) that obeys --color and NO_COLOR."""
    from rich.console import Console

    return Console(
        stderr=error,
        force_terminal=settings.terminal(error=error),
        no_color=not settings.colored(error=error),
        highlight=False,
        markup=False,
        soft_wrap=False,
    )


def number(value: Any, *, places: int | None = 2, signed: bool = False) -> str:
    """`1234.5` as `1,234.50`; `places` None keeps the digits there are. Absent values become a dash."""
    if value is None or value == "":
        return NOTHING
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    if not amount.is_finite():
        return NOTHING
    if places is not None:
        text = f"{amount:{'+' if signed else ''},.{places}f}"
        return text if Decimal(text.replace(",", "")) or not signed else text.replace("-", "").replace("+", "")
    whole = amount == amount.to_integral_value()
    return f"{amount.to_integral_value() if whole else amount.normalize():,f}"


def counted(count: int, one: str, many: str = "") -> str:
    """`1 file`, `2,000 files`; `many` for a word that gets no s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def percent(value: Any, *, places: int = 1) -> str:
    """A fraction as a percentage: `0.152` is `15.2%`."""
    return NOTHING if value is None or value == "" else f"{Decimal(str(value)) * 100:.{places}f}%"


def moment(value: Any) -> str:
    """An ISO time as `2012-03-01 14:30:05`, in UTC."""
    return NOTHING if not value else str(value)[:19].replace("T", " ")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _draw(columns: Sequence[Column], rows: Sequence[Sequence[str]], settings: Settings) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0), header_style="bold")
    needed = 0
    for i, column in enumerate(columns):
        widest = max(len(cell) for cell in (column.title, *(row[i] for row in rows)))
        least = min(widest, FOLDED_WIDTH) if column.folds else widest
        table.add_column(column.title, justify=column.align, no_wrap=not column.folds, min_width=least, overflow="fold")
        needed += least + GAP
    for row in rows:
        table.add_row(*(Text(cell, style=_style(column.tone, cell)) for column, cell in zip(columns, row, strict=True)))
    screen = console(settings)
    screen.width = max(screen.width, needed)
    screen.print(table)


PHASE_STYLES = {
    "Running": "green",
    "Warming": "cyan",
    "Paused": "yellow",
    "Held": "yellow",
    "Failed": "red",
    "Stopped": "dim",
}


def _style(tone: str, cell: str) -> str:
    if tone == "sign":
        return "red" if cell.startswith("-") and cell != NOTHING else ""
    if tone == "check":
        return "green" if cell.startswith("✓") else "red"
    return PHASE_STYLES.get(cell, "") if tone == "phase" else ""
