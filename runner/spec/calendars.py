"""What exchange_calendars knows that checking a spec needs, so that checking need not import it.

A test keeps the tables fresh.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time


@dataclass(frozen=True, slots=True)
class Hours:
    """Regular hours of a calendar as they are today: `opens` and `closes` on the clock of `zone`.

    `open_day` is -1 when a session opens on the evening before its date, `close_day` is 1 when it closes on the day
    after.
    """

    zone: str
    opens: str
    closes: str
    open_day: int = 0
    close_day: int = 0

    def contains(self, at: time) -> bool:
        """Whether a clock time is in the session, its open and its close included."""
        opens, closes = time.fromisoformat(self.opens), time.fromisoformat(self.closes)
        if self.open_day == self.close_day:
            return opens <= at <= closes
        return at >= opens or at <= closes


HOURS: Mapping[str, Hours] = {
    "24/5": Hours("UTC", "00:00", "00:00", 0, 1),
    "24/7": Hours("UTC", "00:00", "00:00", 0, 1),
    "AIXK": Hours("Asia/Almaty", "11:00", "17:00"),
    "ASEX": Hours("Europe/Athens", "10:00", "17:20"),
    "BVMF": Hours("America/Sao_Paulo", "10:00", "18:00"),
    "CMES": Hours("America/Chicago", "17:00", "17:00", -1, 0),
    "IEPA": Hours("America/New_York", "20:00", "18:00", -1, 0),
    "XAMS": Hours("Europe/Amsterdam", "09:00", "17:30"),
    "XASX": Hours("Australia/Sydney", "10:00", "16:00"),
    "XBDA": Hours("Atlantic/Bermuda", "09:00", "16:30"),
    "XBEL": Hours("Europe/Belgrade", "09:30", "14:00"),
    "XBKK": Hours("Asia/Bangkok", "10:00", "16:30"),
    "XBOG": Hours("America/New_York", "09:30", "16:00"),
    "XBOM": Hours("Asia/Kolkata", "09:15", "15:30"),
    "XBRA": Hours("Europe/Bratislava", "11:00", "15:30"),
    "XBRU": Hours("Europe/Brussels", "09:00", "17:30"),
    "XBSE": Hours("Europe/Bucharest", "10:00", "17:45"),
    "XBUD": Hours("Europe/Budapest", "09:00", "17:00"),
    "XBUE": Hours("America/Argentina/Buenos_Aires", "11:00", "17:00"),
    "XCBF": Hours("America/Chicago", "08:30", "15:15"),
    "XCSE": Hours("Europe/Copenhagen", "09:00", "17:00"),
    "XCYS": Hours("Asia/Nicosia", "10:30", "17:00"),
    "XDUB": Hours("Europe/Dublin", "08:00", "16:28"),
    "XDUS": Hours("Europe/Brussels", "08:00", "22:00"),
    "XEEE": Hours("Europe/Berlin", "08:00", "18:00"),
    "XETR": Hours("Europe/Berlin", "09:00", "17:30"),
    "XEUR": Hours("Europe/Berlin", "08:00", "22:00"),
    "XFRA": Hours("Europe/Berlin", "09:00", "17:30"),
    "XHAM": Hours("Europe/Brussels", "08:00", "22:00"),
    "XHEL": Hours("Europe/Helsinki", "10:00", "18:30"),
    "XHKG": Hours("Asia/Hong_Kong", "09:30", "16:00"),
    "XICE": Hours("Atlantic/Reykjavik", "09:30", "15:30"),
    "XIDX": Hours("Asia/Jakarta", "09:00", "15:50"),
    "XIST": Hours("Europe/Istanbul", "10:00", "18:00"),
    "XJSE": Hours("Africa/Johannesburg", "09:00", "17:00"),
    "XKAR": Hours("Asia/Karachi", "09:32", "15:30"),
    "XKLS": Hours("Asia/Kuala_Lumpur", "09:00", "17:00"),
    "XKRX": Hours("Asia/Seoul", "09:00", "15:30"),
    "XLIM": Hours("America/Lima", "09:00", "16:00"),
    "XLIS": Hours("Europe/Lisbon", "08:00", "16:30"),
    "XLIT": Hours("Europe/Vilnius", "10:00", "16:00"),
    "XLJU": Hours("Europe/Ljubljana", "09:15", "15:15"),
    "XLON": Hours("Europe/London", "08:00", "16:30"),
    "XLUX": Hours("Europe/Luxembourg", "09:00", "17:40"),
    "XMAD": Hours("Europe/Madrid", "09:00", "17:30"),
    "XMEX": Hours("America/Mexico_City", "08:30", "15:00"),
    "XMIL": Hours("Europe/Rome", "09:00", "17:30"),
    "XMOS": Hours("Europe/Moscow", "10:00", "18:45"),
    "XNYS": Hours("America/New_York", "09:30", "16:00"),
    "XNZE": Hours("Pacific/Auckland", "10:00", "16:45"),
    "XOSL": Hours("Europe/Oslo", "09:00", "16:20"),
    "XPAR": Hours("Europe/Paris", "09:00", "17:30"),
    "XPHS": Hours("Asia/Manila", "09:30", "15:30"),
    "XPRA": Hours("Europe/Prague", "09:00", "16:20"),
    "XRIS": Hours("Europe/Riga", "10:00", "16:00"),
    "XSAU": Hours("Asia/Riyadh", "10:00", "15:00"),
    "XSES": Hours("Asia/Singapore", "09:00", "17:00"),
    "XSGO": Hours("America/Santiago", "09:30", "17:00"),
    "XSHG": Hours("Asia/Shanghai", "09:30", "15:00"),
    "XSTO": Hours("Europe/Stockholm", "09:00", "17:30"),
    "XSTU": Hours("Europe/Berlin", "07:30", "22:00"),
    "XSWX": Hours("Europe/Zurich", "09:00", "17:30"),
    "XTAE": Hours("Asia/Tel_Aviv", "09:59", "17:15"),
    "XTAI": Hours("Asia/Taipei", "09:00", "13:30"),
    "XTAL": Hours("Europe/Tallinn", "10:00", "16:00"),
    "XTKS": Hours("Asia/Tokyo", "09:00", "15:30"),
    "XTSE": Hours("America/Toronto", "09:30", "16:00"),
    "XWAR": Hours("Europe/Warsaw", "09:00", "17:00"),
    "XWBO": Hours("Europe/Vienna", "09:00", "17:30"),
    "XZAG": Hours("Europe/Zagreb", "09:00", "16:00"),
    "us_futures": Hours("America/New_York", "18:00", "18:00", -1, 0),
}
"""Calendar → its hours."""

ALIASES: Mapping[str, str] = {
    "ARCX": "XNYS", "ASX": "XASX", "BATS": "XNYS", "BMF": "BVMF", "BSE": "XBOM", "BVB": "XBSE", "CBOT": "CMES",
    "CFE": "XCBF", "CME": "CMES", "COMEX": "CMES", "FWB": "XFRA", "HKEX": "XHKG", "ICE": "IEPA", "ICEUS":
    "IEPA", "JKT": "XIDX", "JPX": "XTKS", "LSE": "XLON", "LUXSE": "XLUX", "NASDAQ": "XNYS", "NYFE": "IEPA",
    "NYMEX": "CMES", "NYSE": "XNYS", "OOTC": "XNYS", "OSE": "XOSL", "SIX": "XSWX", "SSE": "XSHG", "TASE":
    "XTAE", "TSX": "XTSE", "XASE": "XNYS", "XNAS": "XNYS", "XTSX": "XTSE",
}  # fmt: skip
"""Another name of a calendar → its own."""

CALENDARS: tuple[str, ...] = tuple(sorted([*HOURS, *ALIASES], key=str.casefold))
"""Every code and alias that `schedule.calendar` may name."""


def own_name(code: str) -> str:
    """The calendar behind a code or an alias."""
    return ALIASES.get(code, code)
