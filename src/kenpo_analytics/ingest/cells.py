"""What do a list's cells say? Columns of text, by the keys of a mapping, become typed columns; each refusal is kept.

Texts are read once per distinct value. Several columns of one key are alternatives: the first filled one counts, a
later one that says something else is a "conflict".
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
from kenpo_analytics.ingest import text
from kenpo_analytics.ingest.mapping_toml import Field
from kenpo_analytics.ingest.records import REJECTED

REASONS = {
    "missing": "必要な欄が空です。",
    "order": "終わりの日が始まりの日より後ではありません。",
    "mangled_number": "表計算ソフトで桁の失われた番号です(指数表示など)。",
    "insurer_number": "保険者番号の検証番号が合いません。",
    "insurer_repaired": "保険者番号の失われた先頭の0を、検証番号で確かめて補いました(このファイルで最初の行)。",
    "branch_number": "枝番が2桁の数字ではありません(番号と枝番の列が入れ替わっていないか確かめてください)。",
    "check_digit": "市区町村コードの検査数字が合いません。",
    "unknown_municipality": "市町村が分かりません。",
    "unknown_word": "この欄の語が分かりません。",
    "not_a_month": "年月として読めないか、ありえない年月です。",
    "jds": "2013年4月より前のHbA1cで、NGSP値かJDS値かが見出しから分かりません。",
}
OPEN_END = re.compile(r"(?:9999[-/.年]?(?:12|99)[-/.月]?(?:31|99)日?|0+)(?:[T ]0+:00(?::00)?)?")
"""How lists write "no end yet" in a date column, besides leaving it blank."""
_EXPONENT = re.compile(r"[0-9](?:\.[0-9]+)?E\+?[0-9]+", re.I)
_WHOLE = re.compile(r"([0-9]+)\.0+")

_UNLISTED = "\ufffd"
Reading = tuple[Any, str | None]
"""A text's value, or the rule it is refused under; (None, None) where nothing is said."""
Read = Callable[[str], Reading]


def plain(raw: str) -> str:
    """How is a word compared? NFKC, trimmed; a whole number without its ".0"."""
    found = unicodedata.normalize("NFKC", raw).strip()
    whole = _WHOLE.fullmatch(found)
    return whole[1] if whole else found


def as_text(raw: str) -> Reading:
    """A text as it is, trimmed; whole numbers without the ".0" that software added."""
    return plain(raw) or None, None


def as_number_text(raw: str) -> Reading:
    """A 記号, 番号 or 検索番号: the text; an exponent means that its digits are lost."""
    found = plain(raw)
    return (None, "mangled_number") if _EXPONENT.fullmatch(found) else (found or None, None)


def as_name(raw: str) -> Reading:
    """A name as delivered: the hash makes names comparable."""
    return raw.strip() or None, None


def as_insurer(raw: str) -> Reading:
    """A 保険者番号 whose check digit is right."""
    number, _ = text.insurer_number(raw)
    return (None, None) if not plain(raw) else (number, None if number else "insurer_number")


def as_branch_number(raw: str) -> Reading:
    """A 枝番: one or two digits, two in the result."""
    found = plain(raw)
    if not found:
        return None, None
    return (
        (found.zfill(2), None) if found.isascii() and found.isdigit() and len(found) <= 2 else (None, "branch_number")
    )


def as_sex(raw: str) -> Reading:
    """M or F."""
    found = text.sex(plain(raw))
    return (found, None) if found or not plain(raw) else (None, "unknown_word")


def as_month(raw: str) -> Reading:
    """A month YYYYMM from a month or a day in any form."""
    if not plain(raw):
        return None, None
    day, rule = text.date(plain(raw)) if "." in plain(raw) or ":" in raw else (None, "")
    if rule is None and day is not None:
        return day.year * 100 + day.month, None
    try:
        month = months.parse_month(plain(raw))
    except DateError:
        return None, "not_a_month"
    return (month, None) if 200001 <= month <= (dt.date.today().year + 1) * 100 + 12 else (None, "not_a_month")


