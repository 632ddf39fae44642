"""The table of strategies: `general`/`strategies`, one row per strategy.

For hand-written strategies it is the source of truth of `filename` and `params`; rows of YAML strategies say
`managed_by = "runner"` and mirror the file. The rows are held in memory, so reading them never waits for the store;
every change writes the whole table at once. What somebody else has written is kept: columns of their own, rows that no
strategy can have, cells of another kind than their column's. A strategy's client id is kept in the journal as well, and
outlives its row.
"""

from __future__ import annotations

import json
import logging
import math
import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from runner.errors import StoreError
from runner.model.clock import Clock, SystemClock

if TYPE_CHECKING:
    import pandas as pd

    from runner.store.arctic_manager import Store

LIBRARY, SYMBOL = "general", "strategies"

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""A strategy's name is also the name of its symbols in ArcticDB."""

MANAGED_BY = "runner"
"""In `managed_by`: the row mirrors a YAML file."""

NO_CLIENT_ID = -1
"""Stored while a strategy has no client id yet."""

REMOVED = "removed"
"""In `state`: the strategy's file is gone."""

LAST_CLIENT_ID, LAST_COUNT = 2**31 - 1, 2**63 - 1
"""What IB's ids and the whole numbers of a column can hold."""

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
"""Words in a column of flags that somebody has made text of."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRow:
    """One strategy. Weights are fractions of account equity, `equity` is in the account's base currency."""

    strategy: str
    filename: str = ""
    client_id: int | None = None
    enabled: bool = True
    equity: float | None = None
    """Equity given to this strategy; None: its target weight of the account's equity."""
    min_weight: float | None = None
    target_weight: float | None = None
    max_weight: float | None = None
    params: str = ""
    """JSON object; empty means that the module's own PARAMS are to be used and stored."""
    managed_by: str = ""
    """`runner` for rows that mirror a YAML file, empty for hand-written strategies."""
    file: str = ""
    generation: int = 0
    spec_hash: str = ""
    base: str = ""
    """JSON of the document that was last applied."""
    state: str = ""
    """`removed` once the file of a YAML strategy is gone, else empty."""
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Columns that are not ours."""
    misfits: Mapping[str, Any] = field(default_factory=dict)
    """Cells of our own columns that hold something of another kind; the fields above do not say what. They are written
    back as they are, in a column of text."""

    def saying(self, **columns: Any) -> StrategyRow:
        """The row with these columns, whatever they held before."""
        misfits = {name: cell for name, cell in self.misfits.items() if name not in columns}
        return replace(self, **columns, misfits=misfits)

    @property
    def hand_written(self) -> bool:
        """Whether it is a strategy in Python, whose row no YAML file owns."""
        return bool(self.filename) and self.managed_by != MANAGED_BY

    def params_dict(self) -> dict[str, Any]:
        """`params` as a dict; StoreError when it is not a JSON object."""
        if not self.params.strip():
            return {}
        try:
            found = json.loads(self.params)
        except (ValueError, RecursionError) as error:
            raise StoreError(f"params of {self.strategy} in {LIBRARY}/{SYMBOL} are not JSON: {error}") from error
        if not isinstance(found, dict):
            raise StoreError(f"params of {self.strategy} in {LIBRARY}/{SYMBOL} are not a JSON object")
        return found


class ClientIdBook(Protocol):
    """Where the client ids of strategies are kept for good."""

    def all(self) -> Mapping[str, int]: ...

    def keep(self, strategy: str, client_id: int) -> None:
        """The id is this strategy's from now on."""


