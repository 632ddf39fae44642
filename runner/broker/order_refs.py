"""The name of an order: `<runner>.<epoch>.<strategy>.<number>`, at most 32 characters of `[A-Za-z0-9._-]`.

IB hands it back with every open order, completed order and execution, which is how they are recognised after a restart.
It is assigned once and never used again; the number comes from the journal. The strategy in it is cut to ten characters
for people to read: the journal, not the ref, says which strategy an order belongs to.
"""

from __future__ import annotations

import re

MAX_LENGTH = 32
RUNNER_LENGTH = 4
STRATEGY_LENGTH = 10
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
_RUNNER = re.compile(rf"[A-Za-z0-9]{{{RUNNER_LENGTH}}}")


def order_ref(runner_id: str, epoch: int, strategy: str, number: int) -> str:
    """A new ref. `runner_id` is four letters or digits; `epoch` and `number` are not negative, else ValueError."""
    if not _RUNNER.fullmatch(runner_id):
        raise ValueError(f"a runner id is {RUNNER_LENGTH} letters or digits, not {runner_id!r}")
    if epoch < 0 or number < 0:
        raise ValueError("epoch and number of an order ref are not negative")
    head, tail = f"{runner_id}.{epoch}.", f".{base32(number)}"
    room = min(STRATEGY_LENGTH, MAX_LENGTH - len(head) - len(tail))
    if room < 1:
        raise ValueError(f"epoch {epoch} and number {number} leave no room in an order ref")
    return head + (_UNFIT.sub("_", strategy)[:room] or "_") + tail


def is_ours(ref: str, runner_id: str) -> bool:
    """Whether a runner with this id made the ref."""
    return ref.startswith(f"{runner_id}.") and ref.count(".") == 3


def base32(number: int) -> str:
    """`number` in base 32 without the letters that look like digits."""
    digits = ""
    while True:
        number, rest = divmod(number, 32)
        digits = _DIGITS[rest] + digits
        if number == 0:
            return digits
