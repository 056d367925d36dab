"""When is it? Fiscal years (年度), Japanese eras (和暦), month arithmetic and ages.

A month is the integer YYYYMM. Scalars come first; the expressions at the end do the same on any frame.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
import unicodedata
from dataclasses import dataclass

import narwhals as nw

from kenpo_analytics.errors import DateError


@dataclass(frozen=True)
class Era:
    """A Japanese era (元号): its letter and code in insurers' files, its name, first and last day."""

    letter: str
    code: str
    name: str
    first: dt.date
    last: dt.date


ERAS = (
    Era("M", "1", "明治", dt.date(1868, 1, 25), dt.date(1912, 7, 29)),
    Era("T", "2", "大正", dt.date(1912, 7, 30), dt.date(1926, 12, 24)),
    Era("S", "3", "昭和", dt.date(1926, 12, 25), dt.date(1989, 1, 7)),
    Era("H", "4", "平成", dt.date(1989, 1, 8), dt.date(2019, 4, 30)),
    Era("R", "5", "令和", dt.date(2019, 5, 1), dt.date.max),
)
_ERA_BY_SIGN = {sign: era for era in ERAS for sign in (era.letter, era.code, era.name)}

_ERA_TEXT = re.compile(
    r"(?P<era>[MTSHR]|明治|大正|昭和|平成|令和)(?P<y>\d{1,2}|元)(?:年|[./-])(?P<m>\d{1,2})(?:月|[./-]|$)"
    r"(?:(?P<d>\d{1,2})日?)?"
)
_ERA_DIGITS = re.compile(r"(?P<era>[1-5])(?P<y>\d{2})(?P<m>\d{2})(?P<d>\d{2})?")
_WEST_TEXT = re.compile(r"(?P<y>\d{4})(?:年|[./-])(?P<m>\d{1,2})(?:月|[./-]|$)(?:(?P<d>\d{1,2})日?)?")
_WEST_DIGITS = re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})?")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc", "-"))  # typed for a hyphen
_FIRST_YEAR, _LAST_YEAR = 1868, 2100
_FISCAL_YEAR = re.compile(r"(?P<west>\d{4})(?:年度?)?|(?P<era>[MTSHR]|明治|大正|昭和|平成|令和)(?P<y>\d{1,2}|元)年度?")


def parse_date(value: object) -> dt.date:
    """Which day is meant by a date as written in files?

    Takes 2024-10-01, 2024/10/1, 20241001, 令和6年10月1日, R6.10.1, R06.04.10, 5061001 (era code YYMMDD),
    full-width digits, any dash as a hyphen, and dates. Excel serials are numbers, not text: see `from_excel_serial`.

    Raises
    ------
    DateError
        Impossible or unreadable; the message quotes the value.
    """
    if isinstance(value, dt.date) and not _is_nat(value):
        return value.date() if isinstance(value, dt.datetime) else value
    match = _match(value)
    if match is None or match["d"] is None:
        raise _unreadable(value, "日付")
    day = _date(*_year_month(match, value), int(match["d"]), value)
    _check_era(match, day, day, value)
    return day


def parse_month(value: object) -> int:
    """Which month (YYYYMM) is meant by a month or a date as written in files?

    Takes 2024-10, 202410, 令和6年10月, R6.10, 50610 (era code YYMM), and every form of `parse_date`.

    Raises
    ------
    DateError
        Impossible or unreadable; the message quotes the value.
    """
    if isinstance(value, dt.date) and not _is_nat(value):
        return value.year * 100 + value.month
    match = _match(value)
    if match is None:
        raise _unreadable(value, "年月")
    year, month = _year_month(match, value)
    first, last = _date(year, month, int(match["d"] or 1), value), last_day(year * 100 + month)
    _check_era(match, first, first if match["d"] else last, value)
    return year * 100 + month


