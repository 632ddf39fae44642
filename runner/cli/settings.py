"""What the options that every command shares add up to, and the two streams that follow from them."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runner.spec.config import RunnerConfig

COLOR_CHOICES = ("auto", "always", "never")
NOISY_LOGGERS = ("ib_async", "aeventkit", "eventkit")
"""Libraries whose log lines the runner reports in its own words; shown with -v only."""


@dataclass(slots=True)
class Settings:
    """One invocation. Options may stand before or after the command's name, so this is filled while parsing."""

    config_file: Path | None = None
    state_dir: Path | None = None
    json: bool = False
    color: str = "auto"
    verbosity: int = 0
    """-q counts down, -v counts up."""
    _noted: set[str] = field(default_factory=set)

    def load_config(self) -> RunnerConfig:
        """runner.yaml (or the defaults), with `--state-dir` on top. Raises ConfigError or SpecError."""
        from dataclasses import replace

        from runner.spec.config import load_config

        config = load_config(self.config_file, Path.cwd())
        return config if self.state_dir is None else replace(config, state_dir=self.state_dir.absolute())

    def find_state_dir(self) -> Path:
        """Where the state of the runner is, for commands that ask it or look at what it keeps. A mistake in runner.yaml
        does not keep anybody from stopping a strategy: it is noted, and the folder is read past it."""
        from runner.spec.config import ConfigFileError, read_state_dir

        if self.state_dir is not None:
            return self.state_dir.absolute()
        try:
            return self.load_config().state_dir
        except ConfigFileError as error:
            found = read_state_dir(self.config_file, Path.cwd())
            self.note(f"{error.message.splitlines()[0]}: runner validate shows what; asking the runner in {found}")
            return found

    def terminal(self, *, error: bool = False) -> bool:
        """Whether tables and bars may be drawn on stdout (or stderr)."""
        if self.color == "always":
            return True
        stream = sys.stderr if error else sys.stdout
        return stream.isatty() and os.environ.get("TERM") != "dumb"

    def colored(self, *, error: bool = False) -> bool:
        """Whether colour may be used: the option decides, then NO_COLOR, then the terminal."""
        if self.color != "auto":
            return self.color == "always"
        return not os.environ.get("NO_COLOR") and self.terminal(error=error)

    def note(self, text: str) -> None:
        """A remark for the person at the terminal: on stderr, once, and not with -q."""
        if self.verbosity >= 0 and text not in self._noted:
            self._noted.add(text)
            click.echo(text, err=True)

    def configure_logging(self, *, level: int = logging.WARNING) -> None:
        """Log to stderr from `level` on; each -v shows one level more, each -q one less."""
        chosen = min(max(level - 10 * self.verbosity, logging.DEBUG), logging.CRITICAL)
        logging.basicConfig(
            stream=sys.stderr,
            level=max(chosen, logging.INFO) if self.verbosity < 2 else chosen,
            format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        )
        logging.getLogger("runner").setLevel(chosen)
        if self.verbosity < 1:
            for name in NOISY_LOGGERS:
                logging.getLogger(name).setLevel(logging.CRITICAL)


def settings_of(ctx: click.Context) -> Settings:
    """The settings of the running invocation."""
    found = ctx.find_object(Settings)
    return found if found is not None else ctx.ensure_object(Settings)
