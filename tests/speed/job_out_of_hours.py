"""Job C: out-of-hours visits (時間外受診) of a fiscal year by branch, sex and age band, with the account of fee lines.

Five ways to the same checksums, to compare CPU and memory in processes of their own: ours, straight polars written by
hand, DuckDB SQL, idiomatic pandas, and the bare scan of the columns that all of them need.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

FIRST, LAST = 202304, 202403
FISCAL_YEAR = 2023
_LINES = ("person_id", "institution", "treatment_month", "status", "code", "day")
_MEMBERS = ("person_id", "valid_from", "valid_to", "sex", "branch", "fy_age_base")
CHECKS = ("cells", "events", "events_sq", "persons", "members", "denominator", "other_month", "not_addon", "same_visit")
"""What every way must agree on: sums over the cells, and three lines of the account."""


def _codes() -> tuple[list[str], list[str], list[str], list[str]]:
    """Codes that count, those of them for a first visit, inpatient codes, 夜間・早朝等 codes."""
    path = Path(__file__).parents[2] / "src/kenpo_analytics/definitions/fee_codes.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    counted = [row["code"] for row in rows if row["counted"] == "1"]
    first = [row["code"] for row in rows if row["counted"] == "1" and row["visit_type"] == "first"]
    inpatient = [row["code"] for row in rows if row["inpatient"] == "1"]
    evening = [row["code"] for row in rows if row["out_of_hours"] == "evening_early_in_hours"]
    return counted, first, inpatient, evening


def ours(folder: str | Path) -> tuple[int, ...]:
    """The library, on lazy polars."""
    import polars as pl

    from kenpo_analytics.outcomes.out_of_hours import out_of_hours

    fees, members = (pl.scan_parquet(Path(folder) / f"{name}.parquet") for name in ("claim_fees", "members"))
    found = out_of_hours(fees, members, months=(FIRST, LAST))
    left = dict(found.account.select("key", "excluded").iter_rows())
    sums = found.cells.select(CHECKS[1:6]).sum().row(0)
    return found.cells.height, *map(int, sums), *(left[name] for name in CHECKS[6:])


def hand_polars(folder: str | Path) -> tuple[int, ...]:
    """The same job written straight in polars."""
    import polars as pl

    c = pl.col
    counted, first, inpatient, evening = _codes()
    fees, members = (pl.scan_parquet(Path(folder) / f"{name}.parquet") for name in ("claim_fees", "members"))
    lines = fees.select(_LINES)
    inside = c("treatment_month").is_between(FIRST, LAST)
    missing = pl.any_horizontal(c("person_id", "treatment_month", "status", "code", "day").is_null())
    tally = lines.group_by("treatment_month", "status", "code", missing.alias("missing")).len()
    visits = (
        lines.filter(inside, c("status").is_in(["normal", "reclaimed"]), c("code").is_in(counted), ~missing)
        .select("person_id", "institution", "treatment_month", "day", is_first=c("code").is_in(first))
        .unique()
        .with_columns(month=c("treatment_month") // 100 * 12 + c("treatment_month") % 100 - 1)
    )

    def index(day: pl.Expr) -> pl.Expr:
        return day.dt.year() * 12 + day.dt.month().cast(pl.Int32) - 1

    start, stop = FISCAL_YEAR * 12 + 3, FISCAL_YEAR * 12 + 15
    keys = ["branch", "sex", "band"]
    age = FISCAL_YEAR - c("fy_age_base")
    stretches = (
        members.select(
            "person_id",
            "branch",
            "sex",
            begins=index(c("valid_from")).clip(start, stop),
            ends=index(c("valid_to")).fill_null(stop).clip(start, stop),
            band=pl.when(age == 75).then(14).otherwise(age.clip(0, 75) // 5),
        )
        .filter(c("begins") < c("ends"))
        .unique()
    )
    placed = visits.join(stretches, on="person_id").filter(c("begins") <= c("month"), c("month") < c("ends"))
    found = placed.group_by("is_first", *keys, "person_id").len("n").with_columns(c("n").cast(pl.Int64))
    cells = found.group_by("is_first", *keys).agg(
        events=c("n").sum(), events_sq=(c("n") * c("n")).sum(), persons=pl.len()
    )
    people = stretches.group_by(*keys, "person_id").agg(months=(c("ends") - c("begins")).sum())
    enrolled = people.group_by(*keys).agg(members=pl.len(), denominator=c("months").sum())
    lines_by, distinct, found_by, months_by = pl.collect_all([tally, visits.select(pl.len()), cells, enrolled])
    grid = pl.DataFrame({"is_first": [True, False]}).join(months_by, how="cross")
    table = grid.join(found_by, on=["is_first", *keys], how="left").fill_null(0).sort("is_first", *keys)
    reason = (
        pl.when("missing").then(pl.lit("unreadable"))
        .when(~inside).then(pl.lit("other_month"))
        .when(c("status").is_in(["returned", "after_loss"])).then("status")
        .when(c("code").is_in(inpatient)).then(pl.lit("inpatient"))
        .when(c("code").is_in(evening)).then(pl.lit("evening_early"))
        .when(~c("code").is_in(counted)).then(pl.lit("not_addon"))
        .otherwise(pl.lit("counted"))
    )  # fmt: skip
    left = dict(lines_by.group_by(reason.alias("reason")).agg(c("len").sum()).iter_rows())
    left["same_visit"] = left.get("counted", 0) - distinct.item()
    sums = table.select(CHECKS[1:6]).sum().row(0)
    return table.height, *map(int, sums), *(left.get(name, 0) for name in CHECKS[6:])


_SQL = """
with lines as (select person_id, institution, treatment_month, status, code, day from read_parquet('{fees}')),
tally as materialized (
    select case when person_id is null or treatment_month is null or status is null or code is null or day is null
                    then 'unreadable'
                when treatment_month not between {first} and {last} then 'other_month'
                when status in ('returned', 'after_loss') then status
                when code in ({inpatient}) then 'inpatient' when code in ({evening}) then 'evening_early'
                when code not in ({counted}) then 'not_addon' else 'counted' end as reason, sum(n) as n
    from (select person_id is null as p, day is null as d, treatment_month, status, code, count(*) as n,
                 any_value(person_id) as person_id, any_value(day) as day from lines group by all)
    group by 1),