def parse_fiscal_year(value: object) -> int:
    """Which fiscal year (年度) is meant by 2024, 2024年度, 令和6年度 or R6年度?

    Years 1868 to 2100; in an era, those of which a day lies in it: 平成31年度 and 令和元年度 are both 2019.

    Raises
    ------
    DateError
        Impossible or unreadable; the message quotes the value.
    """
    match = None if isinstance(value, bool) else _FISCAL_YEAR.fullmatch(_normal(value))
    if match is None:
        raise _unreadable(value, "年度")
    era = None if match["west"] else _ERA_BY_SIGN[match["era"]]
    year = int(match["west"]) if era is None else era.first.year + _era_year(match["y"]) - 1
    if not _FIRST_YEAR <= year <= _LAST_YEAR or (era is not None and _era_year(match["y"]) == 0):
        hint = f"西暦は{_FIRST_YEAR}～{_LAST_YEAR}、和暦の年は1(元年)からです。"
        raise DateError(f"存在しない年度です: 「{value}」", hint=hint)
    if era is not None:
        _refuse_outside(era, dt.date(year, 4, 1), dt.date(year + 1, 3, 31), value)
    return year


def from_excel_serial(serial: float) -> dt.date:
    """Which day is an Excel serial number (1900 date system)? 45566 is 2024-10-01."""
    if isinstance(serial, bool) or not isinstance(serial, int | float) or not 61 <= serial < 2_958_466:
        raise DateError(f"Excelの日付シリアル値ではありません: 「{serial}」", hint="61以上の数値を渡してください。")
    return dt.date(1899, 12, 30) + dt.timedelta(days=int(serial))


def _is_nat(value: object) -> bool:
    """pandas' NaT passes for a datetime, with nan for a year; it alone does not equal itself."""
    return value != value


def _normal(value: object) -> str:
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", str(value)).translate(_DASHES)).upper()


def _match(value: object) -> re.Match[str] | None:
    text = _normal(value)
    if isinstance(value, bool | float) or value is None:
        return None
    for pattern, lengths in ((_ERA_DIGITS, (5, 7)), (_WEST_DIGITS, (6, 8))):
        if text.isdecimal():
            if len(text) in lengths:
                return pattern.fullmatch(text)
        elif match := (_ERA_TEXT.fullmatch(text) or _WEST_TEXT.fullmatch(text)):
            return match
    return None


def _era_year(text: str) -> int:
    return 1 if text == "元" else int(text)


def _year_month(match: re.Match[str], value: object) -> tuple[int, int]:
    month = int(match["m"])
    sign = match.groupdict().get("era")
    year = int(match["y"]) if sign is None else _ERA_BY_SIGN[sign].first.year + _era_year(match["y"]) - 1
    if not 1 <= month <= 12 or (sign is not None and _era_year(match["y"]) == 0):
        raise DateError(f"存在しない日付です: 「{value}」", hint="月は1～12、和暦の年は1(元年)からです。")
    return year, month


def _date(year: int, month: int, day: int, value: object) -> dt.date:
    try:
        return dt.date(year, month, day)
    except ValueError:
        raise DateError(f"存在しない日付です: 「{value}」", hint="年月日を確かめてください。") from None


def _check_era(match: re.Match[str], first: dt.date, last: dt.date, value: object) -> None:
    """Refuse a day, or a month from `first` to `last`, no day of which lies in the era it is written in."""
    sign = match.groupdict().get("era")
    if sign is not None:
        _refuse_outside(_ERA_BY_SIGN[sign], first, last, value)


def _refuse_outside(era: Era, first: dt.date, last: dt.date, value: object) -> None:
    if last < era.first or first > era.last:
        until = "現在" if era.letter == "R" else era.last
        raise DateError(f"{era.name}にない日付です: 「{value}」", hint=f"{era.name}は{era.first}から{until}までです。")


def _unreadable(value: object, what: str) -> DateError:
    return DateError(f"{what}として読めません: 「{value}」", hint="例: 2024-10、令和6年10月、R6.10.1、5061001")


# --- arithmetic on YYYYMM ------------------------------------------------------------------------------


def month_index(month: int) -> int:
    """How many months since year 0 is YYYYMM? Differences of indices are months."""
    year, number = divmod(month, 100)
    if not 1 <= number <= 12:
        raise _no_month(month)
    return year * 12 + number - 1


def _no_month(month: int) -> DateError:
    return DateError(f"存在しない月です: 「{month}」", hint="YYYYMMの整数で渡してください。例: 202410")


