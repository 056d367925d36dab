"""Where must the difference-in-differences find nothing, and does it? Placebo years, groups, lines and institutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation._matrix import clusters, covariates, fit, independent
from kenpo_analytics.evaluation.did import ASSUMPTION, ESTIMAND, by_year, did
from kenpo_analytics.evaluation.discontinuity import covariate_jumps, density, diff_in_disc
from kenpo_analytics.evaluation.doubts import adjust, negative_controls
from kenpo_analytics.evaluation.estimate import POWER_Z, Estimate, unavailable, wald
from kenpo_analytics.evaluation.lines import LINES, Lines
from kenpo_analytics.evaluation.subsets import restricted
from kenpo_analytics.stats._checks import normal_quantile

WARNINGS = {
    "placebo_year": "事業前の年度どうしを比べても「効果」が出る(プラセボ年度)",
    "placebo_group": "空腹時血糖では通知が決まらない人にも「効果」が出る(プラセボ群)",
    "event_study": "事業前の年度から、帯どうしの差が動いていた(年次推移)",
    "slope": "通知の届かない範囲でも、値の高い人ほど事業前後の動き方が違う",
    "guidance": "保健指導の基準(100)でも、事業前後で段差が変わった",
    "covariates": "基準値の前後で、通知より前の特徴に段差がある",
    "density": "基準値のすぐ上の人数の偏りが、事業の時期に変わった",
    "negative_control": "通知では変わらないはずの結果にも「効果」が出る(陰性対照)",
    "institution": "特定の健診機関で、事業の時期に値の水準が2mg/dLを超えてずれている",
}
TRIPLE = "基準値で変わるほかのもの(結果票など)の事業前後の変化は、空腹時血糖で通知が決まる人と決まらない人で同じ"
SHIFT, LEAST = 2.0, 50
"""mg/dL: the size of effect that letters are sent for; a laboratory that moves more could make it. People per cell."""
_ROWS = {
    "check": pl.String,
    "label": pl.String,
    "item": pl.String,
    "estimate": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "p": pl.Float64,
    "detectable": pl.Float64,
    "reason": pl.String,
}
_Row = dict[str, Any]


@any_frame
def falsify(
    people: pl.DataFrame,
    eligible: pl.DataFrame | None = None,
    *,
    rule: str | None = None,
    lines: Lines = LINES,
    level: float = 0.95,
    **bands: Any,
) -> pl.DataFrame:
    """What does each comparison that must find nothing say, and which warn?

    Parameters
    ----------
    people
        The whole analysis set (all values of FPG), or with `rule` None people who are all under one rule by FPG.
    eligible
        First-ever eligible who could be sent a letter (`suite.groups`): negative controls by letter sent or not.
    rule
        "and" / "or": restricts to people for whom FPG decides, and adds the placebo group of the others.
    level
        Of the limits; a row warns at 1 - level after Holm's correction over the rows of its own check.
    bands
        `high`, `low` as in `did`.

    Returns
    -------
    Frame: `check` (`WARNINGS`), `label`, `item`, `estimate`, `lower`, `upper`, `p`, `p_holm`, `warns` (by
    `p_holm`), `notes` (by `p` alone), `alarm` (警告, 注意, なし; ― where not evaluated), `detectable` (what
    the row would have found in four of five), `reason` (why it was not evaluated: estimate null).

    Notes
    -----
    What each sees is measured by tests/simulation in worlds where the design must fail: docs/evaluation.md. Not
    corrected over the checks: each asks something else, and a correction over all of them would disarm every one.
    """
    inside = people if rule is None else restricted(people, rule, lines)
    below = inside.filter(pl.col("y0") < lines.cutoff)
    parts: dict[str, Callable[[], Iterator[_Row]]] = {
        "placebo_year": lambda: iter([_of(placebo_year(inside, level=level, **bands))]),
        "event_study": lambda: _event_study(inside, level, bands),
        "slope": lambda: _slope(people, level, lines),
        "guidance": lambda: iter([_of(diff_in_disc(below, cutoff=lines.kink, level=level))]),
        "covariates": lambda: _limited(covariate_jumps(inside, cutoff=lines.cutoff, level=level), "covariate", level),
        "density": lambda: _density(inside, level, lines),
        "negative_control": lambda: _limited(_named(inside, eligible, level, bands), "label", level),
        "institution": lambda: _institutions(people, level),
    }
    if rule is not None:
        parts["placebo_group"] = lambda: iter([_of(placebo_group(people, rule, lines=lines, level=level, **bands))])
    rows = [{"check": name, "label": WARNINGS[name], **row} for name, part in parts.items() for row in _tried(part)]
    table = pl.DataFrame([{name: row.get(name) for name in _ROWS} for row in rows], schema=_ROWS)
    table = pl.concat([_corrected(part) for _, part in table.group_by("check", maintain_order=True)])
    table = table.with_columns(
        warns=(pl.col("p_holm") < 1 - level).fill_null(False), notes=(pl.col("p") < 1 - level).fill_null(False)
    )
    alarm = pl.when("warns").then(pl.lit("警告")).when("notes").then(pl.lit("注意"))
    return table.with_columns(alarm=alarm.when(pl.col("p").is_null()).then(pl.lit("―")).otherwise(pl.lit("なし")))


def _corrected(part: pl.DataFrame) -> pl.DataFrame:
    adjusted = iter(adjust(part["p"].drop_nulls().to_list(), method="holm"))
    holm = [None if p is None else next(adjusted) for p in part["p"].to_list()]
    return part.with_columns(p_holm=pl.Series(holm, dtype=pl.Float64))


def warnings_of(table: pl.DataFrame, *, by: str = "warns") -> list[str]:
    """Which assumptions do the data speak against? Sentences for `decide(warnings=…)`; silence is no proof."""
    found = table.filter(by).group_by("label", maintain_order=True).agg(pl.col("item").drop_nulls())
    return [f"{label}: {'、'.join(items[:3])}" if items else label for label, items in found.iter_rows()]


@any_frame
def placebo_year(people: pl.DataFrame, **options: Any) -> Estimate:
    """Does the difference-in-differences find an effect in a year without letters? It must not.

    The last year before the programme plays the programme, the earlier ones stay before. Options as in `did`.
    Not evaluated (with the reason) with fewer than two years before the programme.
    """
    frame = people.filter(pl.col("era") == "before")
    years = sorted(frame["fiscal_year"].unique()) if frame.height else []
    label = "プラセボ年度(事業前の年度を事業とみなした差の差)"
    if len(years) < 2:
        reason = "評価していません: 事業前の年度が2つ以上要ります"
        return unavailable("placebo_year", label, ESTIMAND, ASSUMPTION, reason=reason, role="diagnostic")
    last = pl.when(pl.col("fiscal_year") == years[-1]).then(pl.lit("programme")).otherwise(pl.lit("before"))
    made = did(frame.with_columns(era=last), **{"role": "diagnostic", **options})
    return replace(made, design="placebo_year", label=f"{label}: {years[-1]}年度")


@any_frame
def placebo_group(people: pl.DataFrame, rule: str, *, lines: Lines = LINES, **options: Any) -> Estimate:
    """Does the difference-in-differences find an effect among people whose letter FPG does not decide? It must not.

    By "and" they have HbA1c below 6.0 (nobody is sent one), by "or" 6.0 and more (everybody is): in both, the bands do
    not differ in letters, but in everything else that 110 changes. It is the only check that sees a result sheet whose
    effect grew with the programme.
    """
    made = did(restricted(people, "or" if rule == "and" else "and", lines), **{"role": "diagnostic", **options})
    label = "プラセボ群(空腹時血糖で通知が決まらない人の差の差)"
    return replace(made, design="placebo_group", label=label)


@any_frame
def triple(people: pl.DataFrame, rule: str, *, lines: Lines = LINES, **options: Any) -> Estimate:
    """How much larger is the difference-in-differences where FPG decides the letter than where it does not?

    Takes out whatever else changed at 110 with the programme (a result sheet whose effect grew), at the price of a
    wider interval: a sensitivity analysis for what `placebo_group` is too weak to see. Two groups of people, taken as
    independent. Options as in `did`.
    """
    one = did(restricted(people, rule, lines), **options)
    two = placebo_group(people, rule, lines=lines, **options)
    names = ("did_triple", "差の差の差(空腹時血糖で通知が決まる人 − 決まらない人)", ESTIMAND, TRIPLE)
    if one.estimate is None or two.estimate is None or not one.standard_error or not two.standard_error:
        short = one if one.estimate is None else two
        return unavailable(*names, reason=short.reason or "", state=short.state, role=one.role)
    value, error = one.estimate - two.estimate, float(np.hypot(one.standard_error, two.standard_error))
    compared = sum(n for n in (one.compared, two.persons, two.compared) if n is not None)
    method = "2つの差の差の差、頑健標準誤差"
    return wald(
        *names, value=value, size=error, level=one.level, role=one.role, method=method, persons=one.persons,
        compared=compared,
    )  # fmt: skip


def _tried(part: Callable[[], Iterator[_Row]]) -> list[_Row]:
    try:
        return list(part())
    except EstimateError as error:
        return [{"reason": error.message}]


def _of(one: Estimate) -> _Row:
    if one.estimate is None or not one.standard_error:
        return {"reason": one.reason}
    return _row(None, one.estimate, one.standard_error, normal_quantile(one.level))


def _row(item: str | None, estimate: float, error: float, z: float, *, beyond: float = 0.0) -> _Row:
    """One row; p is of |estimate| <= `beyond`."""
    from scipy.special import ndtr

    p = min(1.0, float(2 * ndtr(-max(abs(estimate) - beyond, 0.0) / error)))
    limits = {"lower": estimate - z * error, "upper": estimate + z * error}
    return {"item": item, "estimate": estimate, **limits, "p": p, "detectable": beyond + POWER_Z * error}


def _limited(table: pl.DataFrame, item: str, level: float) -> Iterator[_Row]:
    z = normal_quantile(level)
    for row in table.filter(pl.col("upper") > pl.col("lower")).iter_rows(named=True):
        yield _row(str(row[item]), row["estimate"], (row["upper"] - row["lower"]) / 2 / z, z)


def _named(people: pl.DataFrame, eligible: pl.DataFrame | None, level: float, bands: Any) -> pl.DataFrame:
    """Negative controls, each with the design that read it: two designs read the same control."""
    return negative_controls(people, eligible, level=level, **bands).with_columns(
        label=pl.col("label") + "、" + pl.col("design").str.split("(").list.first()
    )


def _event_study(people: pl.DataFrame, level: float, bands: Any) -> Iterator[_Row]:
    years = sorted(people.filter(pl.col("era") == "before")["fiscal_year"].unique())
    if len(years) < 3:  # of two years the placebo year already speaks
        yield {"reason": "評価していません: 事業前の年度が3つ以上要ります"}
        return
    table = by_year(people, reference=years[-1], level=level, **bands)
    yield from _limited(table.filter(pl.col("era") == "before"), "fiscal_year", level)


def _slope(people: pl.DataFrame, level: float, lines: Lines) -> Iterator[_Row]:
    """Below the letter's line nobody is sent one: how much more did next year's value fall there per 10 mg/dL of y0?"""
    seen = people.filter(pl.col("y0").is_between(80, lines.cutoff) & ~pl.col("eligible") & pl.col("y1").is_not_null())
    programme = (seen["era"] == "programme").cast(pl.Float64).to_numpy()
    if min(programme.sum(), (1 - programme).sum()) < LEAST:
        yield {"reason": f"評価していません: 基準値より下の人が、事業前か事業の時期に{LEAST}人に満たない"}
        return
    y0, above = seen["y0"].to_numpy() / 10 - 10, (seen["y0"] > lines.kink).cast(pl.Float64).to_numpy()
    own = [np.ones(seen.height), programme, y0, y0**2, above, above * programme, y0 * programme]
    x = independent(np.column_stack([*own, covariates(seen)[0]]), lead=len(own))
    result = fit(seen["y1"].to_numpy(), x, groups=clusters(seen, "person_id"))
    place = len(own) - 1
    yield _row("10mg/dLあたり", float(result.params[place]), float(result.bse[place]), normal_quantile(level))


def _density(people: pl.DataFrame, level: float, lines: Lines) -> Iterator[_Row]:
    """Log of the heap just above the line in the programme era over that before letters."""
    z, heaps = normal_quantile(level), density(people, cutoff=lines.cutoff, level=level)
    table = {row["era"]: row for row in heaps.iter_rows(named=True)}
    if set(table) != {"before", "programme"}:
        yield {"reason": "評価していません: 事業前と事業の両方の時期が要ります"}
        return
    errors = [(np.log(row["upper"]) - np.log(row["lower"])) / 2 / z for row in table.values()]
    gap = float(np.log(table["programme"]["ratio"]) - np.log(table["before"]["ratio"]))
    side = "多い" if gap > 0 else "少ない"
    yield _row(f"事業の時期に{side}、比{np.exp(gap):.2f}", gap, float(np.hypot(*errors)), z)


def _institutions(people: pl.DataFrame, level: float) -> Iterator[_Row]:
    """The institution whose mean index value moved furthest from the others' between the eras, beyond `SHIFT`."""
    if "institution" not in people.columns:
        yield {"reason": "評価していません: 健診機関の列がありません"}
        return
    grouped = people.filter(pl.col("institution").is_not_null()).group_by("institution", "era")
    cells = grouped.agg(n=pl.len(), mean=pl.col("y0").mean(), variance=pl.col("y0").var()).filter(pl.col("n") >= LEAST)
    before, after = (cells.filter(pl.col("era") == era) for era in ("before", "programme"))
    both = before.join(after, on="institution", suffix="_after").sort("institution")
    if both.height < 3:
        yield {"reason": f"評価していません: 両方の時期に{LEAST}人以上いる健診機関が3つに満たない"}
        return
    change = (both["mean_after"] - both["mean"]).to_numpy()
    errors = np.sqrt((both["variance"] / both["n"] + both["variance_after"] / both["n_after"]).to_numpy())
    apart = change - np.median(change)
    most = int(np.argmax((np.abs(apart) - SHIFT) / errors))
    name, z = f"{both['institution'][most]}({both.height}機関中最大)", normal_quantile(level)
    row = _row(name, float(apart[most]), float(errors[most]), z, beyond=SHIFT)
    yield {**row, "p": min(1.0, row["p"] * both.height)}  # the furthest of so many
