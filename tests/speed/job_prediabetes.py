"""Job A: prediabetes (糖尿病予備群) of FY2022 with its flow, on checkups and members."""

from __future__ import annotations

from pathlib import Path

FISCAL_YEAR = 2022
CHECKS = ("people", "in_and", "medication", "diabetes_range", "below", "medication_missing", "not_picked", "other_kind")
"""What every way must agree on: people by both rules, and six steps of the flow."""
_CHECKUPS = ("record_id", "person_id", "checkup_date", "received_month", "kind", "fasting", "fpg", "hba1c")
_ALL = (*_CHECKUPS, "medication_glucose")
_MEMBERS = ("person_id", "valid_from", "valid_to", "relationship", "sex", "fy_age_base", "branch", "municipality")


def _paths(folder: str | Path) -> tuple[Path, Path]:
    return Path(folder) / "checkups.parquet", Path(folder) / "members.parquet"


def ours(folder: str | Path) -> tuple[int, ...]:
    """The library, on lazy polars."""
    import polars as pl

    import kenpo_analytics as ka

    cohort = ka.prediabetes(*(pl.scan_parquet(path) for path in _paths(folder)), fiscal_year=FISCAL_YEAR).collect()
    left = dict(cohort.flow.select("key", "excluded").iter_rows())
    counts = dict(cohort.flow.select("key", "remaining").iter_rows())
    return len(cohort.people), counts["in_and"], *(left[name] for name in CHECKS[2:])


def hand_polars(folder: str | Path) -> tuple[int, ...]:
    """The same job written straight in polars: the newest record by sort and unique, as one would write it."""
    import polars as pl

    c = pl.col
    checkups, members = (pl.scan_parquet(path) for path in _paths(folder))
    year = c("checkup_date").dt.year() - (c("checkup_date").dt.month() < 4).cast(pl.Int32)
    step = (
        pl.when(c("person_id").is_null()).then(1)
        .when(year != FISCAL_YEAR).then(2)
        .when(c("kind") != "生活習慣病予防健診").then(3)
        .otherwise(0)
    )  # fmt: skip
    rows = checkups.select(_ALL).with_columns(step=step)
    enrolled = (
        rows.filter(c("step") == 0)
        .drop("step", "kind")
        .join(members.select(_MEMBERS), on="person_id")
        .filter(c("valid_from") <= c("checkup_date"), c("valid_to").is_null() | (c("checkup_date") < c("valid_to")))
        .with_columns(age=FISCAL_YEAR - c("fy_age_base"))
    )
    out = pl.when(c("relationship") != "insured").then(1).when(~c("age").is_between(35, 74)).then(2).otherwise(0)
    enrolled = enrolled.with_columns(step=out)
    order = ["checkup_date", "received_month", "record_id"]
    picked = enrolled.filter(c("step") == 0).sort(order).unique("person_id", keep="last", maintain_order=False)
    picked = picked.with_columns(fpg=pl.when((c("fasting") == "fasting") | c("fasting").is_null()).then("fpg"))
    by_fpg = c("fpg").is_between(110, 126, closed="left").fill_null(False)
    by_hba1c = c("hba1c").is_between(6.0, 6.5, closed="left").fill_null(False)
    missing = c("fpg").is_null() | c("hba1c").is_null()

    def leaves(inside: pl.Expr, hangs: pl.Expr | None = None) -> pl.Expr:
        return (
            pl.when(c("medication_glucose").fill_null(False)).then(1)
            .when((c("fpg") >= 126).fill_null(False) | (c("hba1c") >= 6.5).fill_null(False)).then(2)
            .when(c("fpg").is_null() & c("hba1c").is_null()).then(3)
            .when(pl.lit(False) if hangs is None else hangs).then(4)
            .when(~inside & missing).then(5)
            .when(~inside).then(6)
            .when(c("medication_glucose").is_null()).then(7)
            .otherwise(0)
        )  # fmt: skip

    picked = picked.with_columns(
        by_fpg=by_fpg,
        by_hba1c=by_hba1c,
        one_marker=missing,
        unconfirmed=c("fasting").is_null() & by_fpg,
        step=leaves(by_fpg | by_hba1c),
        in_and=leaves(by_fpg & by_hba1c, missing & (by_fpg | by_hba1c)) == 0,
    )
    raw, members_of, people = pl.collect_all([rows.group_by("step").len(), enrolled.group_by("step").len(), picked])
    flow = people.group_by("step").agg(pl.len(), c("in_and", "one_marker", "unconfirmed").sum())
    n = dict(flow.select("step", "len").iter_rows())
    candidates = dict(members_of.iter_rows())[0]
    return (
        len(people.filter(c("step") == 0)),
        int(flow["in_and"].sum()),
        *(n.get(k, 0) for k in (1, 2, 6, 7)),
        candidates - len(people),
        dict(raw.iter_rows())[3],
    )


