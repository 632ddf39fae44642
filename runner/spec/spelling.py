"""Misspelled words: which known word was meant, and whether there is any doubt about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from runner.spec.problems import closest

MIN_LETTERS = 3
"""Letters that must be right. Fewer are near too many words: `1m` is a minute to one reader and `1M` a month to IB, and
whoever writes GTD may mean good-till-date and not GTC."""


@dataclass(frozen=True, slots=True)
class Guess:
    """The known word that was probably meant. `sure`: no other is as near, and it is free to be written."""

    word: str | None
    sure: bool = False
    taken: bool = False
    """It is there already."""

    @property
    def hint(self) -> str:
        """`did you mean "slow"?`, or nothing."""
        if self.word is None:
            return ""
        return f'did you mean "{self.word}"{", which is set already" if self.taken else ""}?'


def meant(word: str, known: Iterable[str], present: Collection[str] = ()) -> Guess:
    """What `word` was meant to be. Sure is a known word, not `present`, that alone is at most one edit away.

    An edit is a letter too many, too few, wrong or swapped with its neighbour; case does not count, digits must agree.
    """
    names = list(known)
    folded = word.casefold()
    near = [name for name in names if name.casefold() == folded] or [name for name in names if one_edit(folded, name)]
    if len(near) == 1:
        found = near[0]
        letters = sum(char.isalpha() for char in word) - _replaced(folded, found.casefold())
        clear = letters >= MIN_LETTERS and _digits(word) == _digits(found)
        return Guess(found, sure=clear and found not in present, taken=found in present)
    return Guess(closest(word, (name for name in names if name not in present)) or closest(word, names))


def one_edit(word: str, other: str) -> bool:
    """Whether one letter inserted, removed, replaced or swapped with its neighbour makes one the other, case folded."""
    a, b = sorted((word.casefold(), other.casefold()), key=len)
    if len(b) - len(a) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    if len(a) < len(b):
        return a[start:] == b[start + 1 :]
    rest, other_rest = a[start + 1 :], b[start + 1 :]
    swapped = a[start : start + 2] == b[start : start + 2][::-1] and a[start + 2 :] == b[start + 2 :]
    return rest == other_rest or swapped


def _replaced(word: str, other: str) -> bool:
    """Whether a letter of `word` is another one in `other`, to which it is one edit."""
    return len(word) == len(other) and sorted(word) != sorted(other)


def _digits(text: str) -> list[str]:
    return [char for char in text if char.isdigit()]
