"""The IB client ids of the strategies: part of the journal, so that they outlive the table of strategies.

Orders belong to the client id that sent them: a strategy that came back under another could neither change nor cancel
what it has working, and one that was given the id of another would be refused by IB, or meet orders not its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_KEY = "client_id:"
"""Begins their keys in the journal's table `meta`; `;` is the character after `:`."""


@dataclass(frozen=True, slots=True)
class ClientIds:
    """Reads and writes them through the journal's own connections. Writing blocks until it is on disk."""

    write: Callable[[Callable[[sqlite3.Connection], Any]], Any]
    query: Callable[[str, Sequence[Any]], list[Any]]

    def all(self) -> dict[str, int]:
        """Strategy → the id that it was given, whether it has a row or not."""
        rows = self.query("SELECT key, value FROM meta WHERE key >= ? AND key < ?", (_KEY, _KEY[:-1] + ";"))
        return {key.removeprefix(_KEY): int(value) for key, value in rows}

    def keep(self, strategy: str, client_id: int) -> None:
        """The id is this strategy's from now on."""
        row = (f"{_KEY}{strategy}", str(client_id))
        self.write(lambda connection: connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", row))
