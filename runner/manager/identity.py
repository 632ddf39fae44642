"""Who a state directory belongs to: one account, and one name that begins its order references."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from runner.errors import ConfigError
from runner.store.journal import Journal


def runner_id(journal: Journal, state_dir: Path) -> str:
    """Four characters that begin every order reference of this directory, so that two runners on one account never take
    each other's orders for their own. Made once, from the directory's first place, and kept in the journal."""
    known = journal.meta("runner_id")
    if known is None:
        digest = hashlib.sha256(str(state_dir.resolve()).encode()).digest()
        known = base64.b32encode(digest).decode().lower()[:4]
        journal.set_meta("runner_id", known)
    return known


def bind_account(journal: Journal, state_dir: Path, account: str) -> None:
    """Ties the directory to the account: its books would be wrong for another, which ConfigError says."""
    bound = journal.meta("account")
    if bound is None:
        journal.set_meta("account", account)
    elif bound != account:
        raise ConfigError(
            f"the state directory {state_dir} belongs to account {bound}, not {account}",
            hint="use another --state-dir for another account",
        )