_SQL = """
with rows as (
    select *, case when person_id is null then 1
        when year(checkup_date) - (month(checkup_date) < 4)::int <> {year} then 2
        when kind <> '生活習慣病予防健診' then 3 else 0 end as step
    from (select {columns} from read_parquet('{checkups}'))),
raw as materialized (select step, count(*) as n from rows group by 1),
enrolled as materialized (
    select r.* exclude (step), m.* exclude (person_id), {year} - fy_age_base as age
    from rows r join (select {members_columns} from read_parquet('{members}')) m using (person_id)
    where step = 0 and valid_from <= checkup_date and (valid_to is null or checkup_date < valid_to)),
candidates as materialized (select * from enrolled where relationship = 'insured' and age between 35 and 74),
picked as (
    select *, case when fasting = 'fasting' or fasting is null then fpg end as f from candidates
    qualify row_number() over (
        partition by person_id order by checkup_date desc, received_month desc, record_id desc) = 1),
judged as (
    select *, coalesce(f >= 110 and f < 126, false) as by_fpg,
        coalesce(hba1c >= 6.0 and hba1c < 6.5, false) as by_hba1c,
        f is null or hba1c is null as missing, f is null and hba1c is null as no_marker,
        coalesce(f >= 126, false) or coalesce(hba1c >= 6.5, false) as diabetes from picked),
people as materialized (
    select *, case when coalesce(medication_glucose, false) then 1 when diabetes then 2 when no_marker then 3
        when not (by_fpg or by_hba1c) and missing then 5 when not (by_fpg or by_hba1c) then 6
        when medication_glucose is null then 7 else 0 end as step,
        not coalesce(medication_glucose, true) and not diabetes and by_fpg and by_hba1c as in_and from judged)
select count(*) filter (step = 0), count(*) filter (in_and), count(*) filter (step = 1), count(*) filter (step = 2),
    count(*) filter (step = 6), count(*) filter (step = 7), (select count(*) from candidates) - count(*),
    (select n from raw where step = 3), count(*) filter (missing and step = 0), sum(hash(person_id, fpg, hba1c) % 2)
from people
"""


def duckdb_sql(folder: str | Path) -> tuple[int, ...]:
    """The same job as one DuckDB statement."""
    import duckdb

    checkups, members = _paths(folder)
    text = _SQL.format(
        year=FISCAL_YEAR,
        checkups=checkups,
        members=members,
        columns=", ".join(_ALL),
        members_columns=", ".join(_MEMBERS),
    )
    row = duckdb.connect().execute(text).fetchone()
    assert row is not None
    return tuple(map(int, row[: len(CHECKS)]))


def pandas_idiomatic(folder: str | Path) -> tuple[int, ...]:
    """The same job as an analyst would write it in pandas."""
    import numpy as np
    import pandas as pd

    checkups, members = _paths(folder)
    rows = pd.read_parquet(checkups, columns=list(_ALL))
    date = pd.to_datetime(rows["checkup_date"])
    rows["checkup_date"] = date
    year = date.dt.year - (date.dt.month < 4)
    here = rows[rows["person_id"].notna() & (year == FISCAL_YEAR)]
    kind = here["kind"] == "生活習慣病予防健診"
    other_kind = int((~kind).sum())
    stretches = pd.read_parquet(members, columns=list(_MEMBERS))
    stretches["valid_from"] = pd.to_datetime(stretches["valid_from"])
    stretches["valid_to"] = pd.to_datetime(stretches["valid_to"])
    joined = here[kind].merge(stretches, on="person_id")
    day = joined["checkup_date"]
    joined = joined[(joined["valid_from"] <= day) & (joined["valid_to"].isna() | (day < joined["valid_to"]))]
    joined["age"] = FISCAL_YEAR - joined["fy_age_base"]
    candidates = joined[(joined["relationship"] == "insured") & joined["age"].between(35, 74)]
    people = candidates.sort_values(["checkup_date", "received_month", "record_id"]).drop_duplicates(
        "person_id", keep="last"
    )
    fpg = people["fpg"].where(people["fasting"].isna() | (people["fasting"] == "fasting"))
    hba1c, medication = people["hba1c"], people["medication_glucose"]
    by_fpg, by_hba1c = (fpg >= 110) & (fpg < 126), (hba1c >= 6.0) & (hba1c < 6.5)
    missing = fpg.isna() | hba1c.isna()
    diabetes, on_drug = (fpg >= 126) | (hba1c >= 6.5), medication.fillna(False).astype(bool)
    conditions = [
        on_drug,
        diabetes,
        fpg.isna() & hba1c.isna(),
        ~(by_fpg | by_hba1c) & missing,
        ~(by_fpg | by_hba1c),
        medication.isna(),
    ]
    step = np.select(conditions, [1, 2, 3, 5, 6, 7], default=0)
    in_and = ~on_drug & ~diabetes & by_fpg & by_hba1c & medication.notna()
    n = pd.Series(step).value_counts()
    return (
        int((step == 0).sum()),
        int(in_and.sum()),
        *(int(n.get(k, 0)) for k in (1, 2, 6, 7)),
        len(candidates) - len(people),
        other_kind,
    )


def scan(folder: str | Path) -> tuple[int, ...]:
    """Only reading the columns that all of them need."""
    import polars as pl

    checkups, members = _paths(folder)
    pl.collect_all(
        [pl.scan_parquet(checkups).select(pl.col(_ALL).max()), pl.scan_parquet(members).select(pl.col(_MEMBERS).max())]
    )
    return ()
