"""What does this text say? Numbers, dates, sexes and 保険者番号 as files write them; `decode` for a file's lines.

Nothing is guessed: a text either has one meaning, or it has a rule under which it is rejected (`REASONS`).
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from decimal import Decimal
from typing import Any, NamedTuple

import polars as pl

from kenpo_analytics import months
from kenpo_analytics.errors import DateError
from kenpo_analytics.ingest.files.lines import Lines, decode

REASONS = {
    "encoding": "文字として読めないバイトがあります。",
    "unreadable": "ファイルを読めません。",
    "range": "入力範囲の外の値です。",
    "unit_suspected": "別の単位の値の疑いがあります。",
    "censored": "測定できる範囲の外(H、L、未満、以上など)で、数値がありません。",
    "not_measurable": "測定不能です。",
    "not_a_number": "数値として読めません。",
    "not_a_date": "日付として読めないか、ありえない日付です。",
    "unknown_code": "回答の符号が分かりません。",
    "conflict": "同じ項目の複数の欄に、異なる値があります。",
}
"""Rule → reason in Japanese, one sentence, without the value."""


__all__ = [
    "REASONS",
    "Lines",
    "Reading",
    "date",
    "decode",
    "insurer_number",
    "number",
    "read_dates",
    "read_numbers",
    "reason",
    "sex",
]

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
_STARS = re.compile(r"\*+")
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
    measurement: neither value nor rule. H, L, <3, 300以上 are "censored"; 測定不能 "not_measurable"; *** and numbers
    outside the input range "range", or "unit_suspected" where another unit explains them or is written. Exponents are
    "not_a_number": digits may be lost.

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
    for pattern, rule in ((_CENSORED, "censored"), (_NOT_MEASURABLE, "not_measurable"), (_STARS, "range")):
        if pattern.fullmatch(plain):
            return Reading(rule=rule)
    return Reading(rule="not_a_number")


def _other_unit(value: float, item: str) -> bool:
    return any(low <= value <= high for low, high, _ in _SUSPECTED.get(item, ()))


def reason(rule: str, item: str = "") -> str:
    """Why was a value rejected, in Japanese? For "unit_suspected" the units that would explain it are named."""
    if rule == "unit_suspected" and item in _SUSPECTED:
        return f"別の単位の値の疑いがあります({'、'.join(unit for _, _, unit in _SUSPECTED[item])})。"
    return REASONS[rule]


def read_numbers(
    texts: pl.Series, low: float | None = None, high: float | None = None, item: str = ""
) -> tuple[pl.Series, pl.Series]:
    """Which numbers are in a column? Float64 values and String rules as in `number`; a distinct text is read once."""
    texts = texts.cast(pl.String)
    readings = {text: number(text, low, high, item) for text in texts.unique().to_list()}
    return _spread(texts, readings, pl.Float64)


def _spread(texts: pl.Series, readings: dict[str | None, Any], dtype: Any) -> tuple[pl.Series, pl.Series]:
    known = pl.Series(list(readings), dtype=pl.String)
    columns = (
        pl.Series([reading[at] for reading in readings.values()], dtype=kind)
        for at, kind in ((0, dtype), (1, pl.String))
    )
    values, rules = (
        texts.replace_strict(known, column, return_dtype=column.dtype).cast(column.dtype) for column in columns
    )
    return values, rules


# --- dates ---------------------------------------------------------------------------------------------

_TIME = re.compile(r"(?<=\d)(?:T|\s+)\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?$")
_SERIAL = re.compile(r"\d{5}(?:\.0+)?", re.ASCII)


def date(
    text: str | None, *, serial: bool = False, first: int = 1900, last: int | None = None
) -> tuple[dt.date | None, str | None]:
    """Which day is written here, in the years `first` to `last` (default: next year)? The day and the rule.

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
    return (day, None) if first <= day.year <= (last or dt.date.today().year + 1) else (None, "not_a_date")


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


def read_dates(
    texts: pl.Series, *, serial: bool = False, first: int = 1900, last: int | None = None
) -> tuple[pl.Series, pl.Series]:
    """Which days are in a column? Date values and String rules as in `date`; a distinct text is read once."""
    texts = texts.cast(pl.String)
    readings = {text: date(text, serial=serial, first=first, last=last) for text in texts.unique().to_list()}
    return _spread(texts, readings, pl.Date)


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