class _Unkept:
    """Client ids of a table without a journal."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def all(self) -> Mapping[str, int]:
        return self._ids

    def keep(self, strategy: str, client_id: int) -> None:
        self._ids[strategy] = client_id


Make = Callable[[Mapping[str, StrategyRow]], Iterable[StrategyRow]]
"""Rows to add or replace, from the rows that the store has now."""


class StrategyTable:
    """The rows of `general`/`strategies`. Thread-safe; reading never waits, neither for the store nor for a writer.

    `refresh` reads what others wrote into the store; every write begins with that, so that it undoes nothing in the
    rows that it is not about. `client_ids` outlives the table: what it says of a strategy goes before what its row
    says. `report` is told of rows that no strategy can have, once for each.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock | None = None,
        client_ids: ClientIdBook | None = None,
        report: Callable[[str], None] = log.warning,
    ) -> None:
        self._store = store
        self._clock = clock or SystemClock()
        self._ids: ClientIdBook = _Unkept() if client_ids is None else client_ids
        self._report = report
        self._writing = threading.Lock()
        """Held while the store is read or written, so that what is read later is never older."""
        self._rows: Mapping[str, StrategyRow] = MappingProxyType({})
        """Replaced as a whole, under `_writing`."""
        self._told: set[str] = set()
        self.refresh()
        self._keep_ids_of_rows()

    def refresh(self) -> None:
        """Read the table again. StoreError when it is pickled or has no column `strategy`."""
        with self._writing:
            self._read()

    def _read(self) -> Sequence[StrategyRow]:
        """Takes in the table as the store has it now; returns the rows that no strategy can have."""
        frame = self._store.read(LIBRARY, SYMBOL)
        rows, strange = ([], []) if frame is None else _rows_of(frame)
        self._rows = MappingProxyType({row.strategy: row for row in rows})
        new = {repr(row.strategy) for row in strange} - self._told
        if new:
            self._told |= new
            names = ", ".join(sorted(new))
            self._report(f"rows of {LIBRARY}/{SYMBOL} are left alone, no strategy can be called so: {names}")
        return strange

    def _keep_ids_of_rows(self) -> None:
        """A journal that is new, or older than its book of ids, learns those that the rows have."""
        ids = dict(self._ids.all())
        for row in self.all():
            if row.client_id is not None and row.strategy not in ids and row.client_id not in ids.values():
                self._ids.keep(row.strategy, row.client_id)
                ids[row.strategy] = row.client_id

    def get(self, strategy: str) -> StrategyRow | None:
        return self._rows.get(strategy)

    def all(self) -> list[StrategyRow]:
        """Every row, by name."""
        rows = self._rows
        return [rows[name] for name in sorted(rows)]

    def change(self, make: Make) -> None:
        """Add or replace the rows that `make` makes of those that the store has now, with one write. Nothing else is
        undone, and nothing is written when that changes nothing.

        ValueError for a name that cannot be stored or a client id of another strategy; a client id that is kept, or
        that the stored row has when the new one names none, stays.
        """
        with self._writing:
            strange, stored, ids = self._read(), self._rows, self._ids.all()
            merged = dict(stored)
            for row in make(stored):
                _check_name(row.strategy)
                known = stored.get(row.strategy)
                client_id = ids.get(row.strategy, row.client_id)
                row = _kept(row if client_id is None else row.saying(client_id=client_id), known)
                if row == known:
                    continue
                if known is None or row.client_id != known.client_id:
                    self._claim(row, merged)
                merged[row.strategy] = row.saying(updated_at=self._clock.now())
            if merged != stored:
                self._store.write(LIBRARY, SYMBOL, _frame_of(merged.values(), strange))
                self._rows = MappingProxyType(merged)

    def _claim(self, row: StrategyRow, rows: Mapping[str, StrategyRow]) -> None:
        """Keeps the client id of a row that did not have it before; ValueError when it is another strategy's."""
        ids = self._ids.all()
        if row.client_id is None or ids.get(row.strategy) == row.client_id:
            return
        owners = {one.client_id: one.strategy for one in rows.values() if one.strategy != row.strategy}
        owner = ({client_id: name for name, client_id in ids.items()} | owners).get(row.client_id)
        if owner is not None:
            raise ValueError(f"strategies {owner} and {row.strategy} both have client id {row.client_id}")
        self._ids.keep(row.strategy, row.client_id)

    def upsert(self, rows: Iterable[StrategyRow]) -> None:
        """`change` by rows that are made already. One that says what was read last is not written, whatever somebody
        has made of it meanwhile."""
        before = self._rows
        changed = [row for row in rows if _kept(row, before.get(row.strategy)) != before.get(row.strategy)]
        if changed:
            self.change(lambda _: changed)

    def set_params(self, strategy: str, params: Mapping[str, Any]) -> None:
        """Store the parameters of a strategy as JSON; its row is made when missing. ValueError when not JSON."""
        text = json.dumps(dict(params), sort_keys=True, allow_nan=False)
        self.change(lambda rows: [(rows.get(strategy) or StrategyRow(strategy=strategy)).saying(params=text)])

    def client_id_for(self, strategy: str, base: int) -> int:
        """The IB client id of a strategy: allocated once, at least `base`, and never given to another strategy. One
        that is kept already does not need the store: its row says it again as soon as it is written."""
        kept, row = self._ids.all().get(strategy), self._rows.get(strategy)
        if kept is not None and row is not None and row.client_id == kept:
            return kept

        def identified(rows: Mapping[str, StrategyRow]) -> Iterable[StrategyRow]:
            row = rows.get(strategy) or StrategyRow(strategy=strategy)
            _check_name(strategy)
            client_id = self._id_of(row, rows, base)
            self._ids.keep(strategy, client_id)
            return [row.saying(client_id=client_id)]

        try:
            self.change(identified)
        except StoreError as error:
            if strategy not in self._ids.all():
                raise
            log.info("the row of %s does not say its client id yet: %s", strategy, error.message)
        return self._ids.all()[strategy]

    def _id_of(self, row: StrategyRow, rows: Mapping[str, StrategyRow], base: int) -> int:
        ids = self._ids.all()
        if row.strategy in ids:
            return ids[row.strategy]
        others = {one.client_id for one in rows.values() if one.strategy != row.strategy} | set(ids.values())
        if row.client_id is not None and row.client_id not in others:
            return row.client_id
        return max([next_client_id(rows.values(), base), *(client_id + 1 for client_id in ids.values())])


