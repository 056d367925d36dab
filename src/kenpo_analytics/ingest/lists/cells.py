"""What do a list's cells say? Columns of text, by the keys of a mapping, become typed columns; each refusal is kept.

Texts are read once per distinct value. Several columns of one key are alternatives: the first filled one counts, a
later one that says something else is a "conflict".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from kenpo_analytics.ingest.lists.mapping_toml import Field
from kenpo_analytics.ingest.records import rejections
from kenpo_analytics.ingest.values.columns import Read, days, distinct, one_of, plain, rule_where

_UNLISTED = "\ufffd"
_REFUSED = {"record": pl.UInt32, "rule": pl.String, "level": pl.String, "item": pl.String}


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

    def refuse(self, key: str, rules: pl.Series, *, row: bool = False) -> None:
        """Note the records that have a rule here: their value, or with `row` the whole record, is refused."""
        at = rules.is_not_null().arg_true()
        level = pl.lit("row" if row else None, pl.String)
        made = pl.DataFrame({"record": at, "rule": rules.gather(at)}, schema={"record": pl.UInt32, "rule": pl.String})
        self._refused.append(made.with_columns(level=level, item=pl.lit(key)))

    def refuse_where(self, key: str, where: pl.Series, rule: str, *, row: bool = True) -> None:
        """Note the records of which this is true under one rule."""
        self.refuse(key, rule_where(where, rule), row=row)

    def rule_of(self, key: str) -> str | None:
        """Under which rule was a text of this key refused first? None where none was."""
        return next((rule for noted in self._refused for rule in noted.filter(item=key)["rule"]), None)

    def rejected(self, institution: pl.Series | None, month: pl.Series | None) -> tuple[pl.Series, pl.DataFrame]:
        """Which records are kept, and what was refused? A refused record is listed once, for its first reason."""
        noted = pl.concat([pl.DataFrame(schema=_REFUSED), *self._refused])
        rows = noted.filter(level="row").unique("record", keep="first", maintain_order=True)
        both = pl.concat([rows, noted.filter(pl.col("level").is_null()).join(rows, on="record", how="anti")])
        at = both["record"]
        frame = both.with_columns(
            line=self.line.gather(at),
            institution=pl.lit(None, pl.String) if institution is None else institution.gather(at),
            month=pl.lit(None, pl.Int32) if month is None else month.gather(at),
        )
        kept = ~pl.int_range(self.height, eager=True).is_in(rows["record"].implode())
        return kept, rejections(frame, entry=self.entry).sort("line", maintain_order=True)


def coded(texts: pl.Series, meaning: Field, *, strict: bool = False) -> pl.Series:
    """Which texts does the mapping's code set make of these? Codes are compared in NFKC.

    A text outside the set stays as it is; with `strict` it becomes one that no reader knows, unless blank.
    """
    if not meaning.codes:
        return texts
    return distinct(texts, lambda raw: meaning.codes.get(plain(raw), _UNLISTED if strict and plain(raw) else raw))
