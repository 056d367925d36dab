"""Job B: untreated people (未治療者) of FY2022 and their first visit within 10 months, with KPI and curve."""

from __future__ import annotations

from pathlib import Path

FISCAL_YEAR, THROUGH = 2022, 202412
CHECKS = ("people", "bp", "glucose", "lipid", "visited_0_10", "visited_1_10", "left", "months", "month_0")
"""What every way must agree on: people, domains, visits, leavers, the sum of months to the visit, month-0 visits."""
_CHECKUPS = ("record_id", "person_id", "checkup_date", "received_month", "kind", "fasting")
_ITEMS = ("sbp", "dbp", "fpg", "hba1c", "ldl")
_ALL = (*_CHECKUPS, *_ITEMS, "medication_bp", "medication_glucose", "medication_lipid")
_MEMBERS = ("person_id", "valid_from", "valid_to", "relationship", "sex", "fy_age_base", "branch", "municipality")
_CLAIMS = ("person_id", "treatment_month", "status", "kind")


def _paths(folder: str | Path) -> tuple[Path, Path, Path]:
    return tuple(Path(folder) / f"{name}.parquet" for name in ("checkups", "claims", "members"))  # type: ignore[return-value]


def ours(folder: str | Path) -> tuple[int, ...]:
    """The library, on lazy polars."""
    import polars as pl

    import kenpo_analytics as ka

    checkups, claims, members = (pl.scan_parquet(path) for path in _paths(folder))
    cohort = ka.untreated(checkups, claims, members, fiscal_year=FISCAL_YEAR).collect()
    visits = ka.first_visit(cohort.people.lazy(), claims, members, data_through=THROUGH).collect()
    kpi = ka.visit_incidence(visits).kpi.rows_by_key("window", named=True, unique=True)
    counts = dict(cohort.flow.select("key", "remaining").iter_rows())
    months = int(visits.filter(pl.col("state") == "visited")["months_to"].sum())
    main = kpi["0-10"]
    return (
        len(cohort.people),
        *(counts[f"by_{domain}"] for domain in CHECKS[1:4]),
        main["events"],
        kpi["1-10"]["events"],
        main["left"],
        months,
        main["month_0"],
    )


