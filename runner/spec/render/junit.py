"""Findings as JUnit's XML, for servers that show test results: a suite a file, a case a level.

A level that was not reached, because an earlier one refused the file, is skipped. Whatever characters a file holds,
what XML cannot have is shown as its escape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runner.spec.findings import Findings
from runner.spec.levels import Level, level_of
from runner.spec.problems import Problem
from runner.spec.render.text import render_text, safe

_ENTITIES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;"}


def render_junit(findings: Findings, *, strict: bool = False) -> str:
    """The report as one XML document. With `strict` warnings are failures too."""
    suites = [(file, _cases(found, findings, strict)) for file, found in findings.by_file().items()]
    total = [case for _, cases in suites for case in cases]
    properties = {"level": findings.level.value, "not checked": ", ".join(findings.not_checked)}
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<testsuites name="runner validate" {_counts(total)}>']
    for file, cases in suites:
        lines.append(f'  <testsuite name="{_xml(file)}" {_counts(cases)}>')
        lines.append("    <properties>")
        lines += [f'      <property name="{name}" value="{_xml(value)}"/>' for name, value in properties.items()]
        lines.append("    </properties>")
        lines += [line for case in cases for line in _lines(case, file, findings.sources)]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>"]) + "\n"


@dataclass(frozen=True, slots=True)
class _Case:
    """One level of one file."""

    level: Level
    failures: tuple[Problem, ...]
    remarks: tuple[Problem, ...]
    """Problems that fail nothing."""
    reached: bool


def _cases(problems: Sequence[Problem], findings: Findings, strict: bool) -> list[_Case]:
    cases: list[_Case] = []
    reached = True
    for level in Level:
        if not findings.level.includes(level):
            break
        here = [p for p in problems if level_of(p.code, findings.level) is level]
        failures = tuple(p for p in here if strict or p.is_error)
        cases.append(_Case(level, failures, tuple(p for p in here if p not in failures), reached or bool(failures)))
        # What is refused by its text or its shape is not looked at more deeply; rules are shown as far as they go.
        reached = reached and not any(p.is_error for p in here)
    return cases


def _lines(case: _Case, file: str, sources: Mapping[str, str]) -> Iterator[str]:
    head = f'    <testcase classname="{_xml(file)}" name="{case.level}"'
    if not (case.failures or case.remarks or not case.reached):
        yield f"{head}/>"
        return
    yield f"{head}>"
    if case.failures:
        first = case.failures[0]
        more = f" (and {len(case.failures) - 1} more)" if len(case.failures) > 1 else ""
        said = f'type="{first.code}" message="{_xml(first.message)}{more}"'
        yield f"      <failure {said}>{_block(case.failures, sources)}"
        yield "      </failure>"
    elif not case.reached:
        yield '      <skipped message="an earlier level refused the file"/>'
    if case.remarks:
        yield f"      <system-out>{_block(case.remarks, sources)}"
        yield "      </system-out>"
    yield "    </testcase>"


def _counts(cases: Sequence[_Case]) -> str:
    failed = sum(bool(case.failures) for case in cases)
    skipped = sum(not case.failures and not case.reached for case in cases)
    return f'tests="{len(cases)}" failures="{failed}" errors="0" skipped="{skipped}"'


def _block(problems: Sequence[Problem], sources: Mapping[str, str]) -> str:
    lines = render_text(problems, sources).rstrip("\n").split("\n")
    return "\n" + "\n".join(_xml(line) for line in lines)


def _xml(text: str) -> str:
    return safe(text).translate(_ENTITIES)
