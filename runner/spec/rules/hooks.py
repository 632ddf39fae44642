"""The strategy's own code: C503 and W304."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from runner.spec.load import Node
from runner.spec.problems import KeyPath, Problem, error, warning
from runner.spec.spec import HOOK_POINTS


def check_hooks(root: Node, allowed: Collection[str] | None, problems: list[Problem]) -> None:
    """C503: hooks run as code, so their package must be allowed. None: not known here, not checked."""
    hooks = root.child("hooks")
    names: dict[str, Any] = hooks.value if hooks is not None and hooks.is_mapping else {}
    for point, entry in names.items():
        reference = entry.node.value
        if point not in HOOK_POINTS or not isinstance(reference, str) or ":" not in reference:
            continue
        package = reference.partition(":")[0].partition(".")[0]
        if allowed is not None and package not in allowed:
            path: KeyPath = ("hooks", point)
            message = f"hook {reference} is outside the allowed packages"
            hint = f'hooks run as code. If you trust it, add "{package}" to plugins.allow in runner.yaml and restart'
            problems.append(error("C503", message, entry.node.span, path=path, hint=hint))
    if root.child("hook_params") is not None and not names:
        span = root.key_span(("hook_params",)) or root.locate(("hook_params",))
        message = "hook_params has no effect without hooks"
        problems.append(warning("W304", message, span, path=("hook_params",), hint="remove it, or add hooks"))