def hand_polars(folder: str | Path) -> tuple[int, ...]:
    """The same job written straight in polars."""
    import polars as pl

    c = pl.col
    checkups, claims, members = (pl.scan_parquet(path) for path in _paths(folder))
    year = c("checkup_date").dt.year() - (c("checkup_date").dt.month() < 4).cast(pl.Int32)
    step = pl.when(year != FISCAL_YEAR).then(1).when(c("kind") != "生活習慣病予防健診").then(2).otherwise(0)
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
    usable = (c("fasting") == "fasting") | c("fasting").is_null()
    high = {
        "bp": (c("sbp") >= 160).fill_null(False) | (c("dbp") >= 100).fill_null(False),
        "glucose": ((c("fpg") >= 126) & usable).fill_null(False) | (c("hba1c") >= 6.5).fill_null(False),
        "lipid": (c("ldl") >= 180).fill_null(False),
    }
    own = {d: high[d] & ~c(f"medication_{d}").fill_null(False) for d in high}
    index = c("checkup_date").dt.year() * 12 + c("checkup_date").dt.month().cast(pl.Int32) - 1
    picked = picked.with_columns(
        index=index, above=pl.any_horizontal(high.values()), **{f"by_{d}": own[d] for d in own}
    )
    seen = claims.select(_CLAIMS).filter(c("kind") == "入院外", c("status").is_in(["normal", "reclaimed"]))
    seen = seen.select("person_id", visit=c("treatment_month") // 100 * 12 + c("treatment_month") % 100 - 1)
    above = picked.filter("above")
    before = (
        above.select("person_id", "index").join(seen, on="person_id").filter(c("visit") == c("index") - 1)
        .select("person_id").unique().with_columns(visited=pl.lit(True))
    )  # fmt: skip
    judged = picked.join(before, on="person_id", how="left")
    leaves = (
        pl.when(pl.all_horizontal(c(_ITEMS).is_null())).then(1)
        .when(~c("above")).then(2)
        .when(~pl.any_horizontal("by_bp", "by_glucose", "by_lipid")).then(3)
        .when(c("visited").fill_null(False)).then(4)
        .otherwise(0)
    )  # fmt: skip
    judged = judged.with_columns(step=leaves)
    raw, stage, people = pl.collect_all([rows.group_by("step").len(), enrolled.group_by("step").len(), judged])
    people.group_by("step").len(), raw, stage
    people = people.filter(c("step") == 0)
    through = THROUGH // 100 * 12 + THROUGH % 100 - 1
    base = people.lazy().select("person_id", "checkup_date", "index")
    ends = (
        base.join(members.select("person_id", "valid_from", "valid_to"), on="person_id")
        .filter(c("valid_from") <= c("checkup_date"), c("valid_to").is_null() | (c("checkup_date") < c("valid_to")))
        .with_columns(last=c("valid_to") - pl.duration(days=1))
        .select("person_id", until=c("last").dt.year() * 12 + c("last").dt.month().cast(pl.Int32) - 1)
    )
    base = base.join(ends, on="person_id", how="left")
    hit = base.join(seen.filter(c("visit") <= through), on="person_id").with_columns(offset=c("visit") - c("index"))
    hit = hit.filter(c("offset").is_between(0, 10), c("until").is_null() | (c("visit") <= c("until")))
    first = hit.group_by("person_id").agg(c("offset").min(), after=c("offset").filter(c("offset") >= 1).min())
    result = base.join(first, on="person_id", how="left").collect()
    gone = (result["until"] - result["index"] < 10).fill_null(False) & result["offset"].is_null()
    complete = through - result["index"]
    assert (complete >= 10).all()
    return (
        len(people),
        *(int(people[f"by_{d}"].sum()) for d in own),
        result["offset"].is_not_null().sum(),
        result["after"].is_not_null().sum(),
        int(gone.sum()),
        int(result["offset"].sum()),
        int((result["offset"] == 0).sum()),
    )


_SQL = """
with rows as (
    select * from (select {columns} from read_parquet('{checkups}'))
    where year(checkup_date) - (month(checkup_date) < 4)::int = {year} and kind = '生活習慣病予防健診'),
picked as (
    select r.*, m.* exclude (person_id), year(checkup_date) * 12 + month(checkup_date) - 1 as idx
    from rows r join (select {members_columns} from read_parquet('{members}')) m using (person_id)
    where valid_from <= checkup_date and (valid_to is null or checkup_date < valid_to)
        and relationship = 'insured' and {year} - fy_age_base between 35 and 74
    qualify row_number() over (
        partition by person_id order by checkup_date desc, received_month desc, record_id desc) = 1),
high as (
    select *, coalesce(sbp >= 160, false) or coalesce(dbp >= 100, false) as h_bp,
        coalesce(fpg >= 126 and (fasting = 'fasting' or fasting is null), false)
            or coalesce(hba1c >= 6.5, false) as h_glucose,
        coalesce(ldl >= 180, false) as h_lipid from picked),
own as materialized (
    select *, h_bp and not coalesce(medication_bp, false) as by_bp,
        h_glucose and not coalesce(medication_glucose, false) as by_glucose,
        h_lipid and not coalesce(medication_lipid, false) as by_lipid from high where h_bp or h_glucose or h_lipid),
seen as (
    select person_id, treatment_month // 100 * 12 + treatment_month % 100 - 1 as visit from read_parquet('{claims}')
    where kind = '入院外' and status in ('normal', 'reclaimed')),
visits as materialized (select o.person_id, idx, visit, visit - idx as k from own o join seen using (person_id)
    where visit - idx between -1 and 10),
people as materialized (
    select *, year(valid_to - 1) * 12 + month(valid_to - 1) - 1 as until from own
    where (by_bp or by_glucose or by_lipid) and person_id not in (select person_id from visits where k = -1)),
first as (
    select p.person_id, min(k) as k, min(k) filter (k >= 1) as after from people p join visits v using (person_id)
    where k >= 0 and visit <= {through} and (until is null or visit <= until) group by 1)
select count(*), count(*) filter (by_bp), count(*) filter (by_glucose), count(*) filter (by_lipid),
    count(k), count(after),
    count(*) filter (k is null and until - idx < 10), sum(k), count(*) filter (k = 0)
from people left join first using (person_id)
"""


def duckdb_sql(folder: str | Path) -> tuple[int, ...]:
    """The same job as one DuckDB statement."""
    import duckdb

    checkups, claims, members = _paths(folder)
    text = _SQL.format(
        year=FISCAL_YEAR,
        through=THROUGH // 100 * 12 + THROUGH % 100 - 1,
        checkups=checkups,
        claims=claims,
        members=members,
        columns=", ".join(_ALL),
        members_columns=", ".join(_MEMBERS),
    )
    row = duckdb.connect().execute(text).fetchone()
    assert row is not None
    return tuple(map(int, row))


def pandas_idiomatic(folder: str | Path) -> tuple[int, ...]:
    """The same job as an analyst would write it in pandas."""
    import pandas as pd

    checkups, claims, members = _paths(folder)
    rows = pd.read_parquet(checkups, columns=list(_ALL))
    rows["checkup_date"] = pd.to_datetime(rows["checkup_date"])
    year = rows["checkup_date"].dt.year - (rows["checkup_date"].dt.month < 4)
    rows = rows[(year == FISCAL_YEAR) & (rows["kind"] == "生活習慣病予防健診")]
    stretches = pd.read_parquet(members, columns=list(_MEMBERS))
    for name in ("valid_from", "valid_to"):
        stretches[name] = pd.to_datetime(stretches[name])
    joined = rows.merge(stretches, on="person_id")
    day = joined["checkup_date"]
    joined = joined[(joined["valid_from"] <= day) & (joined["valid_to"].isna() | (day < joined["valid_to"]))]
    joined = joined[(joined["relationship"] == "insured") & (FISCAL_YEAR - joined["fy_age_base"]).between(35, 74)]
    people = joined.sort_values(["checkup_date", "received_month", "record_id"]).drop_duplicates(
        "person_id", keep="last"
    )
    fpg = people["fpg"].where(people["fasting"].isna() | (people["fasting"] == "fasting"))
    high = {
        "bp": (people["sbp"] >= 160) | (people["dbp"] >= 100),
        "glucose": (fpg >= 126) | (people["hba1c"] >= 6.5),
        "lipid": people["ldl"] >= 180,
    }
    own = {d: high[d] & ~people[f"medication_{d}"].fillna(False).astype(bool) for d in high}
    people = people.assign(**{f"by_{d}": own[d] for d in own})
    people = people[own["bp"] | own["glucose"] | own["lipid"]]
    people["idx"] = people["checkup_date"].dt.year * 12 + people["checkup_date"].dt.month - 1
    last = people["valid_to"] - pd.Timedelta(days=1)
    people["until"] = last.dt.year * 12 + last.dt.month - 1
    seen = pd.read_parquet(claims, columns=list(_CLAIMS))
    seen = seen[(seen["kind"] == "入院外") & seen["status"].isin(["normal", "reclaimed"])]
    seen["visit"] = seen["treatment_month"] // 100 * 12 + seen["treatment_month"] % 100 - 1
    hit = people[["person_id", "idx", "until"]].merge(seen[["person_id", "visit"]], on="person_id")
    hit["k"] = hit["visit"] - hit["idx"]
    people = people[~people["person_id"].isin(hit.loc[hit["k"] == -1, "person_id"])]
    through = THROUGH // 100 * 12 + THROUGH % 100 - 1
    hit = hit[
        hit["k"].between(0, 10) & (hit["visit"] <= through) & (hit["until"].isna() | (hit["visit"] <= hit["until"]))
    ]
    first = hit.groupby("person_id")["k"].min()
    after = hit[hit["k"] >= 1].groupby("person_id")["k"].min()
    people = people.set_index("person_id").assign(k=first, after=after)
    gone = people["k"].isna() & (people["until"] - people["idx"] < 10)
    return (
        len(people),
        *(int(people[f"by_{d}"].sum()) for d in own),
        int(people["k"].notna().sum()),
        int(people["after"].notna().sum()),
        int(gone.sum()),
        int(people["k"].sum()),
        int((people["k"] == 0).sum()),
    )


def scan(folder: str | Path) -> tuple[int, ...]:
    """Only reading the columns that all of them need."""
    import polars as pl

    wanted = zip(_paths(folder), (_ALL, _CLAIMS, _MEMBERS), strict=True)
    pl.collect_all([pl.scan_parquet(path).select(pl.col(columns).max()) for path, columns in wanted])
    return ()
