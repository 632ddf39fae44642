"""The account and the session with the gateway: E615, E616, E617, E625, E626 and E628."""

from __future__ import annotations

from collections.abc import Sequence

from runner.errors import WrongAccount
from runner.manager.environment.session import Seen
from runner.manager.environment.subjects import Asked, Place, problem_at
from runner.spec.config import RunnerConfig
from runner.spec.problems import KeyPath, Problem
from runner.spec.rules.markets import named


def wrong_account(error: WrongAccount, config: RunnerConfig) -> Problem:
    """The refusal as a problem of runner.yaml."""
    place = _setting(config, error.setting)
    if error.setting != "account":
        return problem_at(place, "E626", error.message, hint=error.hint)
    if not config.ib.account:
        return problem_at(place, "E616", error.message, hint=error.hint)
    origin = config.ib.origin.get("account", "")
    said = f" (from the {origin})" if origin.startswith("environment") else ""
    return problem_at(place, "E615", f"{error.message}{said}", hint=error.hint)


def _setting(config: RunnerConfig, name: str) -> Place:
    path: KeyPath = ("ib", name)
    return config.locate(path), path


def check_account(config: RunnerConfig, asked: Sequence[Asked], seen: Seen) -> list[Problem]:
    """E625 for a gateway that takes no orders, E628 for an account of unknown currency, E617 for missing rates."""
    problems = []
    if seen.takes_orders is False:
        message = "the gateway takes no orders: its API is set to read-only"
        hint = "switch Read-Only API off in the settings of TWS or IB Gateway"
        problems.append(problem_at(_setting(config, "port"), "E625", message, hint=hint))
    if seen.base_problem:
        hint = "name one account with ib.account, and see that the session may read account data"
        problems.append(problem_at(_setting(config, "account"), "E628", seen.base_problem, hint=hint))
    return problems + _rates(asked, seen)


def _rates(asked: Sequence[Asked], seen: Seen) -> list[Problem]:
    """E617 once for each strategy and currency: without a rate nothing is sized, so the strategy does not start."""
    lost: dict[tuple[str, str], list[Asked]] = {}
    for one in asked:
        instrument = seen.instruments.get(one.query)
        if instrument is not None and seen.rates.get(instrument.currency) is not None:
            lost.setdefault((one.subject.spec.name, instrument.currency), []).append(one)
    problems = []
    for (_, currency), ones in lost.items():
        symbols = named([one.query.symbol for one in ones])
        message = (
            f"there is no exchange rate from {currency}, the currency of {symbols}, to {seen.base_currency}, "
            "the base currency of the account"
        )
        hint = f"IB has no pair of the two; hold {currency} so that the account reports a rate, or leave it out"
        problems.append(problem_at(ones[0].setting("currency"), "E617", message, hint=hint))
    return problems
