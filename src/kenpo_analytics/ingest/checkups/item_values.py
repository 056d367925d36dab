"""What does one cell of a checkup say? Texts of one item become numbers or answers, or the rule they fail under.

The items read, their units, input ranges (入力範囲) and answer codes are data: `definitions/codes/checkup_*.csv`.
"""

from __future__ import annotations

import csv
import datetime as dt
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import polars as pl

from kenpo_analytics.definitions.registry import FOLDER
from kenpo_analytics.ingest.values import columns, text
from kenpo_analytics.tables import TABLES

ANSWERS = ("no", "yes", "past", "fasting", "casual", "post_meal")
"""Every answer a checkup column can hold; in a read cell it stands as its position here."""
_LONGEST = 80  # characters of a cell that can still be an answer or a unit


@dataclass(frozen=True)
class Item:
    """One 17-digit JLAC10 code: what it measures, into which column it goes, and its input range [low, high]."""

    code: str
    key: str
    name: str
    column: str
    is_number: bool
    unit: str
    low: float | None
    high: float | None


@dataclass(frozen=True)
class AnswerList:
    """One list of answer codes (コード表) of an item; where no code system is stated it holds from `first` to `last`.

    Without a `system` it holds words, which are understood everywhere.
    """

    system: str
    first: dt.date
    last: dt.date
    answers: dict[str, int]


@cache
def items() -> dict[str, Item]:
    """Which items are read? By code, in the order in which the methods of one item are preferred.

    Where the official table gives no input range, the range of the checkup's column holds.
    """
    ranges = {column.name: column for column in TABLES["checkups"].columns}
    found = {}
    for row in _rows("items"):
        column = ranges[row["column"]]
        low, high = (float(row[name]) if row[name] else getattr(column, name) for name in ("low", "high"))
        code, is_number = row["code"], row["type"] == "number"
        found[code] = Item(code, row["key"], row["name"], row["column"], is_number, row["unit"], low, high)
    return found


@cache
def answer_lists() -> dict[str, list[AnswerList]]:
    """Which answer codes has each item (by key)? The newest list first, the words last."""
    found: dict[tuple[str, str, str, str], dict[str, int]] = defaultdict(dict)
    for row in _rows("answers"):
        answers = found[row["key"], row["code_system"], row["first_day"], row["last_day"]]
        answers |= {normal_answer(said): ANSWERS.index(row["value"]) for said in (row["code"], row["label"])}
    lists: dict[str, list[AnswerList]] = defaultdict(list)
    for (key, system, first, last), answers in found.items():
        days = dt.date.fromisoformat(first or "1900-01-01"), dt.date.fromisoformat(last or "9999-12-31")
        lists[key].append(AnswerList(system, *days, answers))
    return dict(lists)


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (FOLDER / "codes" / f"checkup_{name}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def normal_unit(unit: str) -> str:
    """How are units compared? UCUM and display forms are one: mm[Hg] and mmHg, mg/dl and mg/dL, IU/L and U/L."""
    plain = re.sub(r"[\s\[\]{}_^*]", "", unicodedata.normalize("NFKC", unit[:_LONGEST])).lower()
    return {"iu/l": "u/l", "u/": "u/l", "iu/i": "u/l"}.get(plain, plain)


def normal_answer(said: str) -> str:
    """How are answers compared? NFKC, capitals, no spaces and stops; a code as a plain integer (01 and 1.0 are 1)."""
    plain = re.sub(r"[\s、。,・]", "", unicodedata.normalize("NFKC", said[:_LONGEST])).upper()
    match = re.fullmatch(r"([0-9]{1,3})(?:\.0+)?", plain)
    return str(int(match[1])) if match else plain


def read_cells(item: Item, cells: pl.DataFrame) -> pl.DataFrame:
    """What does each cell of one item say? `cells` with `number` (Float64; null) and `rule` (why it is refused; null).

    Parameters
    ----------
    cells
        value, unit, code_system (String, null), state (value, not_done, not_measurable, below, above), day (Date).
    """
    number, rule = _numbers(item, cells) if item.is_number else _answers(item, cells)
    state, rule_of = pl.col("state"), pl.lit(rule)
    read = cells.with_columns(
        rule=pl.when(state == "not_done").then(None)
        .when(state == "not_measurable").then(pl.lit("not_measurable"))
        .when(state.is_in(["below", "above"])).then(pl.lit("censored"))
        .otherwise(rule_of)
    )  # fmt: skip
    return read.with_columns(number=pl.when(pl.col("rule").is_null(), state == "value").then(pl.lit(number)))


def _numbers(item: Item, cells: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    numbers, rules = columns.figures(item.low, item.high, item.column)(cells["value"])
    stated = cells["unit"].unique().drop_nulls()
    wrong = [unit for unit in stated if normal_unit(unit) not in ("", normal_unit(item.unit))]
    if wrong:
        other = cells["unit"].is_in(wrong).fill_null(False) & (
            numbers.is_not_null() | (rules == "range").fill_null(False)
        )
        rules = rules.set(other, "unit_suspected")
    return numbers, rules


def _answers(item: Item, cells: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """The stated code system decides which list is meant; where none is stated, the checkup day does."""
    system = pl.col("code_system").str.strip_chars().str.strip_prefix("urn:oid:").fill_null("")
    codes, rules = (columns.distinct(cells["value"], read) for read in (normal_answer, _why_no_answer))
    choices = []
    for one in answer_lists()[item.key]:
        in_force = (system == "") & pl.col("day").is_between(one.first, one.last)
        said = codes.replace_strict(one.answers, default=None, return_dtype=pl.Float64)
        choices.append(pl.when((system == one.system) | in_force | (one.system == "")).then(pl.lit(said)))
    numbers = cells.select(pl.coalesce(choices)).to_series()
    return numbers, rules.set(numbers.is_not_null(), None)


def _why_no_answer(said: str) -> str | None:
    """The rule of a text that is no known answer: blank and 未実施 are no answer at all."""
    reading = text.number(said[:_LONGEST])
    return reading.rule if reading == text.Reading() or reading.rule == "not_measurable" else "unknown_code"
