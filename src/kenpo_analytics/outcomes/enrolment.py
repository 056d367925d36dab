"""Until which month was a person enrolled without a break?"""

from __future__ import annotations

from typing import Any

import narwhals as nw

from kenpo_analytics import frames
from kenpo_analytics.months import day_number, index_of, index_of_date
from kenpo_analytics.tables import MEMBERS

LAST_AGE_MONTHS = 75 * 12
"""Members move to the 後期高齢者医療制度 on their 75th birthday: an administrative end, not a loss."""
_NEVER = 10_000_000


def enrolled_until(people: nw.LazyFrame, members: Any) -> nw.LazyFrame:
    """Until which month was each person enrolled, without a break, from the checkup on?

    Adds to `people` (person_id, checkup_date): `until`, the month index of the last enrolled day of the run of
    adjoining stretches (job change, 任意継続, moves) that holds on the checkup day, null while it goes on;
    `ends_at_75`, whether it ends with the 75th birthday. A stretch adjoins when it begins on the day another ends, or
    before. People enrolled in no stretch on that day are followed to the checkup month only.
    """
    stretches = frames.enter(members, MEMBERS, ("person_id", "valid_from", "valid_to", "birth_month"))
    frames.same_key("person_id", people=people, members=stretches)
    by = ("person_id", "checkup_date")
    who = people.select(*by).unique(list(by))
    later = who.join(stretches, on="person_id", how="inner")
    later = later.filter(nw.col("valid_to").is_null() | (nw.col("valid_to") > nw.col("checkup_date")))
    ends = (
        _unbroken(later, by)
        .group_by(*by)
        .agg(
            nw.col("last_index").max().alias("until"),
            nw.col("end_index").max(),
            nw.col("birth_month").max(),
        )
    )
    goes_on = nw.col("until") >= _NEVER
    turns_75 = nw.col("end_index") == index_of(nw.col("birth_month")) + LAST_AGE_MONTHS
    ends = ends.select(
        *by,
        nw.when(~goes_on).then(nw.col("until")).alias("until"),
        frames.sure(turns_75).alias("ends_at_75"),
        nw.lit(True).alias("enrolled"),
    )
    joined = people.join(ends, on=list(by), how="left")
    return joined.with_columns(
        nw.when(nw.col("enrolled").is_null())
        .then(index_of_date(nw.col("checkup_date")))
        .otherwise(nw.col("until"))
        .alias("until"),
        frames.sure(nw.col("ends_at_75")).alias("ends_at_75"),
    ).drop("enrolled")


def _unbroken(later: nw.LazyFrame, by: tuple[str, ...]) -> nw.LazyFrame:
    """Keep the stretches before the first gap after the checkup day."""
    end = nw.col("valid_to")
    later = later.with_columns(
        day_number(nw.col("valid_from")).alias("day_from"),
        day_number(end).fill_null(_NEVER).alias("day_to"),
        index_of_date(end).fill_null(_NEVER).alias("end_index"),
        # 資格喪失日 on the 1st: the last enrolled day lies in the month before
        (index_of_date(end) - (end.dt.day() == 1).cast(nw.Int32)).fill_null(_NEVER).alias("last_index"),
    )
    order = ["day_from", "day_to"]
    later = later.with_columns(nw.col("day_to").cum_max().over(*by, order_by=order).alias("farthest"))
    later = later.with_columns(nw.col("farthest").shift(1).over(*by, order_by=order).alias("reached"))
    # the first stretch must hold on the checkup day, each later one must begin where an earlier one ends, or before
    reached = nw.when(nw.col("reached").is_null()).then(day_number(nw.col("checkup_date"))).otherwise(nw.col("reached"))
    later = later.with_columns(nw.when(nw.col("day_from") > reached).then(nw.col("day_from")).alias("gap"))
    later = later.with_columns(nw.col("gap").min().over(*by).alias("first_gap"))
    return later.filter(nw.col("first_gap").is_null() | (nw.col("day_from") < nw.col("first_gap")))