def _kept(row: StrategyRow, known: StrategyRow | None) -> StrategyRow:
    """The row with what a write never takes from the one that is there: its id, others' columns, the time of its last
    change."""
    if known is None:
        return row
    extra = {**row.extra, **known.extra}
    client_id = known.client_id if row.client_id is None else row.client_id
    return replace(row, client_id=client_id, extra=extra, updated_at=known.updated_at)


def next_client_id(rows: Iterable[StrategyRow], base: int) -> int:
    """The client id that the next strategy gets: at least `base`, and above every one that was ever given."""
    return max([base - 1, *(row.client_id for row in rows if row.client_id is not None)]) + 1


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(
            f"strategy name {name!r}: letters, digits, _ and - only, beginning with a letter or digit, at most 64"
        )


# -- frames. Every column has one declared type; one in which somebody has put something else is text until that is
# gone. Reading a cell raises TypeError, ValueError or OverflowError when it holds something of another kind.


def _text(value: Any) -> str:
    return str(value) if _said(value) else ""


def _number(value: Any) -> float | None:
    if not _said(value):
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is not finite")
    return number


def _count(value: Any) -> int:
    count = int(_number(value) or 0)
    if abs(count) > LAST_COUNT:
        raise OverflowError(f"{count} is too large")
    return count


def _client_id(value: Any) -> int | None:
    number = _number(value)
    if number is None or number < 0:
        return None
    if number > LAST_CLIENT_ID:
        raise OverflowError(f"{number} is no client id")
    return int(number)


def _flag(value: Any) -> bool:
    word = str(value).lower().removesuffix(".0")
    if _said(value) and word not in TRUE + FALSE:
        raise ValueError(f"{value!r} is neither true nor false")
    return word not in FALSE


def _stamp(value: Any) -> datetime | None:
    if not _said(value):
        return None
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(found, datetime):
        raise TypeError(f"{value!r} is not a time")
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return datetime.fromtimestamp(found.timestamp(), UTC)


_COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "strategy": ("str", _text),
    "filename": ("str", _text),
    "client_id": ("int64", _client_id),
    "enabled": ("bool", _flag),
    "equity": ("float64", _number),
    "min_weight": ("float64", _number),
    "target_weight": ("float64", _number),
    "max_weight": ("float64", _number),
    "params": ("str", _text),
    "managed_by": ("str", _text),
    "file": ("str", _text),
    "generation": ("int64", _count),
    "spec_hash": ("str", _text),
    "base": ("str", _text),
    "state": ("str", _text),
    "updated_at": ("datetime64[ns]", _stamp),
}


_UNREADABLE = {"enabled": False}
"""What a cell that cannot be read is taken for, where that is not the default: nothing is begun because of it."""


