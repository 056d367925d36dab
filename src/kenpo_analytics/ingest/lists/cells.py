"""What do a list's cells say? Columns of text, by the keys of a mapping, become typed columns; each refusal is kept.

Texts are read once per distinct value. Several columns of one key are alternatives: the first filled one counts, a
later one that says something else is a "conflict".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from kenpo_analytics.ingest.lists.mapping_toml import Field
from kenpo_analytics.ingest.records import REJECTED
from kenpo_analytics.ingest.values import text
from kenpo_analytics.ingest.values.columns import Read, days, one_of, plain, rule_where

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
    "not_a_year": "年度として読めません。",
    "not_a_month": "年月として読めないか、ありえない年月です。",
    "jds": "2013年4月より前のHbA1cで、NGSP値かJDS値かが見出しから分かりません。",
}
_UNLISTED = "\ufffd"


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

    def read(self, key: str, reader: Read, *, row: bool = False, strict: bool = False) -> pl.Series:
        """Which value has each record for this key? A refused cell is null and listed; `row` refuses its record too.

        `strict`: of a column with a code set, a text that is not in the set is refused.
        """
        return self._read(key, lambda _: reader, row=row, strict=strict)

    def word(self, key: str, meanings: Mapping[str, Any], dtype: Any = pl.String, *, row: bool = False) -> pl.Series:
        """Which of the meanings of these words has each record?"""
        return self.read(key, one_of(meanings, dtype), row=row, strict=True)

    def date(self, key: str, *, row: bool = False, may_be_open: bool = False) -> pl.Series:
        """Which day has each record for this key?"""
        return self._read(key, lambda field: days(field.date, serial=self.serial, may_be_open=may_be_open), row=row)

    def _read(self, key: str, reader: Callable[[Field], Read], *, row: bool, strict: bool = False) -> pl.Series:
        blank = pl.Series([None], dtype=pl.String).new_from_index(0, self.height)
        made, refused = reader(Field(key))(blank)
        for _, meaning, texts in self.columns.get(key, ()):
            values, rules = reader(meaning)(coded(texts, meaning, strict=strict))
            differs = rule_where(made.ne(values).fill_null(False), "conflict")
            made = pl.select(pl.coalesce(made, values)).to_series()
            refused = pl.select(pl.coalesce(refused, rules, differs)).to_series()
        if key in self.defaults:
            constant = pl.Series([self.defaults[key]], dtype=pl.String)
            value, rule = (one.new_from_index(0, self.height) for one in reader(Field(key))(constant))
            empty = made.is_null() & refused.is_null()
            made = pl.select(pl.when(empty).then(value).otherwise(made)).to_series()
            refused = pl.select(pl.when(empty).then(rule).otherwise(refused)).to_series()
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
        self.refuse(key, rule_where(where, rule), row=row)

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
