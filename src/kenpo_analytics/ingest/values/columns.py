"""What does a column of texts say? One reader a kind of column: texts become values, or the rule they fail under.

What Excel leaves behind is undone where nothing was lost (a whole number's ".0") and refused where digits were.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from kenpo_analytics import months
from kenpo_analytics.errors import DateError
from kenpo_analytics.ingest.values import text

Read = Callable[[pl.Series], tuple[pl.Series, pl.Series]]
"""Texts → values and rules; both null where nothing is said."""
Reading = tuple[Any, str | None]
OPEN_END = re.compile(r"9999[-/.年]?(?:12|99)[-/.月]?(?:31|99)日?|0[0/.-]*")
"""How lists write "no end yet" in a date column, besides leaving it blank."""
_EXPONENT = r"^[0-9](?:\.[0-9]+)?[Ee]\+[0-9]+$"
_FIRST_MONTH = 200001


def plain(raw: str) -> str:
    """How is a word compared? NFKC, trimmed; a whole number without its ".0"."""
    found = unicodedata.normalize("NFKC", raw).strip()
    return re.sub(r"^([0-9]+)\.0+$", r"\1", found)


def distinct(texts: pl.Series, read: Callable[[str], Any], dtype: Any = pl.String) -> pl.Series:
    """What a function makes of each text, asked once per distinct text; null stays null."""
    known = texts.unique().drop_nulls()
    made = pl.Series([read(one) for one in known], dtype=dtype)
    return texts.replace_strict(known, made, default=None, return_dtype=dtype)


def each(reading: Callable[[str], Reading], dtype: Any) -> Read:
    """A reader from a function of one text, asked once per distinct text."""

    def read(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
        readings = {one: reading(one) for one in texts.unique().drop_nulls()}
        values = distinct(texts, lambda one: readings[one][0], dtype)
        return values, distinct(texts, lambda one: readings[one][1])

    return read


def names(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Names and addresses as delivered, trimmed."""
    return _filled(texts.str.strip_chars()), _no_rules(texts)


