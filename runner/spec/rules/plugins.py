"""Plugged-in blocks: C504 to C508, and what their own code does while a file is judged."""

from __future__ import annotations

from collections.abc import Collection

from runner import plugins
from runner.catalog import Catalog, Fault, Unusable
from runner.spec.problems import Problem, closest, error
from runner.spec.references import Reference

CODE_OF = {
    Fault.NOT_ALLOWED: "C503",
    Fault.IMPORT: "C506",
    Fault.MISSING: "C506",
    Fault.LATE: "C507",
    Fault.ENDED: "C507",
    Fault.NOT_A_BLOCK: "C508",
    Fault.NO_HOOK: "C509",
}
"""Code of what is wrong with plugged-in code."""


def check_plugin(reference: Reference, allowed: Collection[str] | None, catalog: Catalog) -> Problem | None:
    """Why a plugged-in block that is not in the catalog cannot be used; None when it was only not imported.

    `allowed` None: not known here. Nothing is imported; what is installed is read from metadata.
    """
    kind, package = reference.kind, plugins.package_of(reference.text)
    assert kind is not None
    path = (*reference.path, "use")
    if allowed is not None and package not in allowed:
        hint = (
            f'plugged-in blocks run as code. If you trust it, add "{package}" to plugins.allow in runner.yaml and '
            "restart"
        )
        message = f"{reference.label} is outside the allowed packages"
        return error("C504", message, reference.span, path=path, hint=hint)
    unusable = catalog.unusable.get((kind, reference.text))
    if unusable is not None:
        return unusable_code(reference, unusable)
    offered = [one for one in plugins.installed() if one.kind is not None]
    if any(one.kind is kind and one.reference == reference.text for one in offered):
        return None
    message = f"no installed package offers the {reference.label}"
    other = next((one for one in offered if one.reference == reference.text), None)
    same_kind = [one.reference for one in offered if one.kind is kind]
    guess = closest(reference.text, same_kind)
    if other is not None:
        hint = f'"{reference.text}" is a {other.kind} block'
    elif guess is not None:
        hint = f'did you mean "{guess}"?'
    elif listed := [name for name in same_kind if plugins.package_of(name) == package]:
        hint = f"there are: {', '.join(listed)}"
    else:
        hint = f'install what brings the package "{package}" beside the runner'
    return error("C505", message, reference.span, path=path, hint=hint)


def unusable_code(reference: Reference, unusable: Unusable) -> Problem:
    """C506 to C509: code that was imported, or was to be."""
    hook = reference.kind is None
    code = "C509" if hook and unusable.fault is Fault.MISSING else CODE_OF[unusable.fault]
    path = reference.path if hook else (*reference.path, "use")
    return error(code, f"{reference.label} {unusable.message}", reference.span, path=path, hint=unusable.hint)


def misbehaved(reference: Reference, message: str) -> Problem:
    """C510: a block that broke its promises; `message` goes on from its name."""
    return error("C510", f"{reference.label} {message}", reference.span, path=(*reference.path, "use"))
