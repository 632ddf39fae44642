"""The codes of exchange_calendars, so that checking a spec need not import it. A test keeps the list fresh."""

from __future__ import annotations

CALENDARS: tuple[str, ...] = (
    "24/5", "24/7", "AIXK", "ARCX", "ASEX", "ASX", "BATS", "BMF", "BSE", "BVB", "BVMF", "CBOT", "CFE", "CME",
    "CMES", "COMEX", "FWB", "HKEX", "ICE", "ICEUS", "IEPA", "JKT", "JPX", "LSE", "LUXSE", "NASDAQ", "NYFE",
    "NYMEX", "NYSE", "OOTC", "OSE", "SIX", "SSE", "TASE", "TSX", "us_futures", "XAMS", "XASE", "XASX", "XBDA",
    "XBEL", "XBKK", "XBOG", "XBOM", "XBRA", "XBRU", "XBSE", "XBUD", "XBUE", "XCBF", "XCSE", "XCYS", "XDUB",
    "XDUS", "XEEE", "XETR", "XEUR", "XFRA", "XHAM", "XHEL", "XHKG", "XICE", "XIDX", "XIST", "XJSE", "XKAR",
    "XKLS", "XKRX", "XLIM", "XLIS", "XLIT", "XLJU", "XLON", "XLUX", "XMAD", "XMEX", "XMIL", "XMOS", "XNAS",
    "XNYS", "XNZE", "XOSL", "XPAR", "XPHS", "XPRA", "XRIS", "XSAU", "XSES", "XSGO", "XSHG", "XSTO", "XSTU",
    "XSWX", "XTAE", "XTAI", "XTAL", "XTKS", "XTSE", "XTSX", "XWAR", "XWBO", "XZAG",
)  # fmt: skip
"""Every code and alias that `schedule.calendar` may name."""
