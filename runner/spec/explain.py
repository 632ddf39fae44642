"""The page of every code: why a file is refused or warned of, an example that is wrong, the same right, and the fix.

A page is a file `pages/CODE.md` in this package, found by being there:

    Why this is refused, in one paragraph or several.

    ```yaml wrong
    the whole of strategies.d/trend.yaml
    ```

    ```yaml right runner.yaml
    … or of another file, named after the word
    ```

    What to write, and which command says more.

A test loads every wrong example and finds the code, and every right one and finds no error. A page of a code that no
file can show has no examples; its test builds the case.

`python -m runner.spec.explain > docs/problems.md` writes the page of all of them. Its anchors are the codes in small
letters: `docs/problems.md#m401`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from runner.spec.codes import CODES, WARNINGS

PAGES = Path(__file__).parent / "pages"
DOCUMENT = "docs/problems.md"
USUAL_FILE = "strategies.d/trend.yaml"
"""The file that an example is, unless it names another."""

Verdict: TypeAlias = Literal["wrong", "right"]

GROUPS: Mapping[str, str] = {
    "Y": "Text and YAML",
    "S": "Keys, types and limits",
    "W": "Warnings",
    "M": "Meaning: between fields and between files",
    "C": "Code that a strategy names",
    "E": "Environment",
}
"""First letter of a code → what its codes are about."""

_FENCE = re.compile(r"^```(\w+) (wrong|right)(?: (\S+))?\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Example:
    """The whole text of one file of an example."""

    verdict: Verdict
    file: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """What there is to say about a code. `cause` and `fix` are Markdown."""

    code: str
    meaning: str
    cause: str
    examples: tuple[Example, ...]
    fix: str

    @property
    def is_warning(self) -> bool:
        """The file is used all the same."""
        return self.code in WARNINGS

    @property
    def link(self) -> str:
        """Where the page is in the documents of the source checkout."""
        return f"{DOCUMENT}#{self.code.lower()}"

    def files(self, verdict: Verdict) -> dict[str, str]:
        """File → text, of the wrong or the right example."""
        return {example.file: example.text for example in self.examples if example.verdict == verdict}

    def body(self) -> str:
        """The page without its heading, as Markdown."""
        parts = [self.cause]
        for verdict in ("wrong", "right"):
            files = [example for example in self.examples if example.verdict == verdict]
            for example in files:
                named = len(files) > 1 or example.file != USUAL_FILE
                parts.append(f"{verdict.capitalize()}{f', `{example.file}`' if named else ''}:")
                parts.append(f"```{example.language}\n{example.text}```")
        return "\n\n".join([*parts, self.fix])

    def data(self) -> dict[str, Any]:
        """The page as plain data."""
        return {
            "code": self.code,
            "severity": "warning" if self.is_warning else "error",
            "meaning": self.meaning,
            "cause": self.cause,
            "examples": [{"verdict": e.verdict, "file": e.file, "text": e.text} for e in self.examples],
            "fix": self.fix,
            "link": self.link,
        }


@cache
def page_of(code: str) -> Page:
    """The page of a code. Raises KeyError for a code that there is not."""
    return parse_page(code, CODES[code], (PAGES / f"{code}.md").read_text(encoding="utf-8"))


def parse_page(code: str, meaning: str, text: str) -> Page:
    """A page from the text of its file. Raises ValueError when that has another shape than a page."""
    examples = []
    for match in _FENCE.finditer(text):
        verdict: Verdict = "wrong" if match[2] == "wrong" else "right"
        examples.append(Example(verdict, match[3] or USUAL_FILE, match[1], match[4]))
    prose = [part.strip() for part in _FENCE.sub("\0", text).split("\0")]
    if not examples:
        cause, _, fix = prose[0].rpartition("\n\n")
    else:
        cause, fix = prose[0], prose[-1]
    if not cause or not fix or any(prose[1:-1]) or "```" in "".join(prose):
        raise ValueError(f"the page of {code} is not: a cause, examples marked wrong and right, a fix")
    return Page(code, meaning, cause, tuple(examples), fix)


def document() -> str:
    """docs/problems.md."""
    parts = [_INTRODUCTION]
    for letter, title in GROUPS.items():
        codes = [code for code in CODES if code.startswith(letter)]
        if codes:
            parts.append(f"## {letter}: {title}")
            parts.append("\n".join(f"- [{code}](#{code.lower()}) {CODES[code]}" for code in codes))
    for code in CODES:
        page = page_of(code)
        severity = "Warning" if page.is_warning else "Error"
        parts += [f"## {code}", f"**{severity}: {page.meaning}.**", page.body()]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """# Problems

Every code that `runner validate` and `runner run` can report, with its cause, an example and the fix. The same page is
shown by `runner explain M401`. Codes are stable: one that is not used any more is not given to anything else.

An error keeps the file from being used, and no other file; a warning does not. Examples are whole files; where no name
is given, `strategies.d/trend.yaml`. This page is generated: `python -m runner.spec.explain`."""


if __name__ == "__main__":
    print(document(), end="")
