"""Markdown on a terminal: headings at the left, nothing on a painted background.

Imports rich as a whole, so it is imported only when there is a terminal to draw on.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown
from rich.padding import Padding
from rich.text import Text
from rich.theme import Theme

from runner.cli.output import console
from runner.cli.settings import Settings

MAX_WIDTH = 100
"""Cells that prose is laid out on, however wide the terminal is."""
WORDS = Theme({"markdown.code": "cyan"})


def show_markdown(text: str, settings: Settings) -> None:
    """Print Markdown."""
    screen = console(settings)
    with screen.use_theme(WORDS):
        screen.print(_Page(text), width=min(screen.width, MAX_WIDTH))


class _Code(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Padding(Text(str(self.text).rstrip()), (0, 0, 0, 2), expand=False)


class _Heading(Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.text.plain, style="bold")


class _Page(Markdown):
    elements: ClassVar[dict[str, Any]] = {
        **Markdown.elements,
        "fence": _Code,
        "code_block": _Code,
        "heading_open": _Heading,
    }
