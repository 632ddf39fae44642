"""A strategy's own code, called between the steps of the declared one: off the loop, with a deadline.

A hook that raises or misses its deadline stops its own strategy and nobody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from runner import plugins
from runner.catalog import Unusable
from runner.errors import HookError
from runner.spec.spec import HOOK_ARGUMENTS
from runner.strategy.host import StrategyHost

HOOK_DEADLINE_S = 2.0
"""How long one call may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookContext:
    """What a hook is told. Read-only; quantities are signed units, money in base currency."""

    strategy: str
    at: datetime
    equity: Decimal
    positions: Mapping[str, Decimal]
    prices: Mapping[str, Decimal]
    params: Mapping[str, Any]
    hook_params: Mapping[str, Any]


class Hooks:
    """The loaded hooks of one strategy."""

    def __init__(self, strategy: str, host: StrategyHost, calls: Mapping[str, Callable[..., Any]]) -> None:
        self._strategy = strategy
        self._host = host
        self._calls = dict(calls)

    def has(self, point: str) -> bool:
        return point in self._calls

    async def call(self, point: str, *arguments: Any) -> Any:
        """Calls the hook at `point`. HookError when it raises or takes longer than HOOK_DEADLINE_S."""
        hook = self._calls[point]
        try:
            return await self._host.in_worker(self._strategy, lambda: hook(*arguments), HOOK_DEADLINE_S)
        except TimeoutError:
            raise HookError(
                f"hook {point} of {self._strategy} took longer than {HOOK_DEADLINE_S:g} s",
                hint="hooks must not wait; move slow work to a program of its own",
            ) from None
        except Exception as error:
            error.add_note(f"in hook {point} of {self._strategy}")
            raise HookError(f"hook {point} of {self._strategy} raised {type(error).__name__}: {error}") from error

    async def shrink(
        self, context: HookContext, current: Mapping[str, Decimal], targets: Mapping[str, Decimal]
    ) -> dict[str, Decimal]:
        """The `before_orders` hook: it gets the target quantities and may bring them nearer to what is held.

        A target that the hook moved further away from the current quantity, or beyond the one decided, is put back
        to the decided one; a symbol it leaves out is not traded.
        """
        answer = await self.call("before_orders", context, MappingProxyType(dict(targets)))
        if answer is None:
            return dict(targets)
        if not isinstance(answer, Mapping):
            raise HookError(
                f"hook before_orders of {self._strategy} returned {type(answer).__name__}",
                hint="return a mapping from symbol to target quantity, or None to change nothing",
            )
        result: dict[str, Decimal] = {}
        for symbol, decided in targets.items():
            held = current[symbol]
            if symbol not in answer:
                result[symbol] = held
                continue
            asked = Decimal(str(answer[symbol]))
            if not asked.is_finite():
                raise HookError(f"hook before_orders of {self._strategy} returned {asked} for {symbol}")
            low, high = min(held, decided), max(held, decided)
            result[symbol] = asked if low <= asked <= high else decided
        return result


def load_hooks(references: Mapping[str, str], allowed: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    """Imports the hooks of a file, by their points. HookError when one is not allowed, missing or cannot be called."""
    calls: dict[str, Callable[..., Any]] = {}
    for point, reference in references.items():
        found = plugins.load_hook(reference, allowed, HOOK_ARGUMENTS[point])
        if isinstance(found, Unusable):
            raise HookError(f"hook {reference} {found.message}", hint=found.hint)
        calls[point] = found
    return calls
