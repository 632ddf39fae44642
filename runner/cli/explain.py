"""`runner explain`: what a code, a field, a block or the reason of a decision means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.group import Command
from runner.cli.output import show_json
from runner.cli.pages import show_grid, show_page
from runner.cli.settings import Settings
from runner.errors import SpecError

if TYPE_CHECKING:
    from runner.spec.topics import Topic

HEADINGS = {
    "code": "Codes of problems",
    "field": "Keys of strategy files and of runner.yaml",
    "block": "Blocks and exits",
    "reason": "Reasons of decisions",
}


@click.command(cls=Command)
@click.argument("word", required=False)
@click.pass_context
def explain(ctx: click.Context, word: str | None) -> None:
    """Explain a code, a key of a file, a block, or the reason of a decision.

    WORD is a code (M401), a key (params.max_daily_loss, schedule.window, universe.symbols[].currency, ib.port,
    sma_cross.fast), a block or exit (sma_cross, stop_loss) or a reason (capped). A word that is several things has all
    its pages shown. Without WORD everything that can be explained is listed.
    """
    from runner.engine.decide import REASON_MEANING
    from runner.spec.topics import topics

    settings = ctx.ensure_object(Settings)
    known = topics(REASON_MEANING)
    if word is None:
        _list(known, settings)
    else:
        _show(word, known, settings)


def _list(known: tuple[Topic, ...], settings: Settings) -> None:
    from runner.spec.parts import Grid

    if settings.json:
        show_json({"topics": [{"topic": t.kind, "name": t.name, "summary": t.summary} for t in known]})
        return
    for kind, heading in HEADINGS.items():
        rows = tuple((topic.name, topic.summary) for topic in known if topic.kind == kind)
        if kind != next(iter(HEADINGS)):
            click.echo()
        show_page((f"## {heading}",), settings)
        click.echo()
        show_grid(Grid(("name", "what it is"), rows), settings)


def _show(word: str, known: tuple[Topic, ...], settings: Settings) -> None:
    from runner.spec.topics import find, guesses

    found = find(word, known)
    if not found:
        close = guesses(word, known)
        hint = f"did you mean {' or '.join(close)}?" if close else "`runner explain` lists what there is"
        raise SpecError(f'nothing is called "{word}"', hint=hint)
    if settings.json:
        show_json({"topics": [{"topic": topic.kind, "name": topic.name} | topic.data() for topic in found]})
        return
    for i, topic in enumerate(found):
        if i:
            click.echo()
        show_page(topic.page(), settings)
