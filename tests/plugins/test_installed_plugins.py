"""What is installed is known without an import, and what is imported is looked at closely."""

from __future__ import annotations

import hashlib
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from plugin_support import install, install_signals, signal

from runner import plugins
from runner.blocks import Kind
from runner.catalog import BUILT_IN, Catalog, Fault, Unusable

ALLOWED = ("acme",)


def load(site: Path, **sources: str) -> Catalog:
    """Installs signals as the package acme and loads it."""
    install_signals(site, "acme", sources)
    return plugins.load(ALLOWED)


def fault(catalog: Catalog, name: str) -> Unusable:
    return catalog.unusable[Kind.SIGNAL, f"acme:{name}"]


def test_what_is_installed_is_read_from_metadata_and_not_imported(site: Path) -> None:
    install(
        site,
        "acme",
        {"__init__.py": "raise SystemExit"},
        {
            "runner.signals": {"a": "acme.deep.er:A"},
            "runner.hooks": {"h": "acme:h"},
            "console_scripts": {"x": "acme:x"},
        },
        version="2.5",
    )
    found = plugins.installed()
    assert [(one.kind, one.reference, one.value, one.distribution, one.version) for one in found] == [
        (Kind.SIGNAL, "acme:a", "acme.deep.er:A", "acme", "2.5"),
        (None, "acme:h", "acme:h", "acme", "2.5"),
    ]
    assert "acme" not in sys.modules


def test_only_what_is_allowed_is_imported(site: Path) -> None:
    install_signals(site, "acme", {"good": signal()})
    install_signals(site, "other", {"bad": signal("bad", before="raise SystemExit")})
    catalog = plugins.load(ALLOWED)
    assert list(catalog.blocks(Kind.SIGNAL)) == [*BUILT_IN.blocks(Kind.SIGNAL), "acme:good"]
    assert catalog.unusable == {} and "other" not in sys.modules


def test_nothing_is_looked_up_when_nothing_is_allowed(site: Path) -> None:
    assert plugins.load(()) is BUILT_IN


