"""Lines of code per package: blank lines, comments and docstrings left out. `python benchmarks/loc.py` prints them."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from common import ROOT, Table


def code_lines(path: Path) -> int:
    """Lines of a Python file that hold code."""
    text = path.read_text("utf-8")
    lines = {
        number for number, line in enumerate(text.splitlines(), 1) if line.strip() and not line.lstrip().startswith("#")
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def count(folder: Path) -> Counter[str]:
    """Code lines per package of `folder`; its own modules count as `.`."""
    found: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        found[parts[0] if len(parts) > 1 else "."] += code_lines(path)
    return found


def measure() -> Table:
    table = Table("Lines of code (without blank lines, comments and docstrings)")
    packages = count(ROOT / "runner")
    for package, lines in sorted(packages.items()):
        table.add(f"runner/{package}".removesuffix("/."), f"{lines:,}")
    total = sum(packages.values())
    table.add("runner, all of it", f"{total:,}")
    for other in ("tests", "benchmarks"):
        lines = sum(count(ROOT / other).values())
        table.add(other, f"{lines:,}", lines / total, "runner")
    return table


if __name__ == "__main__":
    measure().show()
