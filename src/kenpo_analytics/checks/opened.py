"""How is a frame opened to be checked, and how is a finding written down? Shared by all rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.checks.rules import RULES, State
from kenpo_analytics.errors import TableError
from kenpo_analytics.tables import Table

SCHEMA: dict[str, Any] = {
    "table": pl.String,
    "column": pl.String,
    "rule": pl.String,
    "level": pl.String,
    "state": pl.String,
    "rows": pl.Int64,
    "of": pl.Int64,
    "first_rows": pl.List(pl.Int64),
    "detail": pl.String,
}
ROW = "_row"
FIRST = 5
MOST = 0.5
"""Above this share of rows a warning is an error: odd people are few, so a rule that most rows break tells of the file
(another unit, a lost decimal point, ids of another extract), and every number made from it would be wrong."""
SYSTEMATIC = {
    "range": "半数を超えるため、単位や小数点の誤りとみなします",
    "orphan": "半数を超えるため、IDの付け方が違う表とみなします",
}
KINDS = {"int": "整数", "month": "整数(YYYYMM)", "float": "数値", "str": "文字", "bool": "真偽", "date": "日付"}


@dataclass(frozen=True)
class Opened:
    """A table as a plan: the columns that can be read, the types of those that cannot, are rows numbered."""

    table: Table
    lazy: nw.LazyFrame
    readable: tuple[str, ...]
    wrong: Mapping[str, str]
    numbered: bool

    def absent(self, name: str) -> bool:
        """Is the column not there at all?"""
        return name not in self.readable and name not in self.wrong


def open_frame(frame: Any, table: Table) -> Opened:
    """Which columns of a frame can be read as the table's, and do its rows have numbers (only eager frames do)?"""
    kind = frames.kind_of(frame)
    if kind == "pandas":
        read, wrong = _from_pandas(frame, table)
        return canonical(table, read.with_row_index(ROW, offset=1).lazy(), True, wrong)
    if kind == "polars":
        return canonical(table, frame.lazy().with_row_index(ROW, offset=1), True)
    return canonical(table, frame, False)


def _from_pandas(frame: Any, table: Table) -> tuple[pl.DataFrame, dict[str, str]]:
    """Read column by column: one that pandas holds as mixed objects is wrong alone, not the whole frame."""
    read: list[pl.DataFrame] = []
    wrong: dict[str, str] = {}
    for name in (name for name in table.names if name in frame.columns):
        try:
            read.append(pl.from_pandas(frames.whole_ids(frame[[name]], table), nan_to_null=True))
        except (TableError, TypeError, ValueError, pl.exceptions.PolarsError):
            wrong[name] = str(frame[name].dtype)
    return (pl.concat(read, how="horizontal") if read else pl.DataFrame()), wrong


def canonical(table: Table, native: Any, numbered: bool, wrong: Mapping[str, str] | None = None) -> Opened:
    """The columns that `frames.enter` would take, in canonical types; whole numbers held as floats stay floats."""
    lazy = nw.from_native(native)
    schema, columns, bad = lazy.collect_schema(), [], dict(wrong or {})
    for column in (column for column in table.columns if column.name in schema):
        dtype = schema[column.name]
        if column.kind in ("int", "month") and dtype.is_float() and not column.name.endswith("_id"):
            columns.append(nw.col(column.name).fill_nan(None))
            continue
        try:
            columns.append(frames.canonical(table, column.name, dtype))
        except TableError:
            bad[column.name] = _in_words(dtype)
    names = [column.name for column in table.columns if column.name in schema and column.name not in bad]
    kept = [ROW, *names] if numbered else names
    lazy = lazy.select(*kept).with_columns(*columns) if kept else lazy
    return Opened(table, lazy, tuple(names), bad, numbered)


def _in_words(dtype: Any) -> str:
    """A type as found, in words where we have them, and as the engine calls it."""
    words = {
        "整数": dtype.is_integer(),
        "小数": dtype.is_float(),
        "文字": dtype in (nw.String, nw.Categorical),
        "真偽": dtype == nw.Boolean,
        "日時": dtype == nw.Datetime,
        "日付": dtype == nw.Date,
    }
    known = next((word for word, fits in words.items() if fits), None)
    return f"{known}({dtype})" if known else str(dtype)


def why_not(opened: Opened, needs: tuple[str, ...]) -> State:
    """Why can a rule on these columns not be judged? An optional one is absent, or else one cannot be read."""
    required = {column.name for column in opened.table.columns if column.required}
    return "not_applicable" if any(opened.absent(n) and n not in required for n in needs) else "not_evaluated"


def first_rows(lazy: nw.LazyFrame | None) -> list[int] | None:
    """Which are the first numbers of these rows?"""
    return None if lazy is None else frames.collect(lazy.select(ROW).sort(ROW).head(FIRST))[ROW].to_list()


def length(lazy: nw.LazyFrame) -> int:
    """How many rows has a plan?"""
    return int(frames.collect(lazy.select(nw.len().alias("n"))).item())


def finding(
    table: str,
    column: str,
    rule: str,
    state: State,
    rows: int,
    of: int,
    first: list[int] | None = None,
    detail: str | None = None,
) -> dict[str, Any]:
    """One line of the report, its level from the rule; a warning that most rows deserve is an error."""
    level = RULES[rule][0]
    if rule in SYSTEMATIC and state == "fail" and int(rows) > MOST * int(of):
        level, detail = "error", SYSTEMATIC[rule]
    values = (table, column, rule, level, state, rows, of, first, detail)
    return dict(zip(SCHEMA, values, strict=True))