def as_fiscal_year(raw: str) -> Reading:
    """A fiscal year (年度)."""
    if not plain(raw):
        return None, None
    try:
        return months.parse_fiscal_year(plain(raw)), None
    except DateError:
        return None, "not_a_date"


def as_word(words: Mapping[str, Any]) -> Read:
    """The value of a word of this list; words are compared in NFKC, without spaces and capitals."""
    known = {re.sub(r"\s+", "", plain(word)).casefold(): value for word, value in words.items()}

    def read(raw: str) -> Reading:
        word = re.sub(r"\s+", "", plain(raw)).casefold()
        return (known[word], None) if word in known else (None, "unknown_word" if word else None)

    return read


def as_number(item: str, low: float | None, high: float | None) -> Read:
    """A number within [low, high], as `text.number`."""

    def read(raw: str) -> Reading:
        found = text.number(raw, low, high, item)
        return found.value, found.rule

    return read


def as_date(form: str | None = None, *, serial: bool = False, may_be_open: bool = False) -> Read:
    """A day in any usual form, or in one strptime `form`; five digits are a serial number in Excel files."""

    def read(raw: str) -> Reading:
        found = plain(raw)
        if not found or (may_be_open and OPEN_END.fullmatch(found)):
            return None, None
        if form is None:
            return text.date(found, serial=serial)
        try:
            day = dt.datetime.strptime(found, form).date()
        except ValueError:
            return None, "not_a_date"
        return (day, None) if 1900 <= day.year <= dt.date.today().year + 1 else (None, "not_a_date")

    return read


