"""The tables of docs/spec.md, made from the schemas: `python -m runner.spec.reference docs/spec.md` rewrites them."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.model.annotations import APPLY, DIRECTION, NEUTRAL, ORDERS
from runner.spec.case_schema import BOUND_MEANINGS
from runner.spec.codes import CODES
from runner.spec.described import MAX_CHOICES, Field, fields_of

_SECTION = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TESTS = "tests[]."
_CHANGE = ("a change", "orders", "tighter is")


def tables() -> dict[str, str]:
    """Name of a table in the page → its Markdown."""
    fields = fields_of()
    strategy = [field for field in fields if field.file == "strategy" and not field.block]
    params = [field for field in strategy if field.path.startswith("params.")]
    tests = [field for field in strategy if field.path.startswith(_TESTS)]
    apart = (*params, *tests)
    return {
        "keys": _keys([field for field in strategy if field not in apart and field.name != "with"]),
        "params": _params(params),
        "tests": _tests(tests),
        "apply": _table(("a change", "what it takes"), [(f"`{word}`", text) for word, text in APPLY.items()]),
        "orders": _table(
            ("orders", "working orders", "open positions"),
            [(f"`{word}`", effect.working_orders, effect.positions) for word, effect in ORDERS.items()],
        ),
        "direction": _table(
            ("`direction`", "meaning"),
            [*((f"`{word}`", text) for word, text in DIRECTION.items()), ("`null`", NEUTRAL)],
        ),
        "codes": _codes(),
        "runner": _keys([field for field in fields if field.file == "runner.yaml"]),
    }


def refreshed(page: str) -> str:
    """The page with every table between `<!-- table: NAME -->` and `<!-- end -->` made anew."""
    made = tables()
    return _SECTION.sub(lambda match: f"{match[1]}\n{made[match[2]]}\n{match[3]}", page)


def _keys(fields: Sequence[Field]) -> str:
    rows = [(f"`{f.path}`", _kind(f), _default(f), *_change(f), f.description) for f in fields]
    return _table(("key", "kind", "default", *_CHANGE, "meaning"), rows)


def _params(fields: Sequence[Field]) -> str:
    rows = [(f"`{f.name}`", f"`{f.default}`", f.limits, f.unit, *_change(f), f.description) for f in fields]
    return _table(("parameter", "default", "limits", "unit", *_CHANGE, "meaning"), rows)


def _tests(fields: Sequence[Field]) -> str:
    rows = [(f"`{f.path.removeprefix(_TESTS)}`", _kind(f), _default(f), f.description) for f in fields]
    rows += [(f"`{name}` of a number", "number", "", text) for name, text in BOUND_MEANINGS.items()]
    return _table(("key of a test", "kind", "default", "meaning"), rows)


def _change(field: Field) -> tuple[str, str, str]:
    return f"`{field.apply}`", f"`{field.orders}`", field.tighter


def _codes() -> str:
    rows = [(f"[`{code}`](problems.md#{code.lower()})", meaning) for code, meaning in CODES.items()]
    return _table(("code", "meaning"), rows)


def _kind(field: Field) -> str:
    if 0 < len(field.choices) <= MAX_CHOICES:
        return "one of " + ", ".join(f"`{word}`" for word in field.choices) + field.besides
    if "const" in field.schema:
        return f"`{field.kind}`"
    return field.kind_and_limits


def _default(field: Field) -> str:
    if field.required:
        return "required"
    return f"`{field.default}`" if field.default else ""


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def main(arguments: list[str]) -> int:
    """Rewrite the tables of the named page."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m runner.spec.reference docs/spec.md\n")
        return 2
    page = Path(arguments[0])
    page.write_text(refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
