"""Are last year's targets of 特定保健指導 still targets? The share that is no longer (対象者の減少率)."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.errors import TableError
from kenpo_analytics.frames import sure
from kenpo_analytics.risks.levels import ON_DRUGS
from kenpo_analytics.stats.proportions import share
from kenpo_analytics.tables import GUIDANCE, Column, Table

RECEIVED, NOT_RECEIVED, EVERYBODY = "received", "not_received", "all"
LEVELED = Table(
    "people(guidance_levels)",
    "1人",
    ("person_id",),
    (
        Column("fiscal_year", "int", "年度"),
        Column("level", "str", "階層化"),
        Column("target", "bool", "対象"),
        Column("version", "str", "定義の版"),
    ),
)
_STATES = ("decreased", "started_drugs", "still", "unknown", "unseen")


def guidance_decrease(
    before: Any, after: Any, guidance: Any, *, level: float = 0.95, definitions: Definitions | None = None
) -> Any:
    """Which share of last year's targets is no target of 特定保健指導 this year (特定保健指導対象者の減少率)?

    Parameters
    ----------
    before, after
        `guidance_levels(...).people` of one fiscal year and of the next.
    guidance
        The canonical table `guidance`: who received it in the first of the two years.

    Returns
    -------
    pandas for pandas, polars otherwise; a row for those who received guidance (`received`), those who did not, and all:
    group, fiscal_year (the second), targets (of the year before), unseen (no checkup this year), unknown (判定不能 this
    year), not_judged (both), still, started_drugs (out because of a drug), decreased (no longer a target, without a
    drug), numerator, denominator, estimate, lower, upper (Wilson), level, method, estimate_other (drug starters the
    other way), received_rule, drugs_rule, version_before, version_after.

    Raises
    ------
    TableError
        The years do not follow each other, or a frame holds several.

    Notes
    -----
    How 協会けんぽ counts is not published: who has received guidance (`guidance.decrease.received`, first interview)
    and what becomes of people who began a drug (`guidance.decrease.drugs`, out of the denominator) are assumptions.
    Being no target a year later is mostly regression to the mean: the row of those without guidance stands beside it,
    and neither is an effect.
    """
    used = definitions or define()
    rule, drugs = used.text("guidance.decrease.received"), used.text("guidance.decrease.drugs")
    frames.same_engine(before=before, after=after, guidance=guidance)
    first, second = (frames.enter(each, LEVELED, ("person_id", *LEVELED.names)) for each in (before, after))
    (year, was), (next_year, now) = _year_of(first), _year_of(second)
    if next_year != year + 1:
        raise TableError(
            f"続いた2年度ではありません: {year}年度と{next_year}年度", hint="before は after の前年度です。"
        )
    given = frames.enter(guidance, GUIDANCE, ("person_id", "fiscal_year", rule))
    given = given.filter((nw.col("fiscal_year") == year) & ~nw.col(rule).is_null())
    given = given.select("person_id", nw.lit(True).alias("given")).unique("person_id")
    seen = second.select("person_id", nw.col("level").alias("next"), nw.col("target").alias("again"))
    joined = first.filter(sure(nw.col("target"))).select("person_id").join(given, on="person_id", how="left")
    joined = joined.join(seen, on="person_id", how="left").with_columns(_state().alias("state"))
    counts = frames.collect(joined.group_by(sure(nw.col("given")).alias("given"), "state").agg(nw.len().alias("n")))
    base = {"fiscal_year": next_year, "received_rule": rule, "drugs_rule": drugs, "version_before": was}
    groups = {RECEIVED: [True], NOT_RECEIVED: [False], EVERYBODY: [True, False]}
    rows = [_row(name, counts, who, drugs, level) | base | {"version_after": now} for name, who in groups.items()]
    return frames.small(pl.DataFrame(rows, infer_schema_length=None), frames.source_of(before))


def _year_of(lazy: nw.LazyFrame) -> tuple[int, str]:
    found = frames.collect(lazy.select("fiscal_year", "version").unique())
    if len(found) != 1:
        raise TableError(f"階層化の表に年度が{len(found)}個あります。", hint="1つの年度の people を渡してください。")
    return int(found["fiscal_year"][0]), str(found["version"][0])


def _state() -> nw.Expr:
    """What became of a target of the year before?"""
    gone = nw.when(sure(nw.col("next") == ON_DRUGS)).then(nw.lit("started_drugs")).otherwise(nw.lit("decreased"))
    known = nw.when(sure(nw.col("again"))).then(nw.lit("still")).otherwise(gone)
    judged = nw.when(nw.col("again").is_null()).then(nw.lit("unknown")).otherwise(known)
    return nw.when(nw.col("next").is_null()).then(nw.lit("unseen")).otherwise(judged)


def _row(name: str, counts: pl.DataFrame, who: list[bool], drugs: str, level: float) -> dict[str, Any]:
    kept = counts.filter(pl.col("given").is_in(who))
    n = {state: int(kept.filter(pl.col("state") == state)["n"].sum()) for state in _STATES}
    both = {
        "exclude": (n["decreased"], n["decreased"] + n["still"]),
        "count": (n["decreased"] + n["started_drugs"], n["decreased"] + n["started_drugs"] + n["still"]),
    }
    numerator, denominator = both[drugs]
    found = share(numerator, denominator, level=level)
    other = both["count" if drugs == "exclude" else "exclude"]
    return {
        "group": name, "targets": sum(n.values()), **n, "not_judged": n["unknown"] + n["unseen"],
        "numerator": numerator, "denominator": denominator,
        **found, "level": level, "method": "wilson", "estimate_other": share(*other, level=level)["estimate"],
    }  # fmt: skip
