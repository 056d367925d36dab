"""What would other designs say? Small preparations for trying one programme in every way (探索)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions.national import plan_receivables
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation import landmark, time_series
from kenpo_analytics.evaluation.analysis import AnalysisSet, usual_day
from kenpo_analytics.evaluation.decide import STATES
from kenpo_analytics.evaluation.doubts import grouped
from kenpo_analytics.evaluation.estimate import ROLES, Estimate, as_rows, unavailable
from kenpo_analytics.evaluation.letters import programmes_of
from kenpo_analytics.evaluation.trial import detectable, persons_needed
from kenpo_analytics.months import month_index
from kenpo_analytics.tables import KPI_MONTHLY, MAILINGS

OUTCOMES = {"fpg": "mg/dL", "hba1c": "%", "height": "cm"}
"""Next year's fasting glucose, HbA1c, and the change of body height (which no letter moves)."""
DIGITS = {"fpg": 1, "hba1c": 2, "height": 2}  # decimals of the outcome; of its effects one more
NAMES = {"fpg": "次回健診の空腹時血糖", "hba1c": "次回健診のHbA1c", "height": "次回健診までの身長の変化"}
OF_GLUCOSE = ("expected", "moves", "states", "tipping", "tipping_primary", "evalue", "cost")
CHECKS = ("arms", "falsify", "bandwidths", "cutoffs", "controls", "left_out", "tipping_primary", "weights", "tipping")
"""The diagnostics that the laboratory shows beside the figure of the years."""
STRATA = ("age_group", "sex", "bmi_group")
STEPS = (200, 400, 800, 1600, 3200)
EFFECTS = {"fpg": (0.5, 1.0, 2.0, 4.0), "hba1c": (0.02, 0.05, 0.1, 0.2), "height": (0.05, 0.1, 0.2, 0.5)}
BASELINES = {"fpg": "y0", "hba1c": "hba1c", "height": "height"}
"""Which differences are asked about (in its unit), and the value at the index checkup that is adjusted for."""


def with_outcome(analysis: AnalysisSet, outcome: str) -> AnalysisSet:
    """The same people with another outcome in the place of y1; FPG still decides bands and threshold.

    Raises
    ------
    EstimateError
        Not one of `OUTCOMES`.
    """
    if outcome not in OUTCOMES:
        raise EstimateError(f"結果の名前が違います: {outcome}", hint=f"使える名前: {', '.join(OUTCOMES)}")
    columns = {"fpg": pl.col("y1"), "hba1c": pl.col("hba1c1"), "height": pl.col("height1") - pl.col("height")}
    return replace(analysis, people=analysis.people.with_columns(y1=columns[outcome]))


def fitting(tables: Mapping[str, pl.DataFrame], outcome: str) -> dict[str, pl.DataFrame]:
    """Which diagnostics speak of this outcome? Those that shift or sort glucose by mg/dL only of glucose."""
    return {name: table for name, table in tables.items() if outcome == "fpg" or name not in OF_GLUCOSE}


def in_unit(estimates: Sequence[Estimate], outcome: str) -> list[Estimate]:
    """The estimates of a value, in the unit of the outcome; of another one without those that speak of glucose."""
    kept = [one for one in estimates if one.unit == "mg/dL" and (outcome == "fpg" or one.design != "naive")]
    return kept if outcome == "fpg" else [_spoken(one, outcome) for one in kept]


def _spoken(one: Estimate, outcome: str) -> Estimate:
    """Unit, estimand and assumption name the outcome that was really looked at."""
    said = {name: getattr(one, name).replace(NAMES["fpg"], NAMES[outcome]) for name in ("estimand", "assumption")}
    return replace(one, unit=OUTCOMES[outcome], **said)


def stratum_cells(eligible: pl.DataFrame, *, strata: str = "age_group", outcome: str = "improved") -> pl.DataFrame:
    """How many of the eligible had the outcome, with and without letter, in each stratum? For `stratified`.

    Frame: `strata` (one of `STRATA`), exposed_events, exposed, control_events, control. EstimateError for other strata.
    """
    if strata not in STRATA:
        raise EstimateError(f"層の名前が違います: {strata}", hint=f"使える名前: {', '.join(STRATA)}")
    frame = grouped(eligible).filter(pl.col(outcome).is_not_null(), pl.col(strata).is_not_null())
    sent, had = pl.col("letter"), pl.col(outcome)
    table = frame.group_by(pl.col(strata).cast(pl.String)).agg(
        exposed_events=(sent & had).sum(), exposed=sent.sum(), control_events=(~sent & had).sum(), control=(~sent).sum()
    )
    return table.with_columns(pl.exclude(strata).cast(pl.Int64)).sort(strata)


