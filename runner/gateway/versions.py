"""Server versions: what is negotiated, and which version brought which field. The only table of gates."""

from __future__ import annotations

LOWEST = 157
"""Older clients read layouts that nobody needs any more; ibapi 9.81.1 asks for exactly this one."""
HIGHEST = 178
"""From 179 on, fields are added that ib_async 2.1 does not read."""

DURATION = 158
POST_TO_ATS = 160
AUTO_CANCEL_PARENT = 162
FRACTIONAL_SIZES = 163
"""Below it every size, volume and count must be an integer without a point."""
SIZE_RULES = 164
ADVANCED_REJECT = 166
MANUAL_ORDER_TIME = 169
PEG_OFFSETS = 170
ISSUER_ID = 176
NO_FA_PROFILE = 177
PENDING_PRICE_REVISION = 178


def negotiate(client_low: int, client_high: int) -> int | None:
    """The version both sides speak, or None when there is none.

    Never 158 exactly: clients disagree there whether openOrder carries the duration.
    """
    version = min(HIGHEST, client_high)
    if version == DURATION:
        version = LOWEST
    return version if version >= max(LOWEST, client_low) else None
