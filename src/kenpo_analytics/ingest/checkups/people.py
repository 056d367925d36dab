"""Whose checkup is this row, of which day and kind? The texts around the measurements of a checkup CSV, judged.

What a record cannot be without is judged first: a row without a possible exam date, birth date or sex is rejected.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from kenpo_analytics.ingest.lists import cells
from kenpo_analytics.ingest.records import IDENTITY, REJECTED, TRACE
from kenpo_analytics.ingest.values import columns as cell_values
from kenpo_analytics.ingest.values import text

KEYS = (
    "insurer",
    "symbol",
    "number",
    "branch_number",
    "kana",
    "birth",
    "sex",
    "day",
    "institution",
    "report",
    "programme",
)
"""What a row may say besides its measurements; a key that a layout does not have is null."""
OF_CHECKUP = {"checkup_date": pl.Date, "received_month": pl.Int32, "institution": pl.String, "kind": pl.String,
              "action": pl.String}  # fmt: skip
_FIRST_DAY = dt.date(2008, 4, 1)  # 高齢者の医療の確保に関する法律: 特定健診 began
_FIRST_BIRTH = dt.date(1900, 1, 1)
_DELETIONS = ("19", "49")
_REASONS = {
    **text.REASONS,
    **cells.REASONS,
    "missing": "必要な欄が空です。",
    "kind": "報告区分とプログラム種別から健診の種類が決まりません。",
    "institution": "健診機関番号が10桁の数字ではありません。",
}
_LABELS = {"day": "健診実施日", "birth": "生年月日", "sex": "性別", "kind": "健診の種類", "insurer": "保険者番号"}
_ITEMS = {"day": "checkup_date"}


class People(NamedTuple):
    """`header` has one row for each row that is a record, `fit` says which rows are; the others are in `rejected`."""

    header: pl.DataFrame
    fit: pl.Series
    rejected: pl.DataFrame


def read_people(raw: pl.DataFrame, *, has_sex: bool = True) -> People:
    """Who was examined when? `raw` has the String columns `KEYS`, `line` and `filed` (Int32, null).

    Exam days from 2008-04-01 to today; birth dates from 1900 to the exam. `kind`: 報告区分 41 or プログラム種別 030 is
    事業者健診; 報告区分 40/49 under a 協会けんぽ number (01…) is 生活習慣病予防健診 (仮定); 10/19, or neither given, is
    特定健診. 報告区分 19 and 49 take the record back. 保険者番号 lost digits are restored by the check digit.
    """
    read = {key: reader(raw[key]) for key, reader in _READERS.items()}
    frame = raw.select("line", "filed").with_columns(
        *(values.alias(key) for key, (values, _) in read.items()),
        *(rules.alias(f"{key}_rule") for key, (_, rules) in read.items()),
    )
    frame = frame.with_columns(_missing(key) for key in ("day", "birth", "insurer", *(["sex"] if has_sex else [])))
    today, day, birth = dt.date.today(), pl.col("day"), pl.col("birth")
    frame = frame.with_columns(
        day_rule=pl.when(day.is_between(_FIRST_DAY, today)).then("day_rule").otherwise(_or("day_rule", "not_a_date")),
        birth_rule=pl.when(birth.is_between(_FIRST_BIRTH, pl.min_horizontal(day, pl.lit(today)))).then("birth_rule")
        .otherwise(_or("birth_rule", "not_a_date")),
        kind=_kind(),
    ).with_columns(kind_rule=pl.when(pl.col("kind").is_null()).then(pl.lit("kind")))  # fmt: skip
    needed = ("day", "birth", "sex", "kind")
    failed = pl.coalesce(*(pl.when(pl.col(f"{key}_rule").is_not_null()).then(pl.lit(key)) for key in needed))
    frame = frame.with_columns(failed=failed)
    fit = frame["failed"].is_null()
    return People(_header(frame.filter(fit)), fit, _rejected(frame, needed))


def _or(name: str, rule: str) -> pl.Expr:
    return pl.coalesce(name, pl.lit(rule))


def _missing(key: str) -> pl.Expr:
    return (
        pl.when(pl.col(key).is_null()).then(_or(f"{key}_rule", "missing")).otherwise(f"{key}_rule").alias(f"{key}_rule")
    )


def _institution(said: str) -> tuple[str | None, str | None]:
    found = cell_values.plain(said)
    return (found, None) if re.fullmatch(r"[0-9]{10}", found) else (None, "institution" if found else None)


_READERS: Mapping[str, cell_values.Read] = {
    "insurer": cell_values.insurers,
    "symbol": cell_values.numbers_as_text,
    "number": cell_values.numbers_as_text,
    "branch_number": cell_values.branch_numbers,
    "kana": cell_values.names,
    "birth": cell_values.days(),
    "sex": cell_values.sexes,
    "day": cell_values.days(),
    "institution": cell_values.each(_institution, pl.String),
    "report": cell_values.words,
    "programme": cell_values.words,
}


def _kind() -> pl.Expr:
    report, programme = pl.col("report").fill_null("10"), pl.col("programme").str.zfill(3).fill_null("010")
    plain = programme.is_in(["000", "010", "990"])
    return (
        pl.when((programme == "030") | (report == "41")).then(pl.lit("事業者健診"))
        .when(report.is_in(["40", "49"]) & plain & pl.col("insurer").str.starts_with("01"))
        .then(pl.lit("生活習慣病予防健診"))
        .when(report.is_in(["10", "19"]) & plain).then(pl.lit("特定健診"))
    )  # fmt: skip


def _header(frame: pl.DataFrame) -> pl.DataFrame:
    deleted = pl.col("report").is_in(_DELETIONS).fill_null(False)
    return frame.with_columns(
        entry=pl.lit(None, pl.String),
        checkup_date="day",
        received_month=pl.col("filed") // 100,
        action=pl.when(deleted).then(pl.lit("delete")).otherwise(pl.lit("put")),
    ).select(pl.col(name).cast(dtype) for name, dtype in {**TRACE, **IDENTITY, **OF_CHECKUP}.items())


def _rejected(frame: pl.DataFrame, needed: tuple[str, ...]) -> pl.DataFrame:
    month = (pl.col("day").dt.year() * 100 + pl.col("day").dt.month()).cast(pl.Int32)
    frame = frame.with_columns(month=month)
    parts = [_part(frame.filter(failed=key), key, "row") for key in needed]
    fit = frame.filter(pl.col("failed").is_null())
    for key in ("insurer", "symbol", "number", "branch_number", "institution"):
        parts.append(_part(fit.filter(pl.col(f"{key}_rule").is_not_null()), key, "value"))
    return pl.concat(parts)


def _part(rows: pl.DataFrame, key: str, level: str) -> pl.DataFrame:
    label = f"{_LABELS[key]}: " if key in _LABELS else ""
    rule = pl.col(f"{key}_rule")
    reason = pl.lit(label) + rule.replace(_REASONS)
    return rows.select(
        pl.lit(None, pl.String).alias("entry"),
        "line",
        pl.lit(level).alias("level"),
        pl.lit(_ITEMS.get(key, key)).alias("item"),
        rule.alias("rule"),
        reason.alias("reason"),
        "institution",
        "month",
    ).cast(REJECTED)  # type: ignore[arg-type]


def repaired(raw: pl.DataFrame) -> pl.DataFrame:
    """Which row first has a 保険者番号 whose lost digits were restored? One rejection of level "value", or none."""
    distinct = [said for said in raw["insurer"].unique().drop_nulls() if text.insurer_number(said)[1]]
    first = raw.filter(pl.col("insurer").is_in(distinct))["line"].min()
    rule = "insurer_repaired"
    rows = [] if first is None else [
        {"line": first, "level": "value", "item": "insurer", "rule": rule, "reason": _REASONS[rule]}
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=REJECTED)
