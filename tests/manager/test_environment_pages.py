"""The pages of what only the gateway and the store can tell: each wrong example is a file that is valid until they are
asked, and then yields the code; the right one passes. A page without examples is of a code that no file causes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from runner.gateway import dispatch
from runner.gateway.dispatch import Request
from runner.gateway.model import RequestRefused
from runner.gateway.recorded import SHIPPED
from runner.manager.environment import check_environment
from runner.spec.codes import CODES
from runner.spec.config import load_config
from runner.spec.deployment import Deployment
from runner.spec.explain import page_of
from runner.spec.folder import load_folder
from runner.spec.problems import Problem
from runner.store.arctic_manager import get_ac
from runner.store.strategies import StrategyRow, StrategyTable

ASKED = [code for code in CODES if "E610" <= code < "E7"]
LARGE = tuple(f"S{i:02}" for i in range(60))
NOT_PERMITTED = "Historical Market Data Service error message:No market data permissions for IBIS STK"
READ_ONLY = "Error validating request.-'b7' : cause - The API interface is currently in Read-Only mode."
SIEMENS = 14217


def _nothing(_gateway: Any, _patch: pytest.MonkeyPatch) -> None:
    pass


def _no_data_of_xetra(gateway: Any, patch: pytest.MonkeyPatch) -> None:
    history = gateway.exchange.history

    def refuse(con_id: int, **how: Any) -> Any:
        if con_id == SIEMENS:
            raise RequestRefused(162, NOT_PERMITTED)
        return history(con_id, **how)

    patch.setattr(gateway.exchange, "history", refuse)


def _read_only(_gateway: Any, patch: pytest.MonkeyPatch) -> None:
    def refuse(_session: Any, _fields: list[str]) -> None:
        raise RequestRefused(321, READ_ONLY)

    for listing_orders in (5, 99):
        patch.setitem(dispatch.REQUESTS, listing_orders, Request(refuse, 0))


def _without_equity(gateway: Any, patch: pytest.MonkeyPatch) -> None:
    rows = gateway.exchange.account_rows

    def fewer(account: str) -> Any:
        return [row for row in rows(account) if row.tag != "EquityWithLoanValue"]

    patch.setattr(gateway.exchange, "account_rows", fewer)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a page's files meet: a gateway and a store."""

    accounts: tuple[str, ...] = ("DU1234567",)
    arrange: Callable[[Any, pytest.MonkeyPatch], None] = _nothing
    """What the gateway does otherwise than usual."""
    libraries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: tuple[StrategyRow, ...] = ()

    def store(self, folder: Path) -> str:
        """The URI of a store in `folder`, which is made unless it is there or would be empty."""
        uri = f"lmdb://{folder}"
        if (self.libraries or self.rows) and not folder.exists():
            with get_ac(uri) as store:
                for name, symbols in self.libraries.items():
                    library = store.library(name)
                    for symbol in symbols:
                        library.write(symbol, pd.DataFrame({"close": [1.0]}))
                StrategyTable(store).upsert(list(self.rows))
        return uri


LIBRARIES = {"us_stocks": ("AAPL", "MSFT"), "watchlist": ()}
WORLDS: Mapping[str, World] = {
    "E613": World(libraries=LIBRARIES),
    "E614": World(libraries=LIBRARIES),
    "E616": World(accounts=("DU1234567", "DU7654321")),
    "E620": World(arrange=_no_data_of_xetra),
    "E621": World(libraries={"us_large": LARGE}),
    "E623": World(rows=(StrategyRow(strategy="TREND", filename="trend.py"),)),
    "E624": World(rows=(StrategyRow(strategy="Trend", filename="trend.yaml", managed_by="runner"),)),
    "E627": World(libraries=LIBRARIES),
}
"""Code → where the examples of its page are right and wrong, unless that is a plain gateway and an empty store."""

CAUSES: Mapping[str, World] = {
    "E622": World(rows=tuple(StrategyRow(strategy=f"S{i:02}", client_id=1 + i) for i in range(24))),
    "E625": World(arrange=_read_only),
    "E628": World(arrange=_without_equity),
}
"""Code without examples → where it is found with any strategy."""

ANY = page_of("Y100").files("right")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Daily bars: the shipped ones, and of instruments that the pages speak of."""
    folder = tmp_path_factory.mktemp("data")
    for path in SHIPPED.glob("*.csv.gz"):
        (folder / path.name).symlink_to(path)
    first_days = dict.fromkeys(("ABC_N", "ABC_A", "2330", "TSM", *LARGE), "2024-01-02")
    for stem, first_day in {**first_days, "NEWCO": "2026-06-01", "SOON": "2026-12-01"}.items():
        (folder / f"{stem}.csv").write_text(f"date,open,high,low,close,volume\n{first_day},10,11,9,10,1000\n")
    (folder / "contracts.yaml").write_text(
        "ABC_N: {symbol: ABC, primary_exchange: NYSE}\n"
        "ABC_A: {symbol: ABC, primary_exchange: AMEX}\n"
        "'2330': {exchange: TWSE, currency: TWD}\n"
    )
    return folder


@pytest.fixture(scope="module")
def gateway_of(serve: Any, data: Path) -> Callable[[World], Any]:
    """The gateway of a world; those with the same accounts have one."""
    made: dict[tuple[str, ...], Any] = {}

    def of(world: World) -> Any:
        if world.accounts not in made:
            made[world.accounts] = serve(
                data=data,
                accounts=world.accounts,
                start=date(2026, 9, 1),
                step="day",
                speed="max",
                enforce_limits=False,
            )
        return made[world.accounts]

    return of


@pytest.fixture
def look(
    gateway_of: Callable[[World], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[World, Mapping[str, str]], Sequence[Problem]]:
    """Files of a page in a world: what gateway and store say of them, once the loader has found no error."""

    def of(world: World, files: Mapping[str, str]) -> Sequence[Problem]:
        for name, text in {**ANY, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        config = load_config(None, tmp_path, env={})
        # The ports of the pages are those that people have; the gateway here has taken a free one.
        config = replace(
            config,
            ib=replace(config.ib, port=gateway_of(world).port),
            gateway=replace(config.gateway, embedded=False),
            arctic_uri=world.store(tmp_path / "arctic"),
        )
        monkeypatch.chdir(tmp_path)
        folder = load_folder(Path("strategies.d"), deployment=Deployment.of(config))
        assert [problem for problem in folder.problems if problem.is_error] == []
        with monkeypatch.context() as patch:
            world.arrange(gateway_of(world), patch)
            return check_environment(config, folder).problems

    return of


@pytest.mark.parametrize("code", ASKED)
def test_a_page_has_examples_or_a_cause_outside_the_files(code: str) -> None:
    page = page_of(code)
    assert bool(page.files("wrong")) == bool(page.files("right")) == (code not in CAUSES)


@pytest.mark.parametrize("code", [code for code in ASKED if code not in CAUSES])
def test_the_wrong_example_yields_the_code_and_the_right_one_nothing(look: Any, code: str) -> None:
    page, world = page_of(code), WORLDS.get(code, World())
    found = look(world, page.files("wrong"))
    assert {problem.code for problem in found} == {code}
    assert all(problem.is_error != page.is_warning for problem in found)
    assert look(world, page.files("right")) == ()


@pytest.mark.parametrize("code", CAUSES)
def test_what_no_file_causes_is_found_where_its_cause_is(look: Any, code: str) -> None:
    assert look(World(), ANY) == ()
    (problem,) = look(CAUSES[code], ANY)
    assert (problem.code, problem.is_error) == (code, not page_of(code).is_warning)