def _rows_of(frame: pd.DataFrame) -> tuple[list[StrategyRow], list[StrategyRow]]:
    """The strategies, and the rows with names that no strategy can have."""
    if "strategy" not in frame.columns and frame.index.name == "strategy":
        frame = frame.reset_index()
    if "strategy" not in frame.columns:
        raise StoreError(f"{LIBRARY}/{SYMBOL} has no column strategy", hint="each row needs strategy and filename")
    names = [str(name) for name in frame.columns]
    found = [_row_of(dict(zip(names, values, strict=True))) for values in frame.itertuples(index=False, name=None)]
    rows = [row for row in found if NAME.fullmatch(row.strategy)]
    twice = [name for name, count in Counter(row.strategy for row in rows).items() if count > 1]
    if twice:
        raise StoreError(f"{LIBRARY}/{SYMBOL} has more than one row for {', '.join(sorted(twice))}")
    return rows, [row for row in found if not NAME.fullmatch(row.strategy)]


def _row_of(raw: Mapping[str, Any]) -> StrategyRow:
    ours: dict[str, Any] = {}
    misfits: dict[str, Any] = {}
    for name, (_, read) in _COLUMNS.items():
        if name not in raw:
            continue
        try:
            ours[name] = read(raw[name])
        except (TypeError, ValueError, OverflowError):
            misfits[name] = raw[name]
            if name in _UNREADABLE:
                ours[name] = _UNREADABLE[name]
    if not _said(raw["strategy"]):
        misfits["strategy"] = None
    if ours.get("managed_by") == MANAGED_BY and "enabled" in raw and not _said(raw["enabled"]):
        misfits["enabled"] = None  # the runner has written a flag here
    extra = {name: value for name, value in raw.items() if name not in _COLUMNS and _said(value)}
    return StrategyRow(**ours, extra=extra, misfits=misfits)


def _frame_of(rows: Iterable[StrategyRow], strange: Collection[StrategyRow]) -> pd.DataFrame:
    import pandas as pd

    ordered = [*sorted(rows, key=lambda row: row.strategy), *strange]
    columns: dict[str, Any] = {name: _column(name, kind, ordered) for name, (kind, _) in _COLUMNS.items()}
    for name in sorted({name for row in ordered for name in row.extra}):
        columns[name] = _extra_column([row.extra.get(name) for row in ordered])
    return pd.DataFrame(columns)


def _column(name: str, kind: str, rows: Sequence[StrategyRow]) -> Any:
    import numpy as np

    values = [getattr(row, name) for row in rows]
    if any(name in row.misfits for row in rows):
        cells = [row.misfits.get(name, value) for row, value in zip(rows, values, strict=True)]
        return np.array([str(cell) if _said(cell) else None for cell in cells], dtype=object)
    if kind == "str":
        return np.array([str(value) for value in values], dtype=object)
    if kind == "float64":
        return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    if kind == "int64":
        return np.array([NO_CLIENT_ID if value is None else value for value in values], dtype=np.int64)
    if kind == "bool":
        return np.array(values, dtype=np.bool_)
    naive = [None if value is None else value.astimezone(UTC).replace(tzinfo=None) for value in values]
    return np.array(naive, dtype="datetime64[ns]")


def _said(value: Any) -> bool:
    """Whether a cell holds something: not None, NaN or NaT."""
    try:
        return value is not None and bool(value == value)
    except (TypeError, ValueError):
        return True


def _extra_column(values: list[Any]) -> Any:
    """A column that is not ours: numbers stay numbers with NaN where a row has none, all else is text or None."""
    import numpy as np
    import pandas as pd

    present = [value for value in values if _said(value)]
    if present and all(isinstance(value, (bool, np.bool_)) for value in present) and len(present) == len(values):
        return np.array(values, dtype=np.bool_)
    if present and all(isinstance(value, (int, np.integer)) for value in present) and len(present) == len(values):
        return np.array(values, dtype=np.int64)
    if all(isinstance(value, (int, float, np.integer, np.floating)) for value in present):
        return np.array([math.nan if value is None else float(value) for value in values], dtype=np.float64)
    if all(isinstance(value, datetime) for value in present):
        return pd.DatetimeIndex([pd.NaT if value is None else value for value in values])
    return np.array([str(value) if _said(value) else None for value in values], dtype=object)