def debt_strata(since: int) -> pl.DataFrame:
    """How many debts were collected by kind of name, in each year from `since` on? For `stratified`, by fiscal year.

    Raises
    ------
    EstimateError
        The published debts do not have years both before `since` and from it on.
    """
    table = _debts(since).filter(pl.col("fiscal_year") >= since)
    sides = {"外国人": ("exposed_events", "exposed"), "日本人": ("control_events", "control")}
    parts = [
        table.filter(group=group).select(
            "fiscal_year", pl.col("events").alias(events), pl.col("persons").alias(persons)
        )
        for group, (events, persons) in sides.items()
    ]
    return parts[0].join(parts[1], on="fiscal_year", validate="1:1").sort("fiscal_year")


def debt_groups(since: int) -> pl.DataFrame:
    """The same before and from the year `since` in which leaflets began, by group: for `stratified.between_groups`."""
    era = pl.when(pl.col("fiscal_year") < since).then(pl.lit("before")).otherwise(pl.lit("programme"))
    return _debts(since).group_by("group", era.alias("era"), maintain_order=True).agg(pl.col("events", "persons").sum())


def _debts(since: int) -> pl.DataFrame:
    table = plan_receivables()
    years = sorted(table["fiscal_year"].unique())
    if since not in years[1:]:
        raise EstimateError(
            f"債権の案内を始めた年度({since})の前と後の両方の公表値がありません",
            hint=f"使える年度: {'、'.join(map(str, years[1:]))}(公表値は{years[0]}～{years[-1]}年度)",
        )
    return table


def monthly_series(kpi_monthly: Any, kpi_id: str, *, branch: str, per: float = 1000.0) -> pl.DataFrame:
    """One KPI of a branch as a monthly series: `month`, `numerator`, `value` (per 1,000); provisional months left out.

    Raises
    ------
    EstimateError
        No final month of this KPI.
    """
    wanted = ["branch", "kpi_id", "month", "numerator", "denominator", "state"]
    rows = frames.collect(frames.enter(kpi_monthly, KPI_MONTHLY, wanted))
    rows = rows.filter(pl.col("branch") == branch, pl.col("kpi_id") == kpi_id, pl.col("state") == "final")
    if rows.is_empty():
        raise EstimateError(
            f"支部 {branch} の指標 {kpi_id} の確定した月がありません",
            hint="kpi_monthly にある支部と指標の名前を確かめてください。",
        )
    value = per * pl.col("numerator") / pl.col("denominator")
    return rows.select("month", pl.col("numerator").round(0).cast(pl.Int64), value=value).sort("month")


def no_visits(visits: pl.DataFrame, mailings: Any, *, programme: str, fiscal_year: int) -> str | None:
    """Why can nobody be followed from the month of this programme's letters? A Japanese reason, or None."""
    if programme not in (there := programmes_of(mailings)):
        return f"該当なし: 通知(mailings)に、事業「{programme}」の記録がありません(ある事業: {'、'.join(there)})。"
    if visits.is_empty():
        return f"該当なし: {fiscal_year}年度の健診で、受診までの期間を見る人(未治療者)が1人もいません。"
    return None


def visits_after_letter(
    visits: pl.DataFrame, mailings: Any, *, programme: str, fiscal_year: int, months: int
) -> tuple[list[Estimate], str]:
    """Who sees a doctor within `months` of the letter? `landmark.landmark`, else none, and why (`no_visits`)."""
    if reason := no_visits(visits, mailings, programme=programme, fiscal_year=fiscal_year):
        return [], reason
    return [landmark.landmark(with_letters(visits, mailings, programme=programme), months=months)], ""


def with_letters(visits: pl.DataFrame, mailings: Any, *, programme: str) -> pl.DataFrame:
    """Followed people with `letter` (sent) and `begin`: its day, or the day on which it would have gone out.

    `visits` has record_id and checkup_date (`first_visit`); whoever got none begins on the day planned for them, else
    on the usual day of their checkup's month (`analysis.usual_day`).
    """
    rows = frames.collect(
        frames.enter(mailings, MAILINGS, ["record_id", "programme", "planned_date", "sent_date", "status"])
    )
    sent = pl.col("status") == "sent"
    rows = rows.filter(pl.col("programme") == programme, pl.col("record_id").is_not_null())
    day = rows.group_by("record_id").agg(
        letter=sent.any(),
        sent=pl.coalesce("sent_date", "planned_date").filter(sent).min(),
        due=pl.col("planned_date").min(),
    )
    joined = visits.join(day, on="record_id", how="left").with_columns(
        pl.col("letter").fill_null(False), own=pl.coalesce("sent", "due")
    )
    return joined.with_columns(begin=pl.coalesce("own", usual_day(joined))).drop("sent", "due", "own")


