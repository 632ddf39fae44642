"""Text that nobody would write on purpose, and what must hold for every piece of it.

`mutant(seed, number)` damages one of the shipped files, `document(seed, number)` in `fuzz_documents` draws a file from
the schema; both depend on nothing but the two numbers and the files of the repository. `judge()` takes any bytes
through the whole loader and all ways of showing problems, and fails with an AssertionError when a promise is broken.
The tests try a small, fixed share of the inputs, `make fuzz` a million.
"""

from __future__ import annotations

import json
import random
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from runner.spec.codes import CODES
from runner.spec.deployment import Deployment
from runner.spec.extends import BaseFiles
from runner.spec.findings import Findings
from runner.spec.folder import Loaded, load_file, load_text
from runner.spec.levels import Level
from runner.spec.load import parse_bytes, parse_text
from runner.spec.problems import Problem, Span, in_order
from runner.spec.render import render_concise, render_text, to_json
from runner.spec.render.github import render_github, summary_table
from runner.spec.render.junit import render_junit
from runner.spec.render.sarif import to_sarif
from runner.spec.spec import StrategySpec

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOYMENT = Deployment(allowed_packages={"acme_blocks"}, base_currency="USD")
"""With what a runner.yaml would say, so that nothing is left unjudged."""
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_PYTHON = re.compile(r"NoneType|Traceback|object at 0x|\bNone\b|\b(?:True|False|dict|instance)\b|<class")
_FENCE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sample:
    """Bytes, and the strategies folder in which they would lie. `base_of` is set for those of a base: a strategy that
    extends it, so that the bytes are merged into something."""

    name: str
    data: bytes
    root: Path
    base_of: Path | None = None