visits as materialized (
    select distinct person_id, institution, treatment_month // 100 * 12 + treatment_month % 100 - 1 as month, day,
        code in ({firsts}) as is_first
    from lines where treatment_month between {first} and {last} and status in ('normal', 'reclaimed')
        and code in ({counted}) and person_id is not null and day is not null),
stretches as materialized (
    select distinct person_id, branch, sex,
        case when {year} - fy_age_base = 75 then 14 else least(75, greatest(0, {year} - fy_age_base)) // 5 end as band,
        greatest({start}, year(valid_from) * 12 + month(valid_from) - 1) as begins,
        least({stop}, coalesce(year(valid_to) * 12 + month(valid_to) - 1, {stop})) as ends
    from read_parquet('{members}')
    where greatest({start}, year(valid_from) * 12 + month(valid_from) - 1)
        < least({stop}, coalesce(year(valid_to) * 12 + month(valid_to) - 1, {stop}))),
cells as (
    select is_first, branch, sex, band, sum(n) as events, sum(n * n) as events_sq, count(*) as persons
    from (select is_first, branch, sex, band, person_id, count(*) as n from visits join stretches using (person_id)
          where begins <= month and month < ends group by all) group by all),
enrolled as (
    select branch, sex, band, count(*) as members, sum(months) as denominator
    from (select branch, sex, band, person_id, sum(ends - begins) as months from stretches group by all) group by all),
grid as (select * from enrolled cross join (values (true), (false)) as v(is_first))
select count(*), sum(coalesce(events, 0)), sum(coalesce(events_sq, 0)), sum(coalesce(persons, 0)), sum(members),
    sum(denominator), (select coalesce(sum(n), 0) from tally where reason = 'other_month'),
    (select coalesce(sum(n), 0) from tally where reason = 'not_addon'),
    (select coalesce(sum(n), 0) from tally where reason = 'counted') - (select count(*) from visits)