def interrupted_series(
    kpi_monthly: Any, kpi_id: str, *, branch: str, start: str, control: str = ""
) -> tuple[list[Estimate], dict[str, pl.DataFrame]]:
    """Did a branch's monthly KPI change its level or slope in the month `start`? `control`: another branch beside it.

    Returns
    -------
    The two estimates of `time_series.interrupted`, and small frames: series (`series_lines`), residuals, dates (months
    in which nothing began). Both are empty without `kpi_monthly` (None).
    """
    if kpi_monthly is None:
        return [], {}
    own = monthly_series(kpi_monthly, kpi_id, branch=branch)
    other = monthly_series(kpi_monthly, kpi_id, branch=control) if control else None
    level, slope = time_series.interrupted(own, start=start, control=other, unit="件(千人当たり)")
    return [level, slope], {
        "series": series_lines(level, own),
        "residuals": level.diagnostics["residuals"],
        "dates": time_series.placebo_dates(own, start=start),
    }


def strata_table(common: Estimate, *, strata: str) -> dict[str, pl.DataFrame]:
    """The strata behind a `stratified` estimate as the diagnostic `strata`; none where it could not be estimated."""
    held = common.diagnostics.get("strata")
    return {} if held is None else {"strata": held.rename({strata: "stratum"})}


def series_lines(level: Estimate, series: pl.DataFrame) -> pl.DataFrame:
    """A series with its fit and what the trend before would have led to, one row per line and month, for a figure.

    Frame: `kind` (value, fitted, expected from the start on), `month`, `estimate`, `numerator`.
    """
    fit = level.diagnostics["fit"].join(series.select("month", "numerator"), on="month", how="left")
    long = fit.unpivot(["value", "fitted", "expected"], index=["month", "numerator", "after"], variable_name="kind",
                       value_name="estimate")  # fmt: skip
    return long.filter((pl.col("kind") != "expected") | pl.col("after")).drop("after")


def labelled(estimates: Sequence[Estimate]) -> pl.DataFrame:
    """Estimates as rows with the Japanese names of state and role, without any no rows. Here nothing is primary."""
    none = unavailable("", "", "", "", reason="")  # a frame of no rows has columns, too
    return (
        as_rows([*estimates, none])
        .head(len(estimates))
        .with_columns(
            role_label=pl.when(role="reference").then(pl.lit(ROLES["reference"])).otherwise(pl.lit("探索")),
            state_label=pl.col("state").replace_strict(STATES, return_dtype=pl.String),
        )
    )


def letters_a_year(mailings: Any, *, programme: str, through: int) -> int:
    """For how many checkups were letters planned in the twelve months up to `through` (YYYYMM)? Today's mailing."""
    rows = frames.collect(frames.enter(mailings, MAILINGS, ["record_id", "programme", "planned_date"]))
    last = month_index(through)
    month = pl.col("planned_date").dt.year().cast(pl.Int32) * 12 + pl.col("planned_date").dt.month() - 1
    own = rows.filter(pl.col("programme") == programme, month > last - 12, month <= last)
    return own["record_id"].drop_nulls().n_unique()


def power_table(
    eligible: pl.DataFrame,
    yearly: int,
    *,
    outcome: str = "fpg",
    steps: Sequence[int] = STEPS,
    effects: Sequence[float] | None = None,
) -> pl.DataFrame:
    """How many people would a randomised mailing need? From the spread and follow-up of those mailed until now.

    `yearly`: letters a year as they are sent today (`letters_a_year`); `outcome`: what y1 holds (`with_outcome`), which
    decides the unit, the differences asked about (`EFFECTS`) and the baseline whose correlation counts.

    Frame: `question` (detectable / needed), `persons`, `years` (of today's mailing), `effect` and its `unit`, `power`,
    `level`, and what was assumed: `outcome` (in Japanese), `sd`, `correlation`, `seen`, `letters` (a year). Persons
    count both arms before anybody is lost.
    """
    both = eligible.filter(pl.col("y1").is_not_null())
    if both.height < 30:
        raise EstimateError("検出力を計算するには、次回健診の値のある人が30人要ります")
    sd = float(both["y1"].cast(pl.Float64).to_numpy().std(ddof=1))
    seen = both.height / eligible.height
    pairs = both.select(BASELINES[outcome], "y1").drop_nulls()
    facts = {"sd": sd, "correlation": float(pairs.select(pl.corr(*pairs.columns)).item()), "seen": seen}
    plans = [detectable(n, **facts) for n in steps]
    rows = [("detectable", plan.persons, plan.detectable, plan.power, plan.level) for plan in plans]
    asked = effects or EFFECTS[outcome]
    rows += [("needed", persons_needed(effect, **facts), abs(effect), 0.8, 0.95) for effect in asked]
    table = pl.DataFrame(rows, schema=["question", "persons", "effect", "power", "level"], orient="row")
    years = pl.col("persons") / yearly if yearly else pl.lit(None, pl.Float64)
    said = facts | {"outcome": NAMES[outcome], "unit": OUTCOMES[outcome]}
    return table.with_columns(years=years, letters=pl.lit(yearly, pl.Int64), **{k: pl.lit(v) for k, v in said.items()})
