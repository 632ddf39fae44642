"""What the pages say is true: commands exist, examples are the real files, generated pages are fresh."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from runner import __version__
from runner.cli.group import COMMANDS, cli
from runner.cli.reference import reference
from runner.errors import ExitCode

PAGES = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [body for found, body in FENCE.findall(text) if found == language]


def pages(texts: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if name in PAGES or name.startswith("docs/")}


def runner_commands(texts: dict[str, str]) -> list[str]:
    """Every `runner …` line in a shell block or in code inside a sentence of our pages."""
    found = []
    for text in pages(texts).values():
        lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
        lines += re.findall(r"`(runner [a-z][^`]*)`", FENCE.sub("", text))
        found += [line.partition("#")[0].strip() for line in lines if line.startswith("runner ")]
    return sorted(set(found))


def test_the_readme_opens_with_one_sentence_and_one_whole_file(root, texts):
    title, sentence, rest = texts["README.md"].split("\n\n", 2)
    assert title.startswith("# ")
    assert sentence.count(".") == 1
    assert sentence.endswith(".")
    assert rest.startswith(f"```yaml\n{(root / 'strategies.d/trend.yaml').read_text()}```\n")


def test_the_readmes_configuration_is_accepted(texts, tmp_path):
    from runner.spec.config import load_config

    (tmp_path / "runner.yaml").write_text(blocks(texts["README.md"], "yaml")[1])
    config = load_config(None, tmp_path, env={})
    assert config.ib.port == 4002
    assert config.arctic_uri is not None


def test_every_make_target_that_is_named_exists(texts):
    targets = set(re.findall(r"^([a-z]+):", texts["Makefile"], re.MULTILINE))
    named = {
        name for text in pages(texts).values() for name in re.findall(r"^make ([a-z]+)|`make ([a-z]+)`", text, re.M)
    }
    assert {name for pair in named for name in pair if name} <= targets
    assert {"install", "demo", "test", "check", "bench"} <= targets


def test_ci_runs_what_the_readme_says(root, texts):
    assert (root / ".ci" / "run").stat().st_mode & 0o111
    steps = re.findall(r"^make (\w+)$", texts[".ci/run"], re.MULTILINE)
    assert steps == ["lint", "test"]
    assert re.search(r"^check: lint test\b", texts["Makefile"], re.MULTILINE)
    assert re.search(r"^make test\b", texts["README.md"], re.MULTILINE)
    assert "`make check` is what CI runs" in texts["README.md"]


def test_every_command_that_is_named_can_be_typed(texts):
    commands = runner_commands(texts)
    assert len(commands) > 10
    for line in commands:
        words = [word for word in shlex.split(line)[1:] if word != "|"]
        words = words[: words.index("head")] if "head" in words else words
        parse(words)


def parse(words: list[str]) -> None:
    """Parse a command line without running it; click's own error when it cannot be typed."""
    ctx = click.Context(cli, info_name="runner", **cli.context_settings)
    name, command, rest = cli.resolve_command(ctx, words)
    assert command is not None
    command.make_context(name, rest, parent=ctx)


def test_the_help_pages_are_fresh(texts):
    assert texts["docs/commands.md"] == reference(), "python -m runner.cli.reference > docs/commands.md"


def test_the_exit_codes_are_all_described(texts):
    table = dict(re.findall(r"^\| (\d+) \| (.+) \|$", texts["docs/cli.md"], re.MULTILINE))
    assert {int(code) for code in table} == {int(code) for code in ExitCode}


def test_the_control_protocol_is_described_as_it_is_served(texts):
    from runner.manager.reload.verbs import ReloadVerbs
    from runner.manager.verbs import Verbs

    methods = [name for served_by in (Verbs, ReloadVerbs) for name in vars(served_by) if not name.startswith("_")]
    served = set(methods) - {"verbs", "streams", "follow"}
    section = texts["docs/cli.md"].partition("## The control socket")[2]
    described = {name for line in re.findall(r"^\| (`.+?) \|", section, re.M) for name in re.findall(r"`(\w+)`", line)}
    assert described == served
    for block in blocks(section, "json"):
        json.loads(block)


def test_the_event_types_are_all_described(texts):
    from runner.store.codec import EVENT_TYPES

    row = next(line for line in texts["docs/cli.md"].splitlines() if line.startswith("| `type` |"))
    assert tuple(re.findall(r"`(\w+)`", row))[1:] == EVENT_TYPES


def test_every_link_leads_somewhere(root, texts):
    broken = []
    for name, text in pages(texts).items():
        for target in LINK.findall(text):
            if not target.startswith("http") and not (root / Path(name).parent / target).exists():
                broken.append(f"{name}: {target}")
    assert broken == []


def test_every_page_can_be_found_from_the_readme(texts):
    linked = set(LINK.findall(texts["README.md"]))
    assert {name for name in texts if name.startswith("docs/") and name.count("/") == 1} - linked == set()


def test_the_changelog_knows_this_version(texts):
    assert re.search(rf"^## {re.escape(__version__)}\b", texts["CHANGELOG.md"], re.MULTILINE)


def test_the_licence_is_the_one_that_the_package_names(root, texts):
    project = tomllib.loads(texts["pyproject.toml"])["project"]
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (root / "LICENSE").read_text()
    assert "Business Source License 1.1" in texts["README.md"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_and_the_page_of_a_command_agree(name):
    """The list knows its lines by heart so that it need not import the commands; every page ends its first sentence."""
    command = cli.get_command(click.Context(cli, **cli.context_settings), name)
    assert command is not None
    first = (command.help or "").strip().split("\n\n")[0]
    assert first.endswith(".")
    assert COMMANDS[name][1].endswith(".")
