"""What does this text say? Numbers, dates, sexes and 保険者番号 as files write them.

Nothing is guessed: a text either has one meaning, or it has a rule under which it is rejected (see `rules`).
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from decimal import Decimal
from typing import NamedTuple

from kenpo_analytics import months
from kenpo_analytics.errors import DateError

# --- numbers -------------------------------------------------------------------------------------------


class Reading(NamedTuple):
    """A text as a number: its value, or the rule it is rejected under, or neither (blank, 未実施: never measured)."""

    value: float | None = None
    rule: str | None = None


_ABSENT = Reading()
_WIDTH = str.maketrans({**{chr(c): chr(c - 0xFEE0) for c in range(0xFF01, 0xFF5F)}, "\u3000": " ", "−": "-"})
_NUMBER = re.compile(r"([+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|[+-]?\.[0-9]+) *(\D.*)?")
_NOT_DONE = re.compile(r"(?:[-－‐‑–—―ー]+|未(?:実施|検査|測定|施行|受診)?|(?:検査|測定|実施)(?:なし|せず)|NULL)?", re.I)
_NOT_MEASURABLE = re.compile(r"(?:測定|検査|計測|判定|採血|検体)(?:不能|不可|できず|困難|不良|不足).*")
_CENSORED = re.compile(r"H+|L+|HIGH|LOW|以[上下]|[<>≦≧≤≥].*|[0-9.,]+ *(?:以上|以下|未満|超)", re.I)
_MG_DL = ("mg/dl",)
_U_L = ("u/l", "iu/l", "iu/i", "u/i")
_UNITS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("fpg", "casual_glucose", "tg", "hdl", "ldl", "non_hdl", "creatinine"), _MG_DL),
    **dict.fromkeys(("ast", "alt", "ggt"), _U_L),
    **dict.fromkeys(("sbp", "dbp"), ("mmhg", "mm[hg]")),
    **dict.fromkeys(("height", "waist"), ("cm",)),
    "hba1c": ("%",),
    "weight": ("kg",),
    "bmi": ("kg/m2", "kg/m^2"),
    "egfr": ("ml/min/1.73m2", "ml/分/1.73m2", "ml/min/1.73m^2"),
}
_OTHER_UNITS = re.compile(r"mmol/l|mmol/mol|[uμ]mol/l|g/l|g/dl|mg/l|kpa|mm|m|inch|in|lb|g|%|mg/dl|mmhg|cm|kg")
_SUSPECTED: dict[str, tuple[tuple[float, float, str], ...]] = {
    **dict.fromkeys(("fpg", "casual_glucose"), ((1.1, 19.9, "mmol/L"),)),
    **dict.fromkeys(("tg", "hdl", "ldl", "non_hdl"), ((0.1, 9.99, "mmol/L"),)),
    "hba1c": ((30, 200, "10倍の値、またはmmol/mol(IFCC)"), (0.03, 0.2, "百分率にする前の値")),
    "creatinine": ((31, 2700, "μmol/L"),),
    "height": ((1.0, 2.5, "m"), (1000, 2500, "mm")),
}


def number(text: str | None, low: float | None = None, high: float | None = None, item: str = "") -> Reading:
    """Which number is written here, within [low, high]?

    Full-width digits, signs, thousands separators and the item's own unit are read. Blank, dashes and 未実施 are no
    measurement: neither value nor rule. H, L, <3, 300以上 are "censored"; 測定不能 "not_measurable"; numbers outside
    the input range "range", or "unit_suspected" where another unit explains them or is written. Exponents (digits may
    be lost), *** and every other text are "not_a_number".

    Parameters
    ----------
    item
        Canonical column of `checkups`: it tells which unit may be written, and which other unit is suspected.
    """
    plain = "" if text is None else text.translate(_WIDTH).strip()
    match = _NUMBER.fullmatch(plain)
    if match is None or (match[2] and _CENSORED.fullmatch(plain)):
        return _no_number(plain)
    unit = unicodedata.normalize("NFKC", match[2] or "").replace(" ", "").lower()
    if unit and unit not in _UNITS.get(item, ()):
        return Reading(rule="unit_suspected" if _OTHER_UNITS.fullmatch(unit) else "not_a_number")
    value = float(match[1].replace(",", ""))
    if (low is None or value >= low) and (high is None or value <= high):
        return Reading(value)
    return Reading(rule="unit_suspected" if _other_unit(value, item) else "range")


def _no_number(plain: str) -> Reading:
    if _NOT_DONE.fullmatch(plain):
        return _ABSENT
    for pattern, rule in ((_CENSORED, "censored"), (_NOT_MEASURABLE, "not_measurable")):
        if pattern.fullmatch(plain):
            return Reading(rule=rule)
    return Reading(rule="not_a_number")


def _other_unit(value: float, item: str) -> bool:
    return any(low <= value <= high for low, high, _ in _SUSPECTED.get(item, ()))


def suspected_units(item: str) -> tuple[str, ...]:
    """Which other units would explain a value of this checkup column that is out of range?"""
    return tuple(unit for _, _, unit in _SUSPECTED.get(item, ()))


# --- dates ---------------------------------------------------------------------------------------------

_TIME = re.compile(r"(?<=\d)(?:T|\s+)\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?$")
_SERIAL = re.compile(r"\d{5}(?:\.0+)?", re.ASCII)


def date(text: str | None, *, serial: bool = False) -> tuple[dt.date | None, str | None]:
    """Which day is written here, from 1900 to next year? The day and the rule.

    All forms of `months.parse_date`, with or without a time of day. Five digits are an Excel serial number where they
    cannot be an era month (45566 is 2024-10-01; 43101 is also 平成31年1月), with `serial` always. Blank: neither.
    """
    plain = _TIME.sub("", "" if text is None else text.translate(_WIDTH).strip())
    if not plain:
        return None, None
    try:
        day = _serial_day(plain, serial) or months.parse_date(plain)
    except DateError:
        return None, "not_a_date"
    return (day, None) if 1900 <= day.year <= dt.date.today().year + 1 else (None, "not_a_date")


def _serial_day(plain: str, serial: bool) -> dt.date | None:
    if not _SERIAL.fullmatch(plain) or not (serial or "." in plain or not _is_month(plain)):
        return None
    return months.from_excel_serial(float(plain))


def _is_month(plain: str) -> bool:
    try:
        months.parse_month(plain)
    except DateError:
        return False
    return True


# --- headers -------------------------------------------------------------------------------------------

_HYPHENS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"))
_ITEM_CODE = re.compile(r"[0-9][A-Z][0-9]{15}")


def header(cell: object) -> str:
    """How is a column header compared? NFKC, one kind of hyphen, no spaces or line breaks, no capitals."""
    plain = unicodedata.normalize("NFKC", "" if cell is None else str(cell)).translate(_HYPHENS)
    return re.sub(r"\s+", "", plain).casefold()


def item_code(cell: str) -> str | None:
    """Which item code (17-digit JLAC10, any width, with spaces, behind #) is this header? None for any other."""
    plain = header(cell).lstrip("#").upper()
    return plain if _ITEM_CODE.fullmatch(plain) else None


# --- people --------------------------------------------------------------------------------------------

_SEXES = {
    **dict.fromkeys(("1", "01", "男", "男性", "M", "MALE"), "M"),
    **dict.fromkeys(("2", "02", "女", "女性", "F", "FEMALE"), "F"),
}
_EXPONENT = re.compile(r"[0-9]\.([0-9]+)E\+?0*([0-9]+)")


def sex(text: str | None) -> str | None:
    """Which sex (M, F) is written here, as 1, 男, M or with full-width letters? Null for anything else."""
    return None if text is None else _SEXES.get(text.translate(_WIDTH).strip().upper())


def insurer_number(text: str | None) -> tuple[str | None, bool]:
    """Which 保険者番号 is meant, and had its digits to be restored?

    Eight digits; six for 国保, also where padded with spaces or zeros. Lost leading zeros (1240019), a decimal point
    (1240019.0) and Excel's exponent (1.240019E+06, all digits shown) are undone. Null unless the check digit is right
    (検証番号, 「保険者番号等の設定について」 of 1976).
    """
    plain = "" if text is None else "".join(text.translate(_WIDTH).split()).upper()
    digits = _whole(plain)
    length = {5: 6, 6: 6, 7: 8, 8: 8}.get(len(digits))
    if length is None or digits.strip("0") == "" or not _checks(digits):
        return None, False
    full = digits.zfill(length)
    return full.removeprefix("00") if length == 8 else full, digits != plain or len(digits) != length


def _whole(plain: str) -> str:
    match = _EXPONENT.fullmatch(plain)
    if match and len(match[1]) == int(match[2]):
        plain = str(int(Decimal(plain)))
    plain = re.sub(r"\.0+$", "", plain)
    return plain if plain.isascii() and plain.isdigit() else ""


def _checks(digits: str) -> bool:
    """Weights 2, 1, 2, 1 … from the right before the check digit; the digits of the products are summed."""
    products = (int(digit) * (2 - at % 2) for at, digit in enumerate(reversed(digits[:-1])))
    return -sum(product // 10 + product % 10 for product in products) % 10 == int(digits[-1])