def words(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Texts in NFKC, trimmed; whole numbers without the ".0" that software added."""
    return _filled(_plain(texts)), _no_rules(texts)


def numbers_as_text(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Ids (記号, 番号, 検索番号 …) as `words`; an exponent means lost digits: "mangled_number"."""
    found = _filled(_plain(texts))
    lost = found.str.contains(_EXPONENT).fill_null(False)
    return _unless(lost, found), rule_where(lost, "mangled_number")


def branch_numbers(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """枝番 of one or two digits, as two."""
    found = _filled(_plain(texts))
    wrong = ~found.str.contains(r"^[0-9]{1,2}$").fill_null(True)
    return _unless(wrong, found.str.zfill(2)), rule_where(wrong, "branch_number")


def _one_insurer(raw: str) -> Reading:
    number, _ = text.insurer_number(raw)
    return (None, None) if not plain(raw) else (number, None if number else "insurer_number")


def _one_sex(raw: str) -> Reading:
    found = text.sex(plain(raw))
    return (found, None) if found or not plain(raw) else (None, "unknown_word")


def _one_month(raw: str) -> Reading:
    if not plain(raw):
        return None, None
    try:
        month = months.parse_month(plain(raw))
    except DateError:
        day, _ = text.date(plain(raw))
        month = 0 if day is None else day.year * 100 + day.month
    latest = (dt.date.today().year + 1) * 100 + 12
    return (month, None) if _FIRST_MONTH <= month <= latest else (None, "not_a_month")


def _one_fiscal_year(raw: str) -> Reading:
    if not plain(raw):
        return None, None
    try:
        year = months.parse_fiscal_year(plain(raw))
    except DateError:
        return None, "not_a_year"
    return (year, None) if 2000 <= year <= dt.date.today().year + 1 else (None, "not_a_year")


def _one_institution(raw: str) -> Reading:
    found = plain(raw)
    return (found, None) if re.fullmatch(r"[0-9]{10}", found) else (None, "institution" if found else None)


insurers = each(_one_insurer, pl.String)
"""保険者番号 whose check digit is right."""
institutions = each(_one_institution, pl.String)
"""健診機関番号 of ten digits."""
sexes = each(_one_sex, pl.String)
"""M or F."""
month_numbers = each(_one_month, pl.Int32)
"""Months YYYYMM from months or days in any form."""
fiscal_years = each(_one_fiscal_year, pl.Int64)
"""Fiscal years (年度)."""


def one_of(meanings: Mapping[str, Any], dtype: Any = pl.String) -> Read:
    """The value of a known word; words are compared in NFKC, without spaces and capitals."""
    known = {_word(word): value for word, value in meanings.items()}

    def one(raw: str) -> Reading:
        word = _word(raw)
        return (known[word], None) if word in known else (None, "unknown_word" if word else None)

    return each(one, dtype)


def _word(raw: str) -> str:
    return re.sub(r"\s+", "", plain(raw)).casefold()


def figures(low: float | None = None, high: float | None = None, item: str = "") -> Read:
    """Numbers within [low, high], as `text.number` reads them."""
    return each(lambda raw: text.number(raw, low, high, item), pl.Float64)


def days(form: str | None = None, *, serial: bool = False, may_be_open: bool = False) -> Read:
    """Days in any usual form, or in one strptime `form`; five digits are a serial number in Excel files."""

    def one(raw: str) -> Reading:
        found = plain(raw)
        if not found or (may_be_open and OPEN_END.fullmatch(found.split(" ")[0])):
            return None, None
        if form is None:
            return text.date(found, serial=serial)
        try:
            day = dt.datetime.strptime(found, form).date()
        except ValueError:
            return None, "not_a_date"
        return (day, None) if _plausible(day) else (None, "not_a_date")

    def read(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
        quick = _usual_days(texts) if form is None else pl.Series([None] * len(texts), dtype=pl.Date)
        rest, rules = each(one, pl.Date)(_unless(quick.is_not_null(), texts))
        return pl.select(pl.coalesce(quick, rest)).to_series(), rules

    return read


def _plausible(day: dt.date) -> bool:
    return 1900 <= day.year <= dt.date.today().year + 1


def _usual_days(texts: pl.Series) -> pl.Series:
    """The days of 19700401, 1970/4/1 and 1970-04-01 [00:00:00]; null for all that has to be looked at one by one."""
    parts = texts.str.extract_groups(r"^(\d{4})(?:/(\d{1,2})/|-(\d\d)-|(\d\d))(\d{1,2})(?: 00:00:00)?$").struct.unnest()
    year, slash, dash, none, day = (parts[name] for name in parts.columns)
    month = pl.select(pl.coalesce(slash, dash, none)).to_series()
    whole = (none.is_null() & dash.is_null()) | (day.str.len_bytes() == 2)
    iso = year + "-" + month.str.zfill(2) + "-" + day.str.zfill(2)
    found = iso.str.to_date("%Y-%m-%d", strict=False)
    usual = whole & found.dt.year().is_between(1900, dt.date.today().year + 1)
    return _unless(~usual.fill_null(False), found)


def month_of(day: str | pl.Expr) -> pl.Expr:
    """The month YYYYMM of a day."""
    at = pl.col(day) if isinstance(day, str) else day
    return at.dt.year() * 100 + at.dt.month().cast(pl.Int32)


def restored(insurers: pl.Series) -> pl.Series:
    """Which is the first 保険者番号 whose lost digits had to be restored? True there alone: it is told once."""
    found = distinct(insurers, lambda raw: text.insurer_number(raw)[1], pl.Boolean).fill_null(False)
    return found & (found.cum_sum() == 1)


def rule_where(where: pl.Series, rule: str) -> pl.Series:
    """This rule where true, else null."""
    return pl.select(pl.when(where).then(pl.lit(rule))).to_series()


def _plain(texts: pl.Series) -> pl.Series:
    found = texts.str.normalize("NFKC").str.strip_chars()
    return found.str.replace(r"^([0-9]+)\.0+$", "$1")


def _filled(texts: pl.Series) -> pl.Series:
    return _unless((texts == "").fill_null(True), texts)


def _unless(where: pl.Series, values: pl.Series) -> pl.Series:
    return pl.select(pl.when(~where).then(values)).to_series()


def _no_rules(texts: pl.Series) -> pl.Series:
    return pl.Series([None], dtype=pl.String).new_from_index(0, len(texts))
