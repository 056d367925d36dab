"""What did the arms differ by, as they were drawn? The evaluation of an assignment (`trial.assign`), and its arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation._matrix import clusters, covariates, fit, independent
from kenpo_analytics.evaluation._wild import FEW_CLUSTERS
from kenpo_analytics.evaluation._wild import limits as wild
from kenpo_analytics.evaluation.did import CENTRE
from kenpo_analytics.evaluation.estimate import Estimate, Role, TooFew, answer, unavailable
from kenpo_analytics.evaluation.trial_record import KINDS

LABEL = "無作為割付による比較(割り付けどおり)"
DESIGN, FEW = "randomised", 20
ARMS = {"now": "先に送る", "later": "後で送る", "A": "版A", "B": "版B"}


@any_frame
def randomised(
    people: pl.DataFrame,
    *,
    first: str = "now",
    cluster: str | None = None,
    level: float = 0.95,
    role: Role = "primary",
) -> Estimate:
    """What did the first arm gain over the other, as assigned? ANCOVA on y0, covariates and strata.

    `people`: analysis set made with an `assignment`. Everybody counts in the arm that was drawn, whatever happened to
    the letter (intention to treat); groups drawn whole (`unit`) are the clusters. Diagnostics: `arms`, and `adjusted`
    (what the model held beside the arm: y0, covariates, `stratum`; units have no strata, several draws of them `draw`).
    """
    estimand = f"{ARMS[first]}群に割り付けたことの、{ARMS[_other(first)]}群に対する、次回健診の空腹時血糖への平均効果"
    names = (
        DESIGN,
        LABEL,
        estimand,
        "割付が守られ、次回健診を受けるかどうかが割付と結果に関係しない",
    )
    drawn = people.filter(pl.col("assigned").is_not_null())
    seen = drawn.filter(pl.col("y1").is_not_null())
    arms = seen["assigned"].unique().to_list()
    if len(arms) != 2 or first not in arms or seen.group_by("assigned").len()["len"].min() < FEW:  # type: ignore[operator]
        reason = f"割り付けた2群のどちらかで、次回健診のある人が{FEW}人に満たないため、推定しません"
        return unavailable(*names, role=role, reason=reason)
    one = (seen["assigned"] == first).cast(pl.Float64).to_numpy()
    extra, adjusted = covariates(seen)
    parts = [np.ones(seen.height), one, seen["y0"].to_numpy() - CENTRE, extra]
    if "stratum" in seen.columns and seen["stratum"].n_unique() > 1:
        adjusted = [*adjusted, "draw" if "unit" in seen.columns else "stratum"]
        parts.append(seen["stratum"].to_dummies(drop_first=True).cast(pl.Float64).to_numpy())
    groups = clusters(seen, cluster or ("unit" if "unit" in seen.columns else "person_id"))
    y, few = seen["y1"].to_numpy(), (count := len(np.unique(groups))) < FEW_CLUSTERS
    how = "ワイルドクラスターブートストラップ" if few else "頑健標準誤差"
    how += f"(割付のまとまり{count}つの中の相関を考慮)" if "unit" in seen.columns and cluster is None else ""
    try:
        x = independent(np.column_stack(parts), lead=2)
        limits = wild(y, x, 1, groups, level=level) if few else None
    except TooFew as error:
        return unavailable(*names, role=role, reason=error.message)
    found = answer(
        *names, result=fit(y, x, groups=groups), place=1, level=level, role=role,
        method=f"共分散分析、{how}",
        persons=int(one.sum()), compared=int((1 - one).sum()),
        diagnostics={"arms": arms_of(drawn), "adjusted": pl.DataFrame({"covariate": ["y0", *adjusted]})},
    )  # fmt: skip
    return found if limits is None else replace(found, lower=limits[0], upper=limits[1])


def _other(first: str) -> str:
    return next(arm for arms in KINDS.values() if first in arms for arm in arms if arm != first)


def arms_of(drawn: pl.DataFrame) -> pl.DataFrame:
    """What became of each arm? `assigned`, `n`, `observed`; `letters`, `mixed` where days are known.

    `mixed` are people who were sent their letter before the outcome was measured: in the arm that waits they make the
    comparison one of an earlier with a later letter, no longer of a letter with none.
    """
    known = {"letter", "letter_day", "outcome_date"} <= set(drawn.columns)
    mixed = (pl.col("letter_day") < pl.col("outcome_date")) & pl.col("y1").is_not_null()
    counts = {"letters": pl.col("letter").sum(), "mixed": mixed.sum()} if known else {}
    return (
        drawn.group_by("assigned")
        .agg(
            n=pl.len().cast(pl.Int64),
            observed=pl.col("y1").count().cast(pl.Int64),
            **{name: count.cast(pl.Int64) for name, count in counts.items()},
        )
        .with_columns(label=pl.col("assigned").replace_strict(ARMS, return_dtype=pl.String))
        .sort(pl.col("assigned").replace_strict({arm: i for i, arm in enumerate(ARMS)}))
    )


def sides(one: Estimate) -> tuple[str, str] | None:
    """What are the two arms called whose difference this is, first less second? None for designs without lots."""
    arms = one.diagnostics.get("arms")
    if one.design != DESIGN or arms is None or arms.height != 2:
        return None
    first, second = arms["label"].to_list()
    return f"{first}群", f"{second}群"


def of_versions(one: Estimate) -> bool:
    """Do the lots tell two letters apart? Then no design that compares letter with no letter asks the same."""
    arms = one.diagnostics.get("arms")
    return one.design == DESIGN and arms is not None and set(arms["assigned"]) <= set(KINDS["leaflets"])


def as_drawn(people: pl.DataFrame, drawn: Mapping[str, int], *, level: float = 0.95) -> Estimate:
    """What does the draw say of the people whose letter and outcome came after it? Else why it says nothing.

    `people`: an analysis set's people of the programme's years; `drawn`: how many were drawn into each arm, seen or
    not (`AnalysisSet.drawn`). Who had a letter or an outcome before the own draw is left out of both arms and counted
    (`late` of the diagnostic `arms`); 識別不能 where fewer than `FEW` of an arm remain without them.
    """
    names = (LABEL, "割り付けどおりに送ったことの効果", "割付が守られた")
    if "assigned" not in people.columns or not people["assigned"].drop_nulls().len():
        reason = "割付の記録が解析する表にないため、割り付けどおりの比較はできません"
        return unavailable(DESIGN, *names, reason=reason, state="not_identified")
    inside = people.filter(pl.col("assigned").is_not_null())
    first = next(arms[0] for arms in KINDS.values() if inside["assigned"].is_in(arms).any())
    kept = inside.filter(~_late(inside))
    if kept.height < inside.height and min(kept["assigned"].eq(arm).sum() for arm in (first, _other(first))) < FEW:
        reason = "割付より前に送った通知か得られた結果があるため、無作為割付による比較とはいえません"
        return unavailable(DESIGN, *names, reason=reason, state="not_identified")
    late = dict(inside.filter(_late(inside)).group_by("assigned").len().iter_rows())
    return _with_drawn(randomised(kept, first=first, level=level, role="sensitivity"), drawn, late)


def _late(people: pl.DataFrame) -> pl.Series:
    """Who had been sent a letter, or had the outcome known, before the own draw?

    Both are facts from before the lots, so no lot can have moved them: the rest of each arm is still what chance made
    of the people for whom nothing had been decided.
    """
    # A delay by whole groups (`unit`) is no exception: a person is left out for the own past, never for that of
    # colleagues, and those who stay keep their group, its arm and its cluster; colleagues who told of early letters are
    # in both arms alike. Nor is the delay: the outcome is looked for from one day for both arms (`analysis_set`), never
    # from the own letter. A letter counts by the day it was sent: letters known by a planned day only would be missing
    # in the arm that waits, whose letters are not sent yet.
    days = [name for name in ("sent_on", "outcome_date") if name in people.columns]
    if "drawn_on" not in people.columns or not days:
        return pl.repeat(False, people.height, dtype=pl.Boolean, eager=True)
    late = [(pl.col(name) < pl.col("drawn_on")).fill_null(False) for name in days]
    return people.select(late=pl.any_horizontal(late))["late"]


def _with_drawn(one: Estimate, drawn: Mapping[str, int], late: Mapping[str, int]) -> Estimate:
    """The table of arms says how many were drawn, too, and who is not compared: `late`, or `without` such a checkup."""
    arms = one.diagnostics.get("arms")
    if arms is None:
        return one

    def of(counts: Mapping[str, int]) -> pl.Expr:
        return pl.col("assigned").replace_strict(dict(counts), default=None, return_dtype=pl.Int64)

    arms = arms.with_columns(late=of(late).fill_null(0) if late else pl.lit(0, pl.Int64))
    arms = arms.with_columns(drawn=of(drawn) if drawn else pl.col("n") + pl.col("late"))
    arms = arms.with_columns(without=pl.col("drawn") - pl.col("late") - pl.col("n"))
    return replace(one, diagnostics={**one.diagnostics, "arms": arms})