def from_month_index(index: int) -> int:
    """Which YYYYMM has this month index?"""
    return index // 12 * 100 + index % 12 + 1


def add_months(month: int, months: int) -> int:
    """Which month lies `months` later (or earlier)?"""
    return from_month_index(month_index(month) + months)


def months_between(earlier: int, later: int) -> int:
    """How many months lie from `earlier` to `later`?"""
    return month_index(later) - month_index(earlier)


def month_range(first: int, last: int) -> list[int]:
    """Which months lie from `first` to `last`, both included?"""
    return [from_month_index(index) for index in range(month_index(first), month_index(last) + 1)]


def fiscal_year_of(month: int) -> int:
    """In which fiscal year does the month YYYYMM lie?"""
    return month_index(month) // 12 - (month % 100 < 4)


def fiscal_months(fiscal_year: int) -> list[int]:
    """Which twelve months make the fiscal year (April to March)?"""
    return month_range(fiscal_year * 100 + 4, (fiscal_year + 1) * 100 + 3)


def last_day(month: int) -> dt.date:
    """Which day is the last of the month?"""
    year, number = divmod(month, 100)
    if not (dt.MINYEAR <= year <= dt.MAXYEAR and 1 <= number <= 12):
        raise _no_month(month)
    return dt.date(year, number, calendar.monthrange(year, number)[1])


def this_month() -> int:
    """Which month is it today?"""
    today = dt.date.today()
    return today.year * 100 + today.month


def format_month(month: int) -> str:
    """How is YYYYMM written in parameters? 202410 is "2024-10"."""
    month_index(month)
    return f"{month // 100:04d}-{month % 100:02d}"


def wareki(month: int) -> str:
    """How is YYYYMM written in a report? 202410 is 令和6年10月."""
    day = last_day(month)
    era = next((era for era in reversed(ERAS) if era.first <= day), None)
    if era is None:
        raise DateError(f"和暦にできない月です: 「{month}」", hint="明治元年(1868年1月)からです。")
    year = day.year - era.first.year + 1
    return f"{era.name}{'元' if year == 1 else year}年{month % 100}月"


def fiscal_year_ja(fiscal_year: int) -> str:
    """How is a fiscal year written in a report? 2024 is 令和6年度 (an era year changes with the year's April)."""
    if fiscal_year == 2019:
        return "令和元年度"  # began in 平成31 April; the state and 協会けんぽ write 令和元年度
    return wareki(fiscal_year * 100 + 4).split("年")[0] + "年度"


# --- ages ----------------------------------------------------------------------------------------------


def fy_age_base(birth: dt.date) -> int:
    """Which number, taken from a fiscal year, gives the age at its end (年度末年齢)?

    An age is attained on the day before the birthday (年齢計算ニ関スル法律; 民法143条), so someone born on 1 April
    attains it on 31 March, still inside the fiscal year.
    """
    return birth.year - ((birth.month, birth.day) <= (4, 1))


# --- the same on frames: narwhals expressions, integer arithmetic only, equal on every engine ----------


def i32(expression: nw.Expr) -> nw.Expr:
    """Cast to Int32: engines differ in the integer type of date parts and booleans."""
    return expression.cast(nw.Int32)


def month_of(date: nw.Expr) -> nw.Expr:
    """YYYYMM of a date column."""
    return i32(date.dt.year()) * 100 + i32(date.dt.month())


def index_of(month: nw.Expr) -> nw.Expr:
    """Month index of a YYYYMM column."""
    year = (month - month % 100) // 100
    return i32(year * 12 + month % 100 - 1)


def index_of_date(date: nw.Expr) -> nw.Expr:
    """Month index of a date column."""
    return i32(date.dt.year()) * 12 + i32(date.dt.month()) - 1


def fiscal_year_of_date(date: nw.Expr) -> nw.Expr:
    """Fiscal year of a date column."""
    return i32(date.dt.year()) - i32(date.dt.month() < 4)


def day_number(date: nw.Expr) -> nw.Expr:
    """Days since 1970-01-01 of a date column (Howard Hinnant, days_from_civil)."""
    year, month, day = i32(date.dt.year()), i32(date.dt.month()), i32(date.dt.day())
    year = year - i32(month <= 2)
    month = (month + 9) % 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719469
