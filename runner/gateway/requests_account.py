"""Requests about the books: positions, account values, summary, profit and loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.gateway import encode
from runner.gateway.decode import FieldReader
from runner.gateway.limits import SUMMARIES_PER_CLIENT
from runner.gateway.model import AccountRow, RequestRefused
from runner.gateway.subscriptions import (
    MOST_OF_A_KIND,
    AccountMulti,
    ProfitAndLoss,
    Summary,
    account_level,
    changed_rows,
    ledger,
    summary_rows,
)
from runner.gateway.wire import GATEWAY_ZONE, to_bool, zoned

if TYPE_CHECKING:
    from runner.gateway.session import Session

DUPLICATE = (322, "Error processing request.-'cA' : cause - Duplicate request id")
TOO_MANY_SUMMARIES = (
    322,
    "Error processing request.-'cA' : cause - Maximum number of account summary requests exceeded",
)


def _accounts(session: Session, name: str, model: str = "") -> tuple[str, ...]:
    """The accounts a request means: the named one, or all. RequestRefused(321) for others and for any model."""
    accounts = session.server.exchange.accounts
    if model:
        raise RequestRefused(321, f"Error validating request.-'cA' : cause - Invalid model code '{model}'")
    if name in ("", "All"):
        return tuple(accounts)
    if name not in accounts:
        raise RequestRefused(321, f"Error validating request.-'cA' : cause - Invalid account code '{name}'")
    return (name,)


# ---------------------------------------------------------------- positions


def positions(session: Session, fields: list[str]) -> None:
    session.subscriptions.positions = True
    for line in session.server.exchange.positions():
        session.send(encode.position(line))
    session.send(encode.end(62))


def cancel_positions(session: Session, fields: list[str]) -> None:
    session.subscriptions.positions = False


def positions_multi(session: Session, fields: list[str]) -> None:
    reader = FieldReader(fields, 2)
    request_id, name, model = reader.integer(), reader.text(), reader.text()
    try:
        accounts = _accounts(session, name, model)
        if request_id in session.subscriptions.positions_multi:
            raise RequestRefused(*DUPLICATE)
        _check_room(len(session.subscriptions.positions_multi))
    except RequestRefused as refused:
        session.error(request_id, refused.code, refused.text)
    else:
        session.subscriptions.positions_multi[request_id] = accounts
        for line in session.server.exchange.positions():
            if line.account in accounts:
                session.send(encode.position_multi(request_id, line, ""))
    session.send(encode.end(72, request_id))


def cancel_positions_multi(session: Session, fields: list[str]) -> None:
    session.subscriptions.positions_multi.pop(FieldReader(fields, 2).integer(), None)


# ---------------------------------------------------------------- account values


def account_updates(session: Session, fields: list[str]) -> None:
    """Values and portfolio of one account, then updates. A client has one such subscription."""
    reader = FieldReader(fields, 2)
    subscribe, name = reader.flag(), reader.text()
    subscriptions = session.subscriptions
    if not subscribe:
        subscriptions.account = ""
        subscriptions.account_sent = {}
        return
    exchange = session.server.exchange
    try:
        account = _accounts(session, name)[0]
    except RequestRefused as refused:
        session.error(-1, refused.code, refused.text)
        session.send(encode.account_download_end(name))
        return
    subscriptions.account = account
    subscriptions.account_sent = {}
    for row in changed_rows(exchange.account_rows(account), account, subscriptions.account_sent):
        session.send(encode.account_value(row, account))
    for line in exchange.positions(account):
        session.send(encode.portfolio_value(line))
    session.send(encode.account_time(zoned(exchange.now(), GATEWAY_ZONE)[9:14]))
    session.send(encode.account_download_end(account))


def account_updates_multi(session: Session, fields: list[str]) -> None:
    reader = FieldReader(fields, 2)
    request_id, name, model, ledger_text = reader.integer(), reader.text(), reader.text(), reader.text()
    subscriptions = session.subscriptions.account_multi
    try:
        accounts = _accounts(session, name, model)
        if request_id in subscriptions:
            raise RequestRefused(*DUPLICATE)
        _check_room(len(subscriptions))
    except RequestRefused as refused:
        session.error(request_id, refused.code, refused.text)
    else:
        subscriptions[request_id] = multi = AccountMulti(
            request_id=request_id, accounts=accounts, model=model, ledger_only=to_bool(ledger_text)
        )
        send_multi(session, multi)
    session.send(encode.end(74, request_id))


def send_multi(session: Session, multi: AccountMulti) -> None:
    """The rows that have changed since they were sent."""
    for account in multi.accounts:
        rows = session.server.exchange.account_rows(account)
        if multi.ledger_only:
            net = account_level(rows).get("NetLiquidation")
            rows = [*ledger(rows), *([] if net is None else [net])]
        for row in changed_rows(rows, account, multi.sent):
            session.send(encode.account_update_multi(multi.request_id, account, multi.model, row))


def cancel_account_updates_multi(session: Session, fields: list[str]) -> None:
    session.subscriptions.account_multi.pop(FieldReader(fields, 2).integer(), None)


def account_summary(session: Session, fields: list[str]) -> None:
    reader = FieldReader(fields, 2)
    request_id, group, tags = reader.integer(), reader.text(), reader.text()
    summaries = session.subscriptions.summaries
    try:
        accounts = _accounts(session, group)
        if request_id in summaries:
            raise RequestRefused(*DUPLICATE)
        if len(summaries) >= SUMMARIES_PER_CLIENT:
            raise RequestRefused(*TOO_MANY_SUMMARIES)
    except RequestRefused as refused:
        session.error(request_id, refused.code, refused.text)
        if refused.code == 321:
            session.send(encode.end(64, request_id))
        return
    wanted = tuple(tag.strip() for tag in tags.split(",") if tag.strip())
    summaries[request_id] = summary = Summary(request_id=request_id, accounts=accounts, tags=wanted)
    send_summary(session, summary)
    session.send(encode.end(64, request_id))


def send_summary(session: Session, summary: Summary) -> None:
    """The rows that have changed since they were sent."""
    for account in summary.accounts:
        rows: list[AccountRow] = session.server.exchange.account_rows(account)
        for row in changed_rows(summary_rows(rows, summary.tags), account, summary.sent):
            session.send(encode.account_summary(summary.request_id, account, row))


def cancel_account_summary(session: Session, fields: list[str]) -> None:
    session.subscriptions.summaries.pop(FieldReader(fields, 2).integer(), None)


# ---------------------------------------------------------------- profit and loss


def pnl(session: Session, fields: list[str]) -> None:
    reader = FieldReader(fields)
    request_id, name, model = reader.integer(), reader.text(), reader.text()
    account = _accounts(session, name, model)[0]
    _open_pnl(session, ProfitAndLoss(request_id=request_id, account=account))


def pnl_single(session: Session, fields: list[str]) -> None:
    reader = FieldReader(fields)
    request_id, name, model, con_id = reader.integer(), reader.text(), reader.text(), reader.integer()
    account = _accounts(session, name, model)[0]
    if con_id <= 0:
        raise RequestRefused(321, "Error validating request.-'cI' : cause - Invalid contract id")
    _open_pnl(session, ProfitAndLoss(request_id=request_id, account=account, con_id=con_id))


def _open_pnl(session: Session, subscription: ProfitAndLoss) -> None:
    subscriptions = session.subscriptions.pnl
    if subscription.request_id in subscriptions:
        raise RequestRefused(*DUPLICATE)
    _check_room(len(subscriptions))
    subscriptions[subscription.request_id] = subscription
    send_pnl(session, subscription)


def send_pnl(session: Session, subscription: ProfitAndLoss) -> None:
    """The figures, when they have changed since they were sent."""
    exchange = session.server.exchange
    if subscription.con_id:
        single = exchange.pnl_single(subscription.account, subscription.con_id)
        if single is not None and single != subscription.sent:
            subscription.sent = single
            session.send(encode.pnl_single(session.version, subscription.request_id, single))
        return
    values = exchange.pnl(subscription.account)
    if values != subscription.sent:
        subscription.sent = values
        session.send(encode.pnl(subscription.request_id, values))


def cancel_pnl(session: Session, fields: list[str]) -> None:
    session.subscriptions.pnl.pop(FieldReader(fields).integer(), None)


def _check_room(open_now: int) -> None:
    if open_now >= MOST_OF_A_KIND:
        raise RequestRefused(322, "Error processing request.-'cA' : cause - Too many subscriptions in one session")
