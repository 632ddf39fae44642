"""What strategy files are judged against: what runner.yaml says, and the blocks there are."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.catalog import BUILT_IN, Catalog

if TYPE_CHECKING:
    from runner.spec.config import RunnerConfig

EMBEDDED_BASE_CURRENCY = "USD"
"""Of the paper gateway when runner.yaml names none; a test keeps it equal to the gateway's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """None means: not known here, so what depends on it is not judged."""

    allowed_packages: Set[str] | None = None
    """`plugins.allow`."""
    base_currency: str | None = None
    """Of the account, where it is known without asking: the embedded gateway's."""
    max_total_weight: float = 1.0
    """`portfolio.max_total_weight`: largest sum of the target weights of all enabled strategies."""
    live: bool = False
    """`ib.mode`: where money is at stake, nobody but the owner may write a strategy's file."""
    repository: Path | None = None
    """The folder of runner.yaml, which fixtures of tests are relative to and may not leave; the one that holds the
    strategies folder when not known."""
    catalog: Catalog = BUILT_IN

    @classmethod
    def of(cls, config: RunnerConfig, catalog: Catalog = BUILT_IN) -> Deployment:
        """As `config` says."""
        gateway = config.gateway
        return cls(
            allowed_packages=frozenset(config.plugins_allow),
            base_currency=(gateway.base_currency or EMBEDDED_BASE_CURRENCY) if gateway.embedded else None,
            max_total_weight=config.max_total_weight,
            live=config.ib.mode == "live",
            repository=config.strategies_dir.parent if config.file is None else config.file.parent,
            catalog=catalog,
        )
