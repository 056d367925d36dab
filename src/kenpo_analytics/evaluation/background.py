"""Who is compared, and how did one get to them? The primary analysis' flow, its four groups, and who was sent one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from kenpo_analytics.evaluation.analysis import AnalysisSet
from kenpo_analytics.evaluation.choices import Choice
from kenpo_analytics.evaluation.did import banded
from kenpo_analytics.evaluation.states import LABELS
from kenpo_analytics.evaluation.subsets import at_letter, first_letters
from kenpo_analytics.evaluation.suite import Groups, groups

LOST = ("open", "left", "unexamined", "late", "before_letter", "no_value")
"""Why a person has no outcome (`analysis.STATES`), in the order of the flow."""
ITEMS = ("age", "male", "y0", "hba1c", "bmi", "sbp", "ldl", "prior")


def flow(analysis: AnalysisSet, choice: Choice, parts: Groups, era: str) -> pl.DataFrame:
    """How does one get from everybody with a usable checkup to the people of the primary comparison, in one era?

    Returns
    -------
    Frame as `Cohort.flow` (kind, key, label, unit, excluded, remaining, status): the base of the analysis set, years,
    first-ever letters, the rule, the bands, every reason for having no outcome; at the end the people of each band.
    """
    years = choice.before if era == "before" else choice.programme
    base = analysis.people.filter(pl.col("era") == era, pl.col("fiscal_year").is_in(years))
    bands = banded(parts.main.filter(pl.col("era") == era), choice.high, choice.low)
    start = "空腹時血糖が使え、血糖の服薬がなく、糖尿病域でない人"
    kept = [("start", start, base.height)]
    first = parts.whole.filter(pl.col("era") == era).height
    asked = bool(
        analysis.people.filter(pl.col("fiscal_year").is_in([*choice.before, *choice.programme]))["repeat"].any()
    )
    repeat = "以前に通知を受けた、または前年すでに対象だった" if asked else "以前に通知を受けた(通知を始めた最初の年度)"
    kept.append(("repeat", repeat, first))
    word = "6.0未満・値なし" if choice.rule == "and" else "6.0以上"
    word = word.replace("6.0", f"{analysis.lines.hba1c:g}")
    kept.append(("rule", f"HbA1cが{word}(空腹時血糖だけでは通知が決まらない)", parts.main.filter(era=era).height))
    low, high = f"{choice.low[0]:g}", f"{choice.high[1]:g}"
    kept.append(("band", f"空腹時血糖が{low}～{high}mg/dLの外", bands.height))
    lost = bands.filter(pl.col("y1").is_null())
    remaining = bands.height
    for state in LOST:
        remaining -= lost.filter(pl.col("outcome_state") == state).height
        kept.append((state, LABELS[state], remaining))
    seen = bands.filter(pl.col("y1").is_not_null())
    ends = [("high", choice.high, seen.filter("high").height), ("low", choice.low, seen.filter(~pl.col("high")).height)]
    told = _as_flow(kept, ends)
    earlier = bands["earlier_eligible"]
    if asked or not earlier.count():
        return told
    count = int(earlier.fill_null(False).sum())
    note = {"kind": "reference", "key": "earlier", "label": "参考: 帯の人のうち、前年すでに対象だった人(除いていない)",
            "unit": "人", "excluded": 0, "remaining": count, "status": "評価"}  # fmt: skip
    return pl.concat([told, pl.DataFrame([note], schema=told.schema)])


def flows(analysis: AnalysisSet, choice: Choice) -> dict[str, pl.DataFrame]:
    """The `flow` of each era that there is: programme, and before where the choice has years before."""
    parts = groups(analysis, choice)
    eras = ("programme", "before") if choice.before else ("programme",)
    return {era: flow(analysis, choice, parts, era) for era in eras}


def _as_flow(
    kept: Sequence[tuple[str, str, int]], ends: Sequence[tuple[str, tuple[float, float], int]]
) -> pl.DataFrame:
    rows = [
        {"kind": "exclude" if i else "start", "key": key, "label": label, "unit": "人",
         "excluded": kept[i - 1][2] - n if i else 0, "remaining": n, "status": "評価"}
        for i, (key, label, n) in enumerate(kept)
    ]  # fmt: skip
    rows += [
        {"kind": "of_which", "key": key, "label": f"うち{band[0]:g}～{band[1]:g}の帯", "unit": "人", "excluded": 0,
         "remaining": n, "status": "評価"}
        for key, band, n in ends
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"excluded": pl.Int64, "remaining": pl.Int64})


def cells(people: pl.DataFrame, choice: Choice) -> pl.DataFrame:
    """Are the people of each band the same in both eras? The four groups that the difference-in-differences compares.

    Frame: `group` (the band), and the columns of `contrast`, `one` being the programme and `other` before it.
    """
    frame = banded(people, choice.high, choice.low)
    parts = []
    for mark, band in ((True, choice.high), (False, choice.low)):
        part = frame.filter(pl.col("high") == mark)
        table = contrast(part, pl.col("programme"))
        parts.append(table.select(pl.lit(f"{band[0]:g}～{band[1]:g}").alias("group"), pl.all()))
    return pl.concat(parts)


def sent(eligible: pl.DataFrame) -> pl.DataFrame:
    """Are the eligible who were sent a letter like those who were not? Columns of `contrast` (one: sent)."""
    return contrast(at_letter(eligible), pl.col("letter"))


def contrast(people: pl.DataFrame, one: pl.Expr, *, items: Sequence[str] = ITEMS) -> pl.DataFrame:
    """How far apart are two groups at the index checkup? One row per item, and a first one for the people.

    Frame: `item`, `n_one`, `mean_one`, `sd_one`, `n_other`, `mean_other`, `sd_other` (n: with a value), `smd`: the
    standardised mean difference, over the SD pooled from both groups (Austin 2011 Multivariate Behav Res 46:399).
    """
    made = {"male": (pl.col("sex") == "M").cast(pl.Float64)} if "sex" in people.columns else {}
    frame = people.with_columns(_one=one, **made)
    rows = [_row(frame, "persons", pl.lit(None, pl.Float64))]
    rows += [_row(frame, item, pl.col(item).cast(pl.Float64)) for item in items if item in frame.columns]
    table = pl.concat(rows)
    spread = ((pl.col("sd_one") ** 2 + pl.col("sd_other") ** 2) / 2).sqrt()
    gap = pl.col("mean_one") - pl.col("mean_other")
    return table.with_columns(smd=pl.when(spread > 0).then(gap / spread))


def _row(frame: pl.DataFrame, item: str, value: pl.Expr) -> pl.DataFrame:
    def of(mark: bool, name: str) -> Iterator[pl.Expr]:
        own = value.filter(pl.col("_one") == mark)
        count = (pl.col("_one") == mark).sum() if item == "persons" else own.count()
        yield count.cast(pl.Int64).alias(f"n_{name}")
        yield own.mean().alias(f"mean_{name}")
        yield own.std().alias(f"sd_{name}")

    return frame.select(pl.lit(item).alias("item"), *of(True, "one"), *of(False, "other"))


def left_out(people: pl.DataFrame) -> pl.DataFrame:
    """Which of the first-ever eligible are compared by letter sent, and why are the others not?

    Frame: `state`, `n`, `denominator`.
    """
    frame = first_letters(people).filter("eligible", pl.col("era") == "programme")
    mailed = pl.when("letter").then(pl.lit("sent")).otherwise(pl.lit("not_sent"))
    state = pl.when(~pl.col("planned")).then(pl.lit("no_plan")).when(~pl.col("present")).then(pl.lit("gone"))
    table = frame.with_columns(state=state.otherwise(mailed)).group_by("state").agg(n=pl.len().cast(pl.Int64))
    return table.with_columns(denominator=pl.col("n").sum()).sort("state", descending=True)