@pytest.mark.parametrize(
    ("source", "expected", "words"),
    [
        ("import no_such_thing", Fault.IMPORT, "ModuleNotFoundError: No module named 'no_such_thing' (acme/x.py:1)"),
        ("def f(:\n", Fault.IMPORT, "SyntaxError: invalid syntax (acme/x.py:1)"),
        ("\n\n1 / 0", Fault.IMPORT, "cannot be imported: ZeroDivisionError: division by zero (acme/x.py:3)"),
        ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E", Fault.IMPORT, "cannot be imported: E"),
        ("import sys; sys.exit(3)", Fault.ENDED, "ends the process when it is imported"),
        ("Blok = 1", Fault.MISSING, 'is missing: acme.x has no "Block"'),
        ("def __getattr__(name): 1 / 0", Fault.MISSING, "is missing"),
        ("def Block(): ...", Fault.NOT_A_BLOCK, "names something that is no class"),
        ("class Block: ...", Fault.NOT_A_BLOCK, "Block is no frozen dataclass"),
        (signal("x").replace("frozen=True", ""), Fault.NOT_A_BLOCK, "Block is no frozen dataclass"),
        (signal("y"), Fault.NOT_A_BLOCK, 'its name must be "x"'),
        (signal("x").replace('param(3, "bars", unit="bars", minimum=1, maximum=100)', "3"), Fault.NOT_A_BLOCK,
         "Block.bars is not declared with param()"),
        (signal("x").replace("bars: int", "bars: list"), Fault.NOT_A_BLOCK, "a parameter of this type"),
        (signal("x").replace("    example", "    sample"), Fault.NOT_A_BLOCK, "has no example"),
        (signal("x").replace("= {}", "= {'bars': 0}"), Fault.NOT_A_BLOCK, "bars must be at least 1, not 0"),
        (signal("x").replace("def compute", "def calculate"), Fault.NOT_A_BLOCK, "has no compute"),
        (signal("x", warmup="return 0"), Fault.NOT_A_BLOCK, "a whole number of bars of at least 1, not 0"),
        (signal("x", warmup="return 'three'"), Fault.NOT_A_BLOCK, "not 'three'"),
        (signal("x", post_init="{}['a']"), Fault.NOT_A_BLOCK, "KeyError: 'a' (acme/x.py:"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_a_value_with_its_reason(site: Path, source: str, expected: Fault, words: str) -> None:
    found = fault(load(site, x=source, good=signal()), "x")
    assert (found.fault, words in found.message) == (expected, True), found.message
    assert "acme:good" in plugins.load(ALLOWED).blocks(Kind.SIGNAL), "and hurts nobody else"


def test_a_package_that_hangs_is_given_up_once(site: Path) -> None:
    hang = "import threading; threading.Event().wait()"
    install_signals(site, "acme", {"a": hang, "b": hang})
    tried: list[str] = []

    def loader(plugin: plugins.Plugin) -> Any:
        tried.append(plugin.name)
        return plugins.load_block(plugin, 0.2)

    catalog = plugins.load(ALLOWED, loader=loader)
    assert tried == ["a"]
    assert fault(catalog, "a") == fault(catalog, "b") == Unusable(Fault.LATE, "takes longer than 0.2 s to import")


def test_two_packages_that_offer_the_same_are_both_refused(site: Path) -> None:
    install_signals(site, "acme", {"good": signal(), "more": signal("more")})
    install(site, "acme", {}, {"runner.signals": {"good": "acme.more:Block"}}, distribution="another")
    found = fault(plugins.load(ALLOWED), "good")
    assert found == Unusable(Fault.NOT_A_BLOCK, "is offered by more than one installed package")


HOOKS = """
import functools
def two(context, targets): ...
def one(fill): ...
def any(*args, **kwargs): ...
def optional(fill, more=None): ...
def keyword(fill, *, needed): ...
async def late(fill): ...
class Chat:
    def post(self, fill): ...
chat = Chat()
partial = functools.partial(two, None)
text = "no"
"""


@pytest.mark.parametrize(
    ("reference", "wrong"),
    [
        ("acme.hooks:one", None),
        ("acme.hooks:any", None),
        ("acme.hooks:optional", None),
        ("acme.hooks:partial", None),
        ("acme:short", None),
        ("acme.hooks:two", (Fault.NO_HOOK, "cannot be called with fill: its arguments are context, targets")),
        ("acme.hooks:keyword", (Fault.NO_HOOK, "cannot be called with fill: its arguments are fill, needed")),
        ("acme.hooks:late", (Fault.NO_HOOK, "is an async function")),
        ("acme.hooks:text", (Fault.NO_HOOK, "is not a function")),
        ("acme.hooks:nothing", (Fault.MISSING, 'is missing: acme.hooks has no "nothing"')),
        ("acme.nowhere:one", (Fault.IMPORT, "No module named 'acme.nowhere'")),
        ("os:system", (Fault.NOT_ALLOWED, "is outside the allowed packages")),
    ],
)
def test_a_hook_is_an_entry_point_or_a_path_and_can_be_called(
    site: Path, reference: str, wrong: tuple[Fault, str] | None
) -> None:
    install(site, "acme", {"hooks.py": HOOKS}, {"runner.hooks": {"short": "acme.hooks:chat.post"}})
    found = plugins.load_hook(reference, ALLOWED, ["fill"])
    if wrong is None:
        assert callable(found)
    else:
        assert isinstance(found, Unusable) and found.fault is wrong[0] and wrong[1] in found.message, found


def test_a_fingerprint_is_that_of_the_file_that_was_imported(site: Path) -> None:
    install(site, "acme", {"hooks.py": HOOKS}, {})
    install_signals(site, "acme", {"good": signal()})
    plugins.load(ALLOWED)
    source = (site / "acme" / "good.py").read_bytes()
    one = plugins.fingerprint(Kind.SIGNAL, "acme:good")
    assert one == plugins.Fingerprint(reference="acme:good", version="1.0", sha256=hashlib.sha256(source).hexdigest())
    (site / "acme" / "good.py").write_bytes(source + b"# changed behind the back of the process\n")
    plugins.load(ALLOWED)
    assert plugins.fingerprint(Kind.SIGNAL, "acme:good") == one
    assert plugins.is_edited(Kind.SIGNAL, "acme:good")
    (site / "acme" / "good.py").write_bytes(source)
    assert not plugins.is_edited(Kind.SIGNAL, "acme:good") and not plugins.is_edited(None, "acme:never")
    (site / "acme" / "good.py").unlink()
    assert not plugins.is_edited(Kind.SIGNAL, "acme:good")  # it cannot be told
    plugins.load_hook("acme.hooks:partial", ALLOWED, ["fill"])
    assert plugins.fingerprint(None, "acme.hooks:partial").sha256 == hashlib.sha256(HOOKS.encode()).hexdigest()
    assert plugins.fingerprint(None, "acme:never").sha256 == ""


def test_code_without_a_file_has_its_package_and_a_version_all_the_same(site: Path) -> None:
    plugins.load_hook("sys:exit", ("sys",), ["fill"])
    assert plugins.fingerprint(None, "sys:exit") == plugins.Fingerprint(reference="sys:exit", version="", sha256="")
    plugins.load_hook("numpy:sum", ("numpy",), ["fill"])
    assert plugins.fingerprint(None, "numpy:sum").version != ""


def test_what_a_bounded_call_raises_is_raised_here_and_a_late_one_is_left_alone() -> None:
    def fails() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        plugins.bounded(fails, 5.0)
    assert plugins.bounded(lambda: 7, 5.0) == 7
    forever = threading.Event()
    with pytest.raises(plugins.TooLate):
        plugins.bounded(forever.wait, 0.05)
    forever.set()