class Cells:
    """The records of one piece of a list, while they are read.

    Parameters
    ----------
    columns
        Key → its alternatives as (header, meaning, texts), in the mapping's order.
    defaults
        Key → text that stands where every alternative is blank.
    entry, line
        Sheet (null for CSV) and 1-based line of each record.
    serial
        Whether five digits in a date column are an Excel serial number.
    """

    def __init__(
        self,
        columns: Mapping[str, list[tuple[str, Field, pl.Series]]],
        defaults: Mapping[str, str],
        entry: str | None,
        line: pl.Series,
        *,
        serial: bool = False,
    ) -> None:
        self.columns, self.defaults, self.entry, self.line, self.serial = columns, defaults, entry, line, serial
        self._refused: list[pl.DataFrame] = []

    @property
    def height(self) -> int:
        """How many records are there?"""
        return len(self.line)

    def has(self, key: str) -> bool:
        """Is there a column or default for this key?"""
        return key in self.columns or key in self.defaults

    def read(self, key: str, reader: Read, dtype: Any, *, row: bool = False, strict: bool = False) -> pl.Series:
        """Which value has each record for this key? A refused cell is null and listed; `row` refuses its record too.

        `strict`: of a column with a code set, a text that is not in the set is refused.
        """
        return self._read(key, lambda _: reader, dtype, row=row, strict=strict)

    def word(self, key: str, words: Mapping[str, Any], dtype: Any = pl.String, *, row: bool = False) -> pl.Series:
        """Which of the meanings of these words has each record?"""
        return self.read(key, as_word(words), dtype, row=row, strict=True)

    def date(self, key: str, *, row: bool = False, may_be_open: bool = False) -> pl.Series:
        """Which day has each record for this key?"""
        return self._read(
            key, lambda meaning: as_date(meaning.date, serial=self.serial, may_be_open=may_be_open), pl.Date, row=row
        )

    def _read(
        self, key: str, reader: Callable[[Field], Read], dtype: Any, *, row: bool, strict: bool = False
    ) -> pl.Series:
        made = pl.Series(key, [None] * self.height, dtype=dtype)
        refused = pl.Series([None] * self.height, dtype=pl.String)
        for _, meaning, texts in self.columns.get(key, ()):
            values, rules = _convert(coded(texts, meaning, strict=strict), reader(meaning), dtype)
            differs = _rule(made.ne(values).fill_null(False), "conflict")
            made = pl.select(pl.coalesce(made, values)).to_series()
            refused = pl.select(pl.coalesce(refused, rules, differs)).to_series()
        if key in self.defaults:
            default, rule = reader(Field(key))(self.defaults[key])
            blank = made.is_null() & refused.is_null()
            made = pl.select(pl.when(blank).then(pl.lit(default, dtype=dtype)).otherwise(made)).to_series()
            refused = pl.select(pl.when(blank).then(pl.lit(rule, dtype=pl.String)).otherwise(refused)).to_series()
        self.refuse(key, refused, row=row)
        return made.alias(key)

    def refuse(self, key: str, rules: pl.Series, *, row: bool = False, reason: str | None = None) -> None:
        """Note the records that have a rule here: their value, or with `row` the whole record, is refused."""
        at = rules.is_not_null().arg_true()
        if len(at):
            rule = rules.gather(at)
            reasons = {name: reason or REASONS.get(name) or text.reason(name, key) for name in rule.unique()}
            made = pl.DataFrame({"record": at, "rule": rule, "reason": rule.replace_strict(reasons)})
            self._refused.append(
                made.select(
                    "record",
                    pl.lit("row" if row else "value").alias("level"),
                    pl.lit(key).alias("item"),
                    "rule",
                    "reason",
                )
            )

    def refuse_where(self, key: str, where: pl.Series, rule: str, *, row: bool = True) -> None:
        """Note the records of which this is true under one rule."""
        self.refuse(key, _rule(where, rule), row=row)

    def rejected(self, institution: pl.Series | None, month: pl.Series | None) -> tuple[pl.Series, pl.DataFrame]:
        """Which records are kept, and what was refused? A refused record is listed once, for its first reason."""
        if not self._refused:
            return pl.Series([True] * self.height, dtype=pl.Boolean), pl.DataFrame(schema=REJECTED)
        noted = pl.concat(self._refused)
        rows = noted.filter(level="row").unique("record", keep="first", maintain_order=True)
        values = noted.filter(level="value").join(rows, on="record", how="anti")
        both = pl.concat([rows, values])
        at = both["record"]
        frame = both.with_columns(
            pl.lit(self.entry, dtype=pl.String).alias("entry"),
            self.line.gather(at).alias("line"),
            (institution.gather(at) if institution is not None else pl.lit(None, dtype=pl.String)).alias("institution"),
            (month.gather(at) if month is not None else pl.lit(None, dtype=pl.Int32)).alias("month"),
        )
        kept = ~pl.int_range(self.height, eager=True).is_in(rows["record"].implode())
        return kept, frame.select(pl.col(name).cast(dtype) for name, dtype in REJECTED.items()).sort("line")


def coded(texts: pl.Series, meaning: Field, *, strict: bool = False) -> pl.Series:
    """Which texts does the mapping's code set make of these? Codes are compared in NFKC.

    A text outside the set stays as it is; with `strict` it becomes one that no reader knows, unless blank.
    """
    if not meaning.codes:
        return texts
    distinct = texts.unique().drop_nulls()
    made = [meaning.codes.get(plain(raw), _UNLISTED if strict and plain(raw) else raw) for raw in distinct]
    return texts.replace_strict(distinct, pl.Series(made, dtype=pl.String), default=None, return_dtype=pl.String)


def _rule(where: pl.Series, rule: str) -> pl.Series:
    return pl.select(pl.when(where).then(pl.lit(rule))).to_series()


def _convert(texts: pl.Series, read: Read, dtype: Any) -> tuple[pl.Series, pl.Series]:
    distinct = texts.unique().drop_nulls()
    readings = [read(raw) for raw in distinct]
    values, rules = (
        texts.replace_strict(
            distinct,
            pl.Series([reading[at] for reading in readings], dtype=kind),
            default=None,
            return_dtype=kind,
        )
        for at, kind in ((0, dtype), (1, pl.String))
    )
    return values, rules