from grid left join cells using (is_first, branch, sex, band)
"""


def duckdb_sql(folder: str | Path) -> tuple[int, ...]:
    """The same job as one DuckDB statement."""
    import duckdb

    names = ("counted", "firsts", "inpatient", "evening")
    lists = {name: ", ".join(f"'{code}'" for code in codes) for name, codes in zip(names, _codes(), strict=True)}
    paths = {name: Path(folder) / f"{file}.parquet" for name, file in (("fees", "claim_fees"), ("members", "members"))}
    window = {"start": FISCAL_YEAR * 12 + 3, "stop": FISCAL_YEAR * 12 + 15, "year": FISCAL_YEAR}
    row = duckdb.connect().execute(_SQL.format(first=FIRST, last=LAST, **lists, **paths, **window)).fetchone()
    assert row is not None
    return tuple(map(int, row))


def pandas_idiomatic(folder: str | Path) -> tuple[int, ...]:
    """The same job as an analyst would write it in pandas."""
    import numpy as np
    import pandas as pd

    counted, first, inpatient, evening = _codes()
    lines = pd.read_parquet(Path(folder) / "claim_fees.parquet", columns=list(_LINES))
    inside = lines["treatment_month"].between(FIRST, LAST)
    needed = ["person_id", "treatment_month", "status", "code", "day"]
    conditions = {
        "unreadable": lines[needed].isna().any(axis=1),
        "other_month": ~inside,
        "returned": lines["status"].isin(["returned", "after_loss"]),
        "inpatient": lines["code"].isin(inpatient),
        "evening_early": lines["code"].isin(evening),
        "not_addon": ~lines["code"].isin(counted),
    }
    reason = np.select(list(conditions.values()), list(range(len(conditions))), default=len(conditions))
    left = dict(zip(conditions, np.bincount(reason, minlength=len(conditions) + 1), strict=False))
    visits = lines[reason == len(conditions)].assign(is_first=lambda d: d["code"].isin(first))
    kept = len(visits)
    visits = visits.drop_duplicates(["person_id", "institution", "treatment_month", "day", "is_first"])
    visits["month"] = visits["treatment_month"] // 100 * 12 + visits["treatment_month"] % 100 - 1

    members = pd.read_parquet(Path(folder) / "members.parquet", columns=list(_MEMBERS)).drop_duplicates()
    start, stop = FISCAL_YEAR * 12 + 3, FISCAL_YEAR * 12 + 15

    def index(day: Any) -> Any:
        day = pd.to_datetime(day)
        return (day.dt.year * 12 + day.dt.month - 1).fillna(stop).clip(start, stop).astype(int)

    members["begins"], members["ends"] = index(members["valid_from"]), index(members["valid_to"])
    age = FISCAL_YEAR - members["fy_age_base"]
    members["band"] = np.where(age == 75, 14, age.clip(0, 75) // 5)
    members = members[members["begins"] < members["ends"]]
    members = members.assign(months=members["ends"] - members["begins"])
    placed = visits.merge(members, on="person_id")
    placed = placed[(placed["begins"] <= placed["month"]) & (placed["month"] < placed["ends"])]
    keys = ["branch", "sex", "band"]
    n = placed.groupby(["is_first", *keys, "person_id"]).size().reset_index(name="n").assign(sq=lambda d: d["n"] ** 2)
    cells = n.groupby(["is_first", *keys]).agg(events=("n", "sum"), events_sq=("sq", "sum"), persons=("n", "size"))
    enrolled = members.groupby(keys).agg(members=("person_id", "nunique"), denominator=("months", "sum")).reset_index()
    grid = enrolled.merge(pd.DataFrame({"is_first": [True, False]}), how="cross")
    table = grid.merge(cells.reset_index(), on=["is_first", *keys], how="left").fillna(0)
    sums = (int(table[name].sum()) for name in CHECKS[1:6])
    return len(table), *sums, int(left["other_month"]), int(left["not_addon"]), kept - len(visits)


def scan(folder: str | Path) -> tuple[int, ...]:
    """The bare scan: the largest value of every column the job needs."""
    import polars as pl

    lines, members = (pl.scan_parquet(Path(folder) / f"{name}.parquet") for name in ("claim_fees", "members"))
    plans = [lines.select(pl.col(_LINES).max()), members.select(pl.col(_MEMBERS).max())]
    return tuple(part.width for part in pl.collect_all(plans))
