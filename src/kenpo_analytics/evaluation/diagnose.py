"""Does anything warn of the primary design? Checks of every design's assumption, as small frames and sentences."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from kenpo_analytics.definitions import Definitions
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation import (
    attrition,
    background,
    did,
    did_lost,
    discontinuity,
    doubts,
    regression_to_mean,
    states,
    weighting,
)
from kenpo_analytics.evaluation.analysis import LATER, AnalysisSet
from kenpo_analytics.evaluation.choices import Choice
from kenpo_analytics.evaluation.cost import cost
from kenpo_analytics.evaluation.estimate import Estimate
from kenpo_analytics.evaluation.falsify import falsify, warnings_of
from kenpo_analytics.evaluation.lines import Lines
from kenpo_analytics.evaluation.suite import Groups, groups
from kenpo_analytics.evaluation.trial import DESIGN as RANDOMISED
from kenpo_analytics.stats._checks import normal_quantile

BIN = 3
"""mg/dL of FPG that one point of the figure stands for: single values hold too few people to be shown."""
NAMES = {
    "falsify": "何も見つからないはずの比較", "years": "年次図", "bandwidths": "幅の影響", "cutoffs": "偽の基準値",
    "jump": "不連続の図", "tipping": "脱落の転換点",
    "controls": "陰性対照", "subgroups": "部分集団", "expected": "平均への回帰", "moves": "前後の改善・悪化",
    "states": "次回健診の状態", "evalue": "E値", "left_out": "送付・不送付の比較に入らない人",
    "tipping_primary": "差の差の脱落の転換点", "cells": "4つの群の背景", "sent": "送付あり・なしの背景",
}  # fmt: skip
SHOWN = (
    ("bands", "did_ancova", "bands"), ("balance", "iptw", "balance"), ("overlap", "iptw", "overlap"),
    ("trimmed", "iptw", "trimmed"), ("weights", "iptw_ipcw", "weights"), ("matched", "match", "balance"),
    ("lost", "iptw_ipcw", "lost"), ("arms", "randomised", "arms"),
)  # fmt: skip


@dataclass(frozen=True)
class Checks:
    """Small frames by name, what they warn of for the primary design, and what could not be checked (Japanese)."""

    tables: Mapping[str, pl.DataFrame]
    warnings: tuple[str, ...]
    unchecked: tuple[str, ...]
    essential: tuple[str, ...] = ()  # unchecked, and the primary design says nothing without it
    imputations: int = 20


def diagnose(
    analysis: AnalysisSet, choice: Choice, estimates: Sequence[Estimate], *, level: float = 0.95, imputations: int = 20
) -> Checks:
    """Which assumptions can be looked at, and what do they say?

    Returns
    -------
    Checks. Tables, where the data allow them: falsify (comparisons that must find nothing), bands (first stage), years
    (event study), bandwidths, cutoffs, jump (means and fitted lines by FPG), balance, matched,
    overlap, trimmed, weights, states (what became of everybody), moves (the plan's own before/after), tipping,
    controls, subgroups, expected (regression to the mean). Warnings are those against the **primary** design.
    """
    parts = groups(analysis, choice)
    tables: dict[str, pl.DataFrame] = {}
    unchecked: list[str] = []
    for name, make in _makers(analysis, choice, parts, {one.design: one for one in estimates}, level, imputations):
        try:
            tables[name] = make()
        except EstimateError as error:
            unchecked.append(f"{NAMES[name]}: {error.message}")
    for name, design, part in SHOWN:
        held = next((one.diagnostics for one in estimates if one.design == design), {})
        if part in held:
            tables[name] = held[part]
    if "falsify" in tables:
        unchecked += _silent(tables["falsify"])
    said = (tuple(_warnings(choice, tables)), tuple(unchecked), tuple(_essential(choice, tables)))
    return Checks(tables, *said, imputations)


def _essential(choice: Choice, tables: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    """Parallel trends before the programme: two years without letters are the least that can show them. Mixed arms."""
    if choice.primary == RANDOMISED and "arms" in tables and _mixed(tables["arms"]):
        yield (
            "後で送る群の人も、多くが結果より前に通知を受けているため(人数は「割り付けた群の人数」)、"
            "送ることと送らないことの差ではなく、早く送ることと遅く送ることの差です"
        )
    if choice.primary not in (did.DESIGN, discontinuity.DIFFERENCE) or not choice.before:
        return
    held = tables.get("falsify")
    if held is None or held.filter(pl.col("check") == "placebo_year")["estimate"].drop_nulls().is_empty():
        one = len(choice.before) == 1
        why = "事業前の年度が1つのため" if one else "事業前の年度どうしを比べられないため"
        jump = choice.primary == discontinuity.DIFFERENCE
        what = (
            "基準値での段差が事業前から変わらなかったか"
            if jump
            else "上下の帯が事業前から同じように動いていたか(平行な推移)"
        )
        yield f"{why}、{what}は確かめられていません"


def _mixed(arms: pl.DataFrame) -> bool:
    """Was more than a tenth of the waiting arm sent a letter before its outcome?"""
    if "mixed" not in arms.columns:
        return False
    later = arms.filter(pl.col("assigned") == LATER, pl.col("observed") > 0)
    return bool((later["mixed"] > later["observed"] / 10).any())


def _makers(
    analysis: AnalysisSet, choice: Choice, parts: Groups, named: Mapping[str, Estimate], level: float, imputations: int
) -> Iterator[tuple[str, Callable[[], pl.DataFrame]]]:
    bands, lines = {"high": choice.high, "low": choice.low}, analysis.lines
    inside = analysis.people.filter("eligible", pl.col("fiscal_year").is_in([*choice.before, *choice.years]))
    mailed = analysis.people.filter(pl.col("fiscal_year").is_in(choice.years))
    yield "falsify", partial(falsify, parts.whole, parts.eligible, rule=choice.rule, lines=lines, level=level, **bands)
    if choice.before:
        yield "years", partial(did.by_year, parts.every, reference=max(choice.before), level=level, **bands)
    yield "bandwidths", partial(discontinuity.bandwidths, parts.main, cutoff=lines.cutoff, level=level)
    yield "cutoffs", partial(discontinuity.placebo_cutoffs, parts.main, lines=lines, level=level)
    yield "jump", partial(jump, parts.main, choice.bandwidth, lines.cutoff)
    yield "tipping", partial(attrition.tipping_point, parts.eligible, level=level, imputations=imputations)
    yield "controls", partial(doubts.negative_controls, parts.main, parts.eligible, level=level, **bands)
    yield "subgroups", partial(doubts.subgroups, parts.main, level=level, **bands)
    yield "expected", partial(expected, parts, lines)
    yield "evalue", partial(evalues, parts, choice, named)
    yield "moves", partial(states.moves, parts.eligible, level=level, definitions=analysis.definitions)
    yield "states", partial(_states, inside, analysis.definitions)
    yield "cells", partial(background.cells, parts.main, choice)
    yield "sent", partial(background.sent, parts.eligible)
    if {"planned", "present"} <= set(analysis.people.columns):
        yield "left_out", partial(background.left_out, mailed)
    yield (
        "tipping_primary",
        partial(did_lost.tipping, parts.main, high=choice.high, low=choice.low, level=level, imputations=imputations),
    )


def _silent(table: pl.DataFrame) -> list[str]:
    """Comparisons that must find nothing and could not be made, with the reason."""
    rows = table.filter(pl.col("estimate").is_null(), pl.col("reason").is_not_null())
    return [f"「{row['label']}」かどうか: {row['reason']}" for row in rows.iter_rows(named=True)]


def _states(inside: pl.DataFrame, used: Definitions) -> pl.DataFrame:
    sent = pl.when(pl.col("letter")).then(pl.lit("sent")).otherwise(pl.lit("not_sent"))
    before = pl.when(pl.col("era") == "before").then(pl.lit("before"))
    group = before.when(_reachable(inside)).then(sent).otherwise(pl.lit("gone"))
    return states.states(inside.with_columns(group=group), by=("group",), definitions=used)


def _reachable(people: pl.DataFrame) -> pl.Expr:
    asked = [pl.col(name) for name in ("planned", "present") if name in people.columns]
    return pl.all_horizontal(asked) if asked else pl.lit(True)


def jump(people: pl.DataFrame, bandwidth: float, cutoff: float) -> pl.DataFrame:
    """How does next year's FPG run along FPG, on both sides of the threshold and in both eras? For the figure.

    Frame: `era`, `side`, `y0` (middle of `BIN` mg/dL), `persons`, `estimate` (mean y1), `fitted` (local line, crude).
    """
    seen = discontinuity.near(people, cutoff, bandwidth).filter(pl.col("y1").is_not_null())
    gap = pl.col("y0") - cutoff
    seen = seen.with_columns(
        side=pl.when(gap > 0).then(pl.lit("above")).otherwise(pl.lit("below")),
        middle=cutoff + (gap / BIN).floor() * BIN + BIN / 2,
    )
    rows = []
    for (era, side), part in seen.group_by("era", "side", maintain_order=True):
        if part["y0"].n_unique() < 3:
            continue  # no line through two values
        x, y = part["y0"].to_numpy() - cutoff, part["y1"].cast(pl.Float64).to_numpy()
        slope, level = np.polyfit(x, y, 1, w=np.sqrt(1 - np.abs(x) / bandwidth))
        means = part.group_by(y0="middle").agg(persons=pl.len().cast(pl.Int64), estimate=pl.col("y1").mean())
        fitted = level + slope * (pl.col("y0") - cutoff)
        rows.append(means.with_columns(era=pl.lit(era), side=pl.lit(side), fitted=fitted))
    if not rows:
        raise EstimateError("基準値の近くに、次回健診のある人がいません")
    return pl.concat(rows).select("era", "side", "y0", "persons", "estimate", "fitted").sort("era", "y0")


def expected(parts: Groups, lines: Lines) -> pl.DataFrame:
    """What fall would there have been without letters? By the normal formula, in the years before, and after letters.

    Frame: `what`, `estimate`, `lower`, `upper`, `persons`, `warning`.
    """
    found = regression_to_mean.expected(parts.main, lines=lines)
    before = parts.main.filter(pl.col("era") == "before", pl.col("eligible"), pl.col("y1").is_not_null())
    own = regression_to_mean.naive(before.with_columns(era=pl.lit("programme"), letter=True))
    rows = [
        {
            "what": f"効果がないときに見込まれる変化(正規分布による。歪度{found.skewness:+.2f})",
            "estimate": found.change,
            "persons": found.persons,
            "warning": found.warning or "",
        },
        _change("通知のない事業前に、同じ基準で選んだ人の変化", own),
        _change("通知を送った人の変化(単純前後比較)", regression_to_mean.naive(parts.main)),
    ]
    numbers = dict.fromkeys(("estimate", "lower", "upper"), pl.Float64)
    return pl.DataFrame(rows, schema={"what": pl.String, **numbers, "persons": pl.Int64, "warning": pl.String})


def evalues(parts: Groups, choice: Choice, named: Mapping[str, Estimate]) -> pl.DataFrame:
    """How strong must something unmeasured be to explain an answer by letter sent or not away? (E値)

    Not for the difference-in-differences: what does not change between the eras cancels there, however strong.

    Frame: `design`, `label`, `point`, `limit`; the SD is that of the outcome among the people of the design.
    """
    sd = _sd(parts.eligible)
    asked = [name for name in dict.fromkeys((choice.primary, "iptw", "aipw")) if name in weighting.LABELS]
    wanted = [named[name] for name in asked if name in named]
    rows = []
    for one in (one for one in wanted if one.state == "estimated"):
        found = doubts.e_value(one, sd=sd)
        rows.append({"design": one.design, "label": one.label, "point": found.point, "limit": found.limit})
    return pl.DataFrame(
        rows, schema={"design": pl.String, "label": pl.String, "point": pl.Float64, "limit": pl.Float64}
    )


def _sd(people: pl.DataFrame) -> float | None:
    y = people["y1"].drop_nulls().cast(pl.Float64).to_numpy()
    return float(y.std(ddof=1)) if len(y) > 1 else None


def costs(
    analysis: AnalysisSet, choice: Choice, estimates: Sequence[Estimate], verdict: str, total_yen: float = 0
) -> pl.DataFrame:
    """How many letters, and how many yen, for one more person who improved? Only where the `verdict` is "lower".

    `total_yen` is what the letters of `choice.years` cost together; 0: not given, and no yen are written.
    Frame: `item`, `estimate`, `lower`, `upper`, `reason` (why a line has no number), `letters` (sent in these years).
    """
    letters = analysis.people.filter(pl.col("fiscal_year").is_in(choice.years))["letter"].sum()
    improved = next((one for one in estimates if one.design == "share_improved_gcomp"), None)
    found = cost(total_yen, int(letters), improved, shown=verdict == "lower")
    reason = found["reason"] or ""
    rows = [
        {"item": "改善した人が1人増えるまでの通数(あと何人)", "estimate": found["letters_per_improved"],
         "lower": found["letters_lower"], "upper": found["letters_upper"], "reason": reason},
    ]  # fmt: skip
    if not total_yen:
        missing = "通知の費用(programme_cost_yen)が入力されていないため、計算しません"
        rows = [{"item": "1通当たりの費用(円)", "reason": missing}, *rows]
    else:
        rows = [
            {"item": "1通当たりの費用(円)", "estimate": found["per_letter"], "reason": ""}, *rows,
            {"item": "改善した人1人当たりの費用(円)", "estimate": found["per_improved"], "lower": found["lower"],
             "upper": found["upper"], "reason": reason},
        ]  # fmt: skip
    numbers = dict.fromkeys(("estimate", "lower", "upper"), pl.Float64)
    table = pl.DataFrame(rows, schema={"item": pl.String, **numbers, "reason": pl.String})
    return table.with_columns(letters=pl.lit(int(letters), pl.Int64))


def _change(what: str, one: Estimate) -> dict[str, object]:
    limits = {name: getattr(one, name) for name in ("estimate", "lower", "upper", "persons")}
    return {"what": what, **limits, "warning": ""}


def _warnings(choice: Choice, tables: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    if choice.primary in (did.DESIGN, discontinuity.DIFFERENCE) and "falsify" in tables:
        yield from warnings_of(tables["falsify"])
    controls = tables.get("controls")
    if choice.primary in ("iptw", "aipw", "ancova", "iptw_ipcw") and controls is not None:
        within = controls.filter(pl.col("design").str.starts_with("対象者内"))
        moved = within.filter(_corrected(within) < 1 - within["level"])
        if moved.height:
            yield f"通知で動くはずのない結果が動いています({'、'.join(moved['label'])})"


def _corrected(rows: pl.DataFrame) -> pl.Series:
    """p of each row after Holm's correction, from its interval."""
    from scipy.special import ndtr

    z = np.array([normal_quantile(level) for level in rows["level"]])
    size = ((rows["upper"] - rows["lower"]) / 2).to_numpy() / z
    p = 2 * ndtr(-np.abs(rows["estimate"].to_numpy()) / size)
    return pl.Series(doubts.adjust(p.tolist(), method="holm"), dtype=pl.Float64)


def with_adjusted(rows: pl.DataFrame) -> pl.DataFrame:
    """Which of the many shares still differ when so many were looked at? Adds `p_adjusted` (Benjamini-Hochberg).

    `rows` of a `Decision`; the family are all estimated differences of shares, p by the normal approximation; null in
    the other rows.
    """
    from scipy.special import ndtr

    family = (pl.col("unit") == "ポイント") & (pl.col("standard_error") > 0).fill_null(False)
    chosen = rows.filter(family)
    p = 2 * ndtr(-np.abs(chosen["estimate"].to_numpy() / chosen["standard_error"].to_numpy()))
    table = pl.DataFrame({"design": chosen["design"], "p_adjusted": doubts.adjust(p.tolist())},
                         schema={"design": pl.String, "p_adjusted": pl.Float64})  # fmt: skip
    return rows.join(table, on="design", how="left", maintain_order="left")


def first_outcome(analysis: AnalysisSet, choice: Choice) -> dt.date | None:
    """On which day was the first outcome of the primary years measured? A plan dated later came after outcomes.

    Outcomes of other years that are pooled (`choice.years`) are none of those that the plan chose beforehand.
    """
    declared = pl.col("fiscal_year").is_in(choice.programme)
    days = analysis.people.filter(declared, pl.col("outcome_state") == "observed")["outcome_date"]
    return days.min()  # type: ignore[return-value]
