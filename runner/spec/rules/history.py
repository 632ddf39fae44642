"""The history that a strategy needs: M402."""

from __future__ import annotations

from collections.abc import Mapping

from runner.spec.load import Node
from runner.spec.problems import KeyPath, Problem, Related, dotted, error


def check_warmup(root: Node, history: int, needs: Mapping[KeyPath, int], problems: list[Problem]) -> None:
    """M402: the history must hold at least the warm-up of every block."""
    most = max(needs.values(), default=0)
    for path, bars in needs.items():
        if bars <= history:
            continue
        here = _largest_setting(root, path)
        related = (Related("history is set here", root.locate(("bars", "history"))),)
        message = f"{dotted(path)} needs {bars} bars before its first value, but bars.history is {history}"
        hint = f"set bars.history to at least {most}, or remove it"
        problems.append(error("M402", message, root.locate(here), path=here, hint=hint, related=related))


def _largest_setting(root: Node, path: KeyPath) -> KeyPath:
    """The block's largest whole number, which is what makes it need so many bars; else its `use`."""
    settings = root.find((*path, "with"))
    if settings is not None and settings.is_mapping:
        numbers = {
            key: entry.node.value
            for key, entry in settings.value.items()
            if isinstance(entry.node.value, int) and not isinstance(entry.node.value, bool)
        }
        if numbers:
            return (*path, "with", max(numbers, key=lambda key: numbers[key]))
    return (*path, "use")