@cache
def shipped() -> tuple[Sample, ...]:
    """Every strategy file and base that is shipped, and every YAML example of the pages."""
    found = [
        Sample(path.relative_to(REPOSITORY).as_posix(), path.read_bytes(), path.parent, _extending(path))
        for pattern in ("strategies.d/*.yaml", "tests/specs/valid/*.yaml", "examples/**/*.yaml")
        for path in sorted(REPOSITORY.glob(pattern))
    ]
    for page in (REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/*.md"))):
        for number, text in enumerate(_FENCE.findall(page.read_text(encoding="utf-8")), 1):
            name = f"{page.relative_to(REPOSITORY).as_posix()}:{number}"
            found.append(Sample(name, text.encode(), REPOSITORY / "strategies.d"))
    return tuple(found)


def _extending(base: Path) -> Path | None:
    """A strategy of the same folder that extends this base, by way of others perhaps; None for a strategy."""
    if not base.name.startswith("_"):
        return None
    others = (path for path in sorted(base.parent.glob("*.yaml")) if path != base)
    above = next((path for path in others if base.name in path.read_text("utf-8")), None)
    return None if above is None else _extending(above) or above


@cache
def _seeds() -> tuple[Sample, ...]:
    """What is damaged: the shipped files, and the wrong ones, which hold every kind of mistake already."""
    wrong = sorted(REPOSITORY.glob("tests/specs/invalid/[!_]*.yaml")) + sorted(
        REPOSITORY.glob("tests/specs/tested/*.yaml")
    )
    return (*shipped(), *(Sample(path.name, path.read_bytes(), path.parent) for path in wrong))


# ------------------------------------------------------------------------------------------------- what must hold


def judge(sample: Sample) -> Loaded:
    """All that is promised of any bytes: problems instead of exceptions, in the file, and one verdict."""
    loaded = load(sample)
    assert loaded.problems == in_order(loaded.problems)
    assert (loaded.spec is None) == any(problem.is_error for problem in loaded.problems)
    problems = all_of(loaded)
    starts: dict[str, list[int]] = {}
    for problem in problems:
        assert problem.code in CODES
        assert problem.message and "\n" not in problem.code
        for span in _spans(problem):
            _check_span(span, loaded.sources[span.file], starts)
    shown = render_text(problems, loaded.sources) + render_concise(problems)
    assert all(char == "\n" or char.isprintable() for char in shown)
    shown.encode()
    assert not _PYTHON.search(" ".join(f"{problem.message} {problem.hint}" for problem in problems))
    json.dumps(to_json(problems), ensure_ascii=False, allow_nan=False).encode()
    if loaded.spec is not None:
        _check_as_json(loaded.spec)
    return loaded


def all_of(loaded: Loaded) -> tuple[Problem, ...]:
    """The problems of a file, and of the tests in it."""
    return (*loaded.problems, *loaded.case_problems)


def judge_again(sample: Sample, loaded: Loaded) -> None:
    """The same bytes have the same verdict, a shallower look sees nothing that the deep one does not, and the verdict
    can be told to other programs."""
    assert load(sample) == loaded
    for level in (Level.SYNTAX, Level.SCHEMA):
        less = load(sample, level)
        assert less.spec is None
        assert set(less.problems) <= set(loaded.problems)
    found = Findings(files=tuple(loaded.sources), problems=all_of(loaded), sources=loaded.sources)
    render_github(found).encode()
    summary_table(found).encode()
    ElementTree.fromstring(render_junit(found))
    json.dumps(to_sarif(found, version="0"), ensure_ascii=False, allow_nan=False).encode()


def _check_as_json(spec: StrategySpec) -> None:
    """JSON is YAML: what the file means, written as JSON, is the same strategy."""
    text = json.dumps(spec.document, ensure_ascii=False)
    if text.isprintable():
        again = load_text(text, path=spec.file)
        assert again.spec is not None and again.spec.spec_hash == spec.spec_hash


def load(sample: Sample, level: Level = Level.RULES) -> Loaded:
    """The bytes as a file of their folder; nothing is written."""
    path = sample.root / "fuzz.yaml"
    try:
        text = sample.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        document = parse_bytes(sample.data, file=path.as_posix())
        assert document.root is None
        return Loaded(path=path, spec=None, problems=document.problems, sources={document.file: document.text})
    if sample.base_of is None:
        return load_text(text, path=path, root=sample.root, deployment=DEPLOYMENT, level=level)
    base = (sample.root / Path(sample.name).name).resolve()
    bases = BaseFiles(sample.root, {base: parse_text(text, file=base.as_posix())})
    return load_file(sample.base_of, root=sample.root, deployment=DEPLOYMENT, bases=bases, level=level)


def _spans(problem: Problem) -> Iterator[Span]:
    yield problem.span
    for related in problem.related:
        yield related.span
    for edit in problem.fix:
        yield edit.span


def _check_span(span: Span, text: str, starts: dict[str, list[int]]) -> None:
    """Inside the file, with line and column that say the same as the offsets. One character past a line is its end."""
    if span.file not in starts:
        starts[span.file] = [0, *(match.end() for match in _BREAK.finditer(text))]
    lines = starts[span.file]

    def position(offset: int) -> tuple[int, int]:
        line = bisect_right(lines, offset)
        return line, offset - lines[line - 1] + 1

    assert 0 <= span.start <= span.end <= len(text) + 1, span
    assert (span.line, span.column) == position(span.start), span
    pointer = span.end == span.start + 1 and (span.end_line, span.end_column) == (span.line, span.column + 1)
    assert pointer or (span.end_line, span.end_column) == position(span.end), span


# ------------------------------------------------------------------------------------------------------- mutations

_WORDS = tuple(
    word.encode()
    for word in (
        "[", "]", "{", "}", ": ", ":", "- ", "#", " #", "&a ", "*a", "!", "!!str ", "| ", "|-\n", "> ", "'", '"', "%",
        "@", "`", ",", "? ", "<<: ", "<<", "---\n", "...\n", "\n", "\r", "\r\n", "\t", " ", "  ", "\x00", "\x1b[2J",
        "\x7f", "\x85", "\u2028", "\u2029", "\xa0", "\ufeff", "\ufffe", "\u202e", "\u0301", "\U0001f600", "日本", "é",
        "\\ud800", "~", "null", "true", "no", "ON", ".nan", "-.inf", "1e999", "1e9", "-1", "0", "0.0", "1_000", "10%",
        "0o17", "0x1F", "9" * 500, "9:30", "2024-01-02", "${env:HOME}", "${file:/etc/passwd}", "<<<<<<< HEAD\n",
        "=======\n", ">>>>>>> x\n", "spec: 1\n", "name: A\n", "use", "with", "extends: _us_equities.yaml\n",
        "extends: [../x, _daily.yaml]\n", "extends: \x00\n", "universe: us_stocks\n", "signals: {}\n",
        "params: {stop_loss: 0.1}\n", "[" * 50, "{a: " * 50,
    )
)  # fmt: skip
"""Pieces of YAML, of a spec, and of what breaks readers of text."""
_NOT_UTF_8 = (b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe2\x80", b"\x80")


def mutant(seed: int, number: int) -> Sample:
    """A shipped file with one to four pieces of damage."""
    source = random.Random(f"mutant {seed} {number}")
    sample = source.choice(_seeds())
    data = sample.data
    for _ in range(source.choice((1, 1, 1, 2, 2, 3, 4))):
        data = _damaged(data, source)
    return Sample(sample.name, data, sample.root, sample.base_of)


def _damaged(data: bytes, source: random.Random) -> bytes:
    a = source.randrange(len(data) + 1)
    b = min(len(data), a + source.choice((1, 1, 2, 5, 20, 100)))
    match source.randrange(12):
        case 0:
            return data[:a] + data[b:]
        case 1:
            return data[:b] + data[a:b] + data[b:]
        case 2:
            return data[:a] + source.choice(_WORDS) + data[a:]
        case 3:
            return data[:a] + source.choice(_WORDS) + data[b:]
        case 4:
            return data[:a] + bytes([data[a] ^ (1 << source.randrange(8))]) + data[a + 1 :] if a < len(data) else data
        case 5:
            return data[:a] + bytes(source.choices(range(128), k=source.choice((1, 1, 3)))) + data[b:]
        case 6:
            broken = source.choice((*_NOT_UTF_8, source.randbytes(2))) if source.random() < 0.3 else b"\xc2\xa0"
            return data[:a] + broken + data[a:]
        case 7:
            other = source.choice(_seeds()).data
            return data[:a] + other[source.randrange(len(other) + 1) :]
        case 8:
            return data[:a]
        case 9:
            return data.replace(b"\n", source.choice((b"\r\n", b"\r", "\x85".encode(), b"\n\n")))
        case _:
            return _lines_changed(data, source)


def _lines_changed(data: bytes, source: random.Random) -> bytes:
    """Damage in whole lines and values, of which more stays YAML and reaches the rules."""
    lines = data.split(b"\n")
    i, j = source.randrange(len(lines)), source.randrange(len(lines))
    match source.randrange(6):
        case 0:
            lines[i], lines[j] = lines[j], lines[i]
        case 1:
            lines[i] = b" " * source.choice((1, 2, 4)) + lines[i]
        case 2:
            lines[i] = lines[i][source.choice((1, 2)) :]
        case 3:
            lines.insert(i, source.choice(source.choice(_seeds()).data.split(b"\n")))
        case 4:
            key, colon, _ = lines[i].partition(b": ")
            lines[i] = key + colon + source.choice(_WORDS) if colon else lines[i]
        case _:
            del lines[i]
    return b"\n".join(lines)
