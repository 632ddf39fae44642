"""`runner blocks`: the blocks that a strategy file can use, and the page of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from runner.cli.group import Command
from runner.cli.output import NOTHING, Column, show_json, show_table
from runner.cli.pages import show_page
from runner.cli.settings import Settings
from runner.errors import SpecError

if TYPE_CHECKING:
    from runner.blocks import Kind
    from runner.plugins import Plugin
    from runner.spec.block_pages import Block

BUILT_IN_PACKAGE = "built in"
NOT_IMPORTED = "not imported, so what it does is not known here"


@click.command(cls=Command)
@click.argument("kind", required=False)
@click.argument("name", required=False)
@click.pass_context
def blocks(ctx: click.Context, kind: str | None, name: str | None) -> None:
    """List the blocks that a strategy file can use, or show the page of one.

    KIND is signal, combine, sizing or exit; NAME is that of a block and finds it without KIND too. Blocks of installed
    packages are listed by name; nothing of theirs is imported.
    """
    from runner.spec.block_pages import blocks_of

    settings = ctx.ensure_object(Settings)
    wanted, name = _meant(kind, name)
    known = blocks_of()
    if name is None:
        ours = [block for block in known if wanted in (None, block.kind)]
        _list(ours, [one for one in plugged_in() if wanted in (None, one.kind)], settings)
    else:
        _show(name, known, wanted, settings)


def plugged_in() -> tuple[Plugin, ...]:
    """The blocks that installed packages announce as entry points, by kind."""
    from runner.blocks import Kind
    from runner.plugins import installed

    found = [one for one in installed() if one.kind is not None]
    order = list(Kind)
    return tuple(sorted(found, key=lambda one: (order.index(one.kind) if one.kind else 0, one.reference)))


def _meant(kind: str | None, name: str | None) -> tuple[Kind | None, str | None]:
    """Kind and name; a first word that is no kind is a name, `signals` is `signal`."""
    from runner.blocks import Kind

    if kind is None:
        return None, None
    singular = kind.casefold().removesuffix("s")
    if singular in list(Kind):
        return Kind(singular), name
    if name is not None:
        raise SpecError(f'there is no kind of block called "{kind}"', hint=f"there are: {', '.join(Kind)}")
    return None, kind


def _list(known: Sequence[Block], others: Sequence[Plugin], settings: Settings) -> None:
    if settings.json:
        listed = [{"kind": b.kind.value, "name": b.name, "package": None, "summary": b.summary} for b in known]
        listed += [{"kind": str(p.kind), "name": p.name, "package": p.package, "summary": None} for p in others]
        show_json({"blocks": listed})
        return
    rows = [(str(b.kind), b.name, BUILT_IN_PACKAGE, _needs(b), b.summary) for b in known]
    rows += [(str(p.kind), p.reference, p.distribution, NOTHING, NOT_IMPORTED) for p in others]
    columns = (
        Column("Kind"),
        Column("Name"),
        Column("From"),
        Column("Needs", "right"),
        Column("What it does", folds=True),
    )
    show_table(columns, rows, settings)


def _needs(block: Block) -> str:
    """Its history with its defaults; of a block that has none, with the settings of its example."""
    from runner.catalog import bars

    count = block.example_warmup if block.warmup is None else block.warmup
    return NOTHING if count is None else bars(count)


def _show(name: str, known: Sequence[Block], kind: Kind | None, settings: Settings) -> None:
    same = [block for block in known if block.name == name]
    found = [block for block in same if kind in (None, block.kind)]
    if not found:
        what = f"{kind} block" if kind else "block"
        raise SpecError(f'there is no {what} called "{name}"', hint=_instead(name, known, same))
    if settings.json:
        show_json({"blocks": [block.data() for block in found]})
        return
    for i, block in enumerate(found):
        if i:
            click.echo()
        show_page(block.page(), settings)


def _instead(name: str, known: Sequence[Block], same: Sequence[Block]) -> str:
    from runner.blocks import Kind
    from runner.spec.problems import closest

    if same:
        return f"{name} is a {same[0].kind} block"
    guess = closest(name, [*(block.name for block in known), *Kind])
    return f"did you mean {guess}?" if guess else "`runner blocks` lists what there is"
