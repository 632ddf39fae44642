"""What a paper gateway keeps across a restart, in one SQLite file.

Every change is committed before the call that made it returns, in one transaction with everything else of that call:
ids and the clock (`meta`), orders that work or were done today, today's executions, the accounts' books. The file is
held exclusively while the gateway runs. WAL with synchronous=NORMAL: a killed process loses nothing; a power cut may
lose the last calls, never the file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from runner.errors import ConfigError, StoreCorrupt, StoreLocked
from runner.gateway.books import Account, Holding
from runner.gateway.held import Held, working_of
from runner.gateway.market import Market
from runner.gateway.model import Contract, ContractQuery, Execution, OrderTerms, PaperOrder

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    client INTEGER, id INTEGER, body TEXT NOT NULL, PRIMARY KEY (client, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS executions (exec_id TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
"""
_ORDER_FIELDS = tuple(f.name for f in fields(PaperOrder) if f.name not in ("contract", "terms"))
_HELD_FIELDS = (
    "sequence",
    "expires",
    "active_from",
    "session",
    "parent",
    "waiting",
    "at_exchange",
    "commission",
    "value",
)
_EXECUTION_FIELDS = tuple(f.name for f in fields(Execution) if f.name != "order")
_HOLDING_FIELDS = tuple(f.name for f in fields(Holding) if f.name != "contract")


class StateFile:
    """The open state file. StoreLocked when another gateway has it, StoreCorrupt when it cannot be read, ConfigError
    when its folder cannot be made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            reason = (problem.strerror or str(problem)).lower()
            raise ConfigError(
                f"the gateway cannot keep its state in {path}: {reason}",
                hint="name a file in a folder that can be made",
            ) from problem
        try:
            self._db = sqlite3.connect(path, timeout=0.2, isolation_level=None)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(SCHEMA)
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StoreLocked(
                    f"the gateway state {path} is in use", pid=None, hint="stop the other gateway, or name another file"
                ) from error
            raise StoreCorrupt(f"the gateway state {path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StoreCorrupt(
                f"the gateway state {path} cannot be read: {error}", hint="move the file away to start afresh"
            ) from error

    def close(self) -> None:
        self._db.close()

    def save(
        self,
        *,
        meta: Mapping[str, Any],
        orders: Iterable[Held],
        gone: Iterable[tuple[int, int]],
        executions: Iterable[Execution],
        forget_executions: bool,
        accounts: Iterable[Account],
    ) -> None:
        """One transaction."""
        db = self._db
        db.execute("BEGIN")
        try:
            if forget_executions:
                db.execute("DELETE FROM executions")
            db.executemany("DELETE FROM orders WHERE client = ? AND id = ?", gone)
            db.executemany(
                "INSERT OR REPLACE INTO orders VALUES (?, ?, ?)",
                ((*held.key, _dump(_order_body(held))) for held in orders),
            )
            db.executemany(
                "INSERT OR REPLACE INTO executions VALUES (?, ?)",
                ((e.exec_id, _dump(_execution_body(e))) for e in executions),
            )
            db.executemany(
                "INSERT OR REPLACE INTO accounts VALUES (?, ?)", ((a.name, _dump(_account_body(a))) for a in accounts)
            )
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", ((k, _dump(v)) for k, v in meta.items()))
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def meta(self) -> dict[str, Any]:
        return {key: _load(value) for key, value in self._db.execute("SELECT key, value FROM meta")}

    def orders(self, market: Market) -> list[Held]:
        """Oldest first."""
        found = [_held(_load(body), market) for (body,) in self._db.execute("SELECT body FROM orders")]
        return sorted(found, key=lambda held: held.sequence)

    def executions(self, orders: Mapping[tuple[int, int], Held]) -> list[Execution]:
        rows = self._db.execute("SELECT body FROM executions ORDER BY rowid")
        bodies = [_load(body) for (body,) in rows]
        return [
            Execution(order=orders[tuple(body["order"])].order, **{name: body[name] for name in _EXECUTION_FIELDS})
            for body in bodies
        ]

    def accounts(self, market: Market) -> list[Account]:
        return [_account(_load(body), market) for (body,) in self._db.execute("SELECT body FROM accounts")]


def _order_body(held: Held) -> dict[str, Any]:
    order, terms = held.order, held.order.terms
    told = {f.name: getattr(terms, f.name) for f in fields(OrderTerms) if f.name != "contract"}
    return {
        "order": {name: getattr(order, name) for name in _ORDER_FIELDS},
        "terms": told,
        "query": {f.name: getattr(terms.contract, f.name) for f in fields(ContractQuery)},
        "contract": _contract_body(order.contract),
        "held": {name: getattr(held, name) for name in _HELD_FIELDS},
        "stop": None if held.working.stop != held.working.stop else held.working.stop,
        "kind": held.working.kind,
        "triggered": held.working.triggered,
    }


def _held(body: dict[str, Any], market: Market) -> Held:
    terms = OrderTerms(contract=ContractQuery(**body["query"]), **body["terms"])
    contract = _contract(body["contract"], market)
    order = PaperOrder(contract=contract, terms=terms, **body["order"])
    series = market.series(contract.con_id)
    working = working_of(terms, series, float("nan") if body["stop"] is None else body["stop"])
    told = dict(body["held"])
    told["parent"] = None if told["parent"] is None else tuple(told["parent"])
    # A market-to-limit order that has become a limit order stays one.
    return Held(
        order=order, series=series, working=working._replace(kind=body["kind"], triggered=body["triggered"]), **told
    )


def _execution_body(execution: Execution) -> dict[str, Any]:
    body = {name: getattr(execution, name) for name in _EXECUTION_FIELDS}
    body["order"] = [execution.order.client_id, execution.order.order_id]
    return body


def _account_body(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "cash": account.cash,
        "day_equity": account.day_equity,
        "realized": account.realized_closed,
        "holdings": [
            {"contract": _contract_body(h.contract), **{name: getattr(h, name) for name in _HOLDING_FIELDS}}
            for h in account.holdings.values()
        ],
    }


def _account(body: dict[str, Any], market: Market) -> Account:
    account = Account(
        name=body["name"], cash=body["cash"], day_equity=body["day_equity"], realized_closed=body["realized"]
    )
    for told in body["holdings"]:
        contract = _contract(told.pop("contract"), market)
        account.holdings[contract.con_id] = Holding(contract=contract, **told)
    return account


def _contract_body(contract: Contract) -> list[Any]:
    return [contract.con_id, contract.exchange]


def _contract(body: list[Any], market: Market) -> Contract:
    found = market.listings.find(ContractQuery(con_id=body[0], exchange=body[1]), market.today())
    if not found:
        raise StoreCorrupt(
            f"the gateway state names contract {body[0]}, which the market data do not have",
            hint="start with the data folder that the state was made with, or move the state file away",
        )
    return found[0]


def _dump(value: Any) -> str:
    return json.dumps(value, default=_plain, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    raise TypeError(f"{type(value).__name__} cannot be kept in the gateway's state")


def _load(text: str) -> Any:
    return json.loads(text, object_hook=_typed)


def _typed(body: dict[str, Any]) -> Any:
    if "$decimal" in body:
        return Decimal(body["$decimal"])
    if "$time" in body:
        return datetime.fromisoformat(body["$time"])
    return body
