"""Whose checkup was a letter for, on which day did it go out or would have, and which checkup were lots drawn for?"""

from __future__ import annotations

from typing import Any

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.tables import CHECKUPS, MAILINGS, MEMBERS

LATER = "later"
"""The arm of a randomised delay (`trial.KINDS`) whose own letter comes too late to count from."""


def planned_letters(mailings: Any, programme: str) -> pl.DataFrame:
    """One row per checkup record that had a letter planned: the first that was sent, else the first planned."""
    wanted = ["person_id", "record_id", "programme", "planned_date", "sent_date", "status"]
    rows = frames.collect(frames.enter(mailings, MAILINGS, wanted)).filter(pl.col("programme") == programme)
    rows = rows.with_columns(sent=pl.col("status") == "sent").sort("sent", "planned_date", descending=[True, False])
    return rows.unique("record_id", keep="first", maintain_order=True).filter(pl.col("record_id").is_not_null())


def mailed(base: pl.DataFrame, letters: pl.DataFrame) -> pl.DataFrame:
    """Letter, the day it went out or would have, and whether one was sent for an earlier year's checkup."""
    sent = letters.filter("sent").select("person_id", earlier=pl.coalesce("sent_date", "planned_date"))
    earlier = base.select("person_id", "record_id", "checkup_date").join(sent, on="person_id")
    earlier = earlier.filter(pl.col("earlier") <= pl.col("checkup_date")).select("record_id").unique()
    base = base.join(letters.select("record_id", "sent", "planned_date", "sent_date"), on="record_id", how="left")
    base = base.with_columns(letter=pl.col("sent").fill_null(False), planned=pl.col("sent").is_not_null()).drop("sent")
    base = base.with_columns(repeat=pl.col("record_id").is_in(earlier["record_id"].implode()))
    own = pl.coalesce(pl.when("letter").then(pl.coalesce("sent_date", "planned_date")), "planned_date")
    days = {"letter_day": pl.when("letter").then(own), "sent_on": pl.when("letter").then("sent_date"), "own": own}
    base = base.with_columns(**days).drop("planned_date", "sent_date")
    if "assigned" not in base.columns:
        return base.with_columns(begin=pl.coalesce("own", usual_day(base))).drop("own")
    usual = usual_day(base, base.filter((pl.col("assigned") != LATER).fill_null(True)))
    base = base.with_columns(usual=usual).pipe(_first_arm)
    drawn = pl.max_horizontal(pl.coalesce("day_of_month", "day_of_draw", "usual"), "drawn_on")
    begin = pl.when(pl.col("assigned").is_null()).then(pl.coalesce("own", "usual")).otherwise(drawn)
    return base.with_columns(begin=begin).drop("own", "usual", "month", "day_of_month", "day_of_draw")


def _first_arm(base: pl.DataFrame) -> pl.DataFrame:
    """On which day did the arm sent first get its letters, for each draw and month of checkup, and for the whole draw?

    Only letters of that draw, from its day on: those of an earlier draw, or from before the lots, went out on days that
    say nothing of when the people of this one could have been reached.
    """
    base = base.with_columns(month=pl.col("checkup_date").dt.month_start())
    first = base.filter(pl.col("assigned") != LATER, pl.col("own") >= pl.col("drawn_on"))
    for name, keys in (("day_of_month", ["drawn_on", "month"]), ("day_of_draw", ["drawn_on"])):
        days = first.group_by(keys).agg(pl.col("own").median().cast(pl.Date).alias(name))
        base = base.join(days, on=keys, how="left", maintain_order="left")
    return base


def usual_day(base: pl.DataFrame, planned: pl.DataFrame | None = None) -> pl.Series:
    """On which day would a letter for each checkup go out? As long after the first of its month as in the median.

    The median of `planned` (default: `base`) for checkups of the same calendar month in the own programme year (in its
    first one for people from before it), so that pooling more years moves no day; else of that month in all years, else
    of all. `own` is a letter's day. Null where there is none at all.
    """
    planned = base if planned is None else planned
    start = pl.col("checkup_date").dt.month_start()
    lag = (pl.col("own") - start).dt.total_days().median()
    keys = [_letter_year(base).alias("year"), pl.col("checkup_date").dt.month().alias("month")]
    joined = base.with_columns(keys)
    for name, by in (("of_year", keys), ("of_month", keys[1:])):
        on = ["year", "month"][-len(by) :]
        joined = joined.join(planned.group_by(by).agg(lag.alias(name)), on=on, how="left", maintain_order="left")
    days = pl.coalesce("of_year", "of_month", pl.lit(planned.select(lag.alias("lag")).item(), pl.Float64))
    return joined.select((start + pl.duration(days=days)).cast(pl.Date).alias("day"))["day"]


def _letter_year(base: pl.DataFrame) -> pl.Expr:
    """Whose year's letters would people have got? Their own; from before the programme those of its first year."""
    if "era" not in base.columns:
        return pl.lit(0)
    own = pl.when(pl.col("era") == "programme").then(pl.col("fiscal_year"))
    return own.fill_null(base.filter(pl.col("era") == "programme")["fiscal_year"].min())


def known_at_draw(checkups: Any, members: Any, lots: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which checkups of those who were drawn lie up to the day of their draw? With their member stretches."""
    found = []
    for table, given, key in ((CHECKUPS, checkups, "checkup_date"), (MEMBERS, members, "valid_from")):
        have = [name for name in table.names if name in frames.columns_of(given)]
        rows = frames.collect(frames.enter(given, table, ["person_id", key], optional=have))
        if rows["person_id"].dtype != lots["person_id"].dtype:
            raise EstimateError(
                "割付の個人IDの型が、データと違います",
                hint="割付に使った対象者の表の個人IDを、データと同じ型にしてください。",
            )
        found.append(rows.join(lots.select("person_id", "drawn_on"), on="person_id"))
    past = found[0].filter(pl.col("checkup_date") <= pl.col("drawn_on"))
    return past.drop("drawn_on"), found[1].drop("drawn_on")


def as_at_draw(base: pl.DataFrame, then: pl.DataFrame) -> pl.DataFrame:
    """Who was drawn stands with the checkup of the year that was known at the draw, whatever came after it.

    `then`: their rows by the checkups up to their draw. The last checkup of a year may be one that a letter led to:
    picking it would leave people out by their arm.
    """
    same = then.select(base.columns).cast(base.schema)
    return pl.concat([base.join(same, on=["person_id", "fiscal_year"], how="anti"), same])


def join_lots(base: pl.DataFrame, assignment: pl.DataFrame) -> pl.DataFrame:
    """Who was drawn into which arm, on the checkup that the draw was made for: the last one up to its day."""
    own = [name for name in assignment.columns if name != "person_id"]
    found = base.filter(pl.col("era") == "programme").join(assignment, on="person_id")
    found = found.filter(pl.col("checkup_date") <= pl.col("drawn_on")).sort("checkup_date")
    if found.is_empty():
        raise EstimateError(
            "割り付けた人が、評価する年度の対象者の中に1人もいません", hint="割付と年度を確かめてください。"
        )
    found = found.unique("person_id", keep="last").select("record_id", *own)
    return base.join(found, on="record_id", how="left")
