"""Blocks and hooks of other packages: what is installed, and what of it may be imported.

A package offers them as entry points of the groups below. A strategy file names one as `package:name`: the top-level
package that the entry point's value lies in, and the entry point's name. `installed()` reads the metadata of packages
and imports nothing; `load()` and `load_hook()` import, and only what `plugins.allow` of runner.yaml lists. Foreign code
runs in a thread with a deadline, and what it does wrong is a value: it hurts the files that use it and nothing else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import inspect
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from runner.blocks import Kind, build, params_of
from runner.catalog import BUILT_IN, Catalog, Fault, Unusable

GROUPS: Mapping[str, Kind | None] = {
    "runner.signals": Kind.SIGNAL,
    "runner.combine": Kind.COMBINE,
    "runner.sizing": Kind.SIZING,
    "runner.exits": Kind.EXIT,
    "runner.hooks": None,
}
"""Group of entry points → kind of block; None for hooks."""

IMPORT_DEADLINE_S = 30.0
"""How long one import may take; libraries for machine learning need ten seconds on a slow disk."""
CALL_DEADLINE_S = 5.0
"""How long a block's own code may take to be built from a file's settings."""
MAX_SAID = 300
"""Characters of an exception's text that are shown."""

_MEMBERS = {
    Kind.SIGNAL: ("warmup", "compute"),
    Kind.COMBINE: ("check", "compute"),
    Kind.SIZING: ("warmup", "check", "compute"),
    Kind.EXIT: ("warmup", "compute"),
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One entry point of an installed package."""

    kind: Kind | None
    """None: a hook."""
    name: str
    package: str
    """The top-level package that is imported, which is what `plugins.allow` lists."""
    value: str
    """`package.module:attribute`."""
    distribution: str
    """The installed package's own name, and its version."""
    version: str

    @property
    def reference(self) -> str:
        """How a strategy file names it."""
        return f"{self.package}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Which code stands behind a reference: the version of its package and the sha256 of its module's file."""

    reference: str
    version: str
    sha256: str
    """Empty when the module has no file."""


class TooLate(Exception):
    """Foreign code did not come back in its time."""


Loader: TypeAlias = Callable[[Plugin], "type[Any] | Unusable | None"]


# ------------------------------------------------------------------------------------------------------ what is there


@cache
def installed() -> tuple[Plugin, ...]:
    """All entry points of the groups, by reference. Reads metadata, imports nothing, and looks once a process."""
    from importlib.metadata import entry_points  # takes longer to import than a file to judge

    everything = entry_points()
    found = {
        Plugin(
            kind=kind,
            name=entry.name,
            package=entry.value.partition(":")[0].partition(".")[0].strip(),
            value=entry.value,
            distribution=str(entry.dist.name) if entry.dist is not None else "",
            version=str(entry.dist.version) if entry.dist is not None else "",
        )
        for group, kind in GROUPS.items()
        for entry in everything.select(group=group)
    }
    return tuple(sorted(found, key=lambda one: (one.reference, str(one.kind), one.distribution)))


def package_of(reference: str) -> str:
    """The package that has to be allowed for a reference, of a block or of a hook."""
    return reference.partition(":")[0].partition(".")[0]


# ---------------------------------------------------------------------------------------------------------- importing


def load(allowed: Collection[str], *, loader: Loader | None = None) -> Catalog:
    """The built-in blocks and those of the allowed packages, under their references. Never raises for what they do.

    An entry point that cannot be imported, or is no block, is listed as unusable with the reason. `loader` imports one,
    or gives None to leave it out; by default it is `load_block`.
    """
    if not allowed:
        return BUILT_IN
    loader = loader or load_block
    tables: dict[Kind, dict[str, type[Any]]] = {kind: dict(BUILT_IN.blocks(kind)) for kind in Kind}
    unusable: dict[tuple[Kind, str], Unusable] = {}
    late: dict[str, Unusable] = {}
    for plugin in installed():
        if plugin.kind is None or plugin.package not in allowed:
            continue
        key = (plugin.kind, plugin.reference)
        if key in unusable:
            continue
        if plugin.reference in tables[plugin.kind]:
            del tables[plugin.kind][plugin.reference]
            unusable[key] = Unusable(Fault.NOT_A_BLOCK, "is offered by more than one installed package")
            continue
        # One that hangs in an import holds its lock: who imports the same package after it would hang too.
        block = late.get(plugin.package) or loader(plugin)
        if block is None:
            continue
        if isinstance(block, Unusable):
            unusable[key] = block
            if block.fault is Fault.LATE:
                late[plugin.package] = block
        else:
            tables[plugin.kind][plugin.reference] = block
    return Catalog(MappingProxyType(tables), MappingProxyType(unusable))


def load_block(plugin: Plugin, deadline_s: float | None = IMPORT_DEADLINE_S) -> type[Any] | Unusable:
    """Imports one block and looks at its class; what is wrong with it when it cannot be used."""
    kind = plugin.kind
    assert kind is not None
    found = _imported(plugin.value, deadline_s)
    if isinstance(found, Unusable):
        return found
    try:
        wrong = bounded(lambda: _no_block(kind, plugin.name, found), deadline_s)
    except TooLate:
        return Unusable(Fault.LATE, f"takes longer than {deadline_s:g} s to build its example")
    except BaseException as error:  # foreign code, which may raise anything
        _pass_on(error)
        return Unusable(Fault.NOT_A_BLOCK, f"is not a block: {said(error, plugin.package)}")
    if wrong is not None:
        return Unusable(Fault.NOT_A_BLOCK, f"is not a block: {wrong}")
    _remember(kind, plugin.reference, found)
    block: type[Any] = found
    return block


def load_hook(
    reference: str,
    allowed: Collection[str],
    arguments: Sequence[str],
    *,
    deadline_s: float | None = IMPORT_DEADLINE_S,
) -> Callable[..., Any] | Unusable:
    """Imports the hook that a file names as `package:name` (an entry point) or `package.module:function`.

    `arguments` are those that it will be called with.
    """
    package = package_of(reference)
    if package not in allowed:
        hint = f'hooks run as code. If you trust it, add "{package}" to plugins.allow in runner.yaml and restart'
        return Unusable(Fault.NOT_ALLOWED, "is outside the allowed packages", hint)
    entry = next((one for one in installed() if one.kind is None and one.reference == reference), None)
    found = _imported(reference if entry is None else entry.value, deadline_s)
    if isinstance(found, Unusable):
        return found
    wrong = _no_hook(found, arguments)
    if wrong is not None:
        return Unusable(Fault.NO_HOOK, wrong)
    _remember(None, reference, found)
    hook: Callable[..., Any] = found
    return hook


def _imported(value: str, deadline_s: float | None) -> Any:
    """What an entry point's value stands for, or why there is no such thing."""
    module_name, _, attributes = value.partition("[")[0].strip().partition(":")
    module_name, attributes = module_name.strip(), attributes.strip()
    package = package_of(module_name)
    try:
        module = bounded(lambda: importlib.import_module(module_name), deadline_s)
    except TooLate:
        return Unusable(Fault.LATE, f"takes longer than {deadline_s:g} s to import")
    except SystemExit:
        return Unusable(Fault.ENDED, "ends the process when it is imported")
    except BaseException as error:  # foreign code, which may raise anything
        _pass_on(error)
        return Unusable(Fault.IMPORT, f"cannot be imported: {said(error, package)}")
    found: Any = module
    for name in filter(None, attributes.split(".")):
        try:
            found = getattr(found, name)
        except BaseException as error:  # a module may have a __getattr__ of its own
            _pass_on(error)
            return Unusable(Fault.MISSING, f'is missing: {module_name} has no "{attributes}"')
    return found


def _no_block(kind: Kind, name: str, found: Any) -> str | None:
    """Why `found` is no block of that kind and name; None when it is one."""
    if not isinstance(found, type):
        return "its entry point names something that is no class"
    if not dataclasses.is_dataclass(found) or not found.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return f"{found.__name__} is no frozen dataclass"
    params_of(found)  # raises with the field that is not declared with param()
    if getattr(found, "name", None) != name:
        return f'its name must be "{name}", as its entry point is called'
    example = getattr(found, "example", None)
    if not isinstance(example, Mapping):
        return f"{found.__name__} has no example, the settings that its page shows"
    for member in _MEMBERS[kind]:
        if not hasattr(found, member):
            return f"{found.__name__} has no {member}, which a {kind} block needs"
    try:
        block = build(found, example)
    except ValueError as error:
        return f"its own example is refused: {error}"
    return None if kind is Kind.COMBINE else no_warmup(block)


def no_warmup(block: Any) -> str | None:
    """What is wrong with a block's warm-up; None when nothing is."""
    bars = block.warmup
    if isinstance(bars, int) and not isinstance(bars, bool) and bars >= 1:
        return None
    return f"its warm-up must be a whole number of bars of at least 1, not {bars!r:.40}"


def _no_hook(found: Any, arguments: Sequence[str]) -> str | None:
    """Why `found` cannot be called with such arguments; None when it can."""
    if not callable(found):
        return "is not a function"
    if inspect.iscoroutinefunction(found):
        return "is an async function; a hook is called in a thread of its own and may simply take its time"
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # built-in functions have none
        return None
    try:
        signature.bind(*arguments)
    except TypeError:
        taken = ", ".join(signature.parameters) or "none"
        return f"cannot be called with {', '.join(arguments)}: its arguments are {taken}"
    return None


# --------------------------------------------------------------------------------------------- code that is not ours


def bounded(call: Callable[[], T], deadline_s: float | None) -> T:
    """The result of foreign code. Raises TooLate, or what it raises.

    It runs in a thread that is left to itself when it is late; without a deadline it runs here.
    """
    if deadline_s is None:
        return call()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # handed to the caller, whatever it is
            errors.append(error)

    worker = threading.Thread(target=run, name="plugin", daemon=True)
    worker.start()
    worker.join(deadline_s)
    if errors:
        raise errors[0]
    if not results:
        raise TooLate
    return results[0]


def said(error: BaseException, package: str) -> str:
    """An exception in one line, with the file and line of the package's own code that it came from, when known."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # the exception is foreign code too
        text = ""
    if isinstance(error, SyntaxError):
        text = " ".join((error.msg or "").split())
    where = _place(error, package)
    shown = f"{type(error).__name__}: {text[:MAX_SAID]}".rstrip(": ")
    return f"{shown} ({where})" if where else shown


def raised_in(error: BaseException, package: str) -> bool:
    """Whether an exception came from the package's own code."""
    return bool(_place(error, package))


def _place(error: BaseException, package: str) -> str:
    """`package/module.py:12`, of the innermost code of the package."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{_inside(error.filename, package)}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _inside(frame.filename, package) != frame.filename:
            return f"{_inside(frame.filename, package)}:{frame.lineno}"
    return ""


def _inside(filename: str, package: str) -> str:
    """The file from its package on; unchanged when it is of another one."""
    parts = Path(filename).parts
    if package in parts:
        return "/".join(parts[len(parts) - 1 - parts[::-1].index(package) :])
    return f"{package}.py" if parts and parts[-1] == f"{package}.py" else filename


def _pass_on(error: BaseException) -> None:
    """What was meant for us and not raised by foreign code."""
    if isinstance(error, KeyboardInterrupt):
        raise error


# ------------------------------------------------------------------------------------------------- which code it was


_CODE: dict[tuple[Kind | None, str], Fingerprint] = {}
"""What was imported in this process; like the imports themselves, it stays until the process ends."""
_FILES: dict[tuple[Kind | None, str], Path] = {}
"""The files that it was imported from."""


def fingerprint(kind: Kind | None, reference: str) -> Fingerprint:
    """Of a block, or with None of a hook, as its module's file was when it was imported here."""
    return _CODE.get((kind, reference)) or Fingerprint(reference=reference, version="", sha256="")


def is_edited(kind: Kind | None, reference: str) -> bool:
    """Whether the module's file holds other code now than what was imported. False where that cannot be told."""
    known, file = fingerprint(kind, reference), _FILES.get((kind, reference))
    if file is None or not known.sha256:
        return False
    try:
        info = file.stat()
        return _sha256(file, info.st_mtime_ns, info.st_size) != known.sha256
    except OSError:
        return False


@lru_cache(maxsize=256)
def _sha256(file: Path, _mtime_ns: int, _size: int) -> str:
    """Read again only when the file system says that it has changed."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _remember(kind: Kind | None, reference: str, found: Any) -> None:
    found = found.func if isinstance(found, partial) else found
    module = sys.modules.get(getattr(found, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    try:
        digest = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    except OSError:
        digest = ""
    if digest and file:
        _FILES.setdefault((kind, reference), Path(file))
    made = Fingerprint(reference=reference, version=_version(package_of(reference)), sha256=digest)
    _CODE.setdefault((kind, reference), made)


@cache
def _version(package: str) -> str:
    """Version of the distribution that a top-level package comes from; empty when it is not an installed one."""
    for plugin in installed():
        if plugin.package == package and plugin.version:
            return plugin.version
    from importlib.metadata import packages_distributions, version

    names = packages_distributions().get(package, ())
    return version(names[0]) if names else ""
