"""What could make the answer wrong? Hidden causes (E値), outcomes that no letter can move, subgroups, many tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation._matrix import COVARIATES, clusters, covariates, fit, independent
from kenpo_analytics.evaluation.did import CENTRE, HIGH, LOW, banded, did
from kenpo_analytics.evaluation.estimate import Estimate, TooFew
from kenpo_analytics.evaluation.weighting import within_eligible

SUBGROUPS = ("sex", "age_group", "bmi_group", "repeat")


@dataclass(frozen=True)
class EValue:
    """How strong must a hidden cause be? `point` explains the estimate away, `limit` makes the interval touch none."""

    point: float
    limit: float


def e_value(one: Estimate, *, sd: float | None = None) -> EValue:
    """How strongly would something unmeasured have to go with both letter and outcome to explain the result?

    On the risk-ratio scale; differences of means are first written as RR = exp(0.91 d), d the difference over the
    outcome's `sd`. 1 means: nothing is needed (the interval holds no effect already).

    Raises
    ------
    EstimateError
        No interval, a difference of shares, or a difference of means without `sd`.

    Notes
    -----
    VanderWeele, Ding (2017) Ann Intern Med 167:268; for differences their appendix (Chinn 2000).
    """
    if one.estimate is None or one.lower is None or one.upper is None:
        raise EstimateError("区間のない推定にはE値を計算できません")
    if one.unit == "ポイント":
        raise EstimateError("割合の差のE値は計算しません", hint="割合の比(リスク比)にしてから計算してください。")
    if one.null_value == 1:
        value, low, high = one.estimate, one.lower, one.upper
    elif sd:
        value, low, high = (float(np.exp(0.91 * number / sd)) for number in (one.estimate, one.lower, one.upper))
    else:
        raise EstimateError(
            "平均の差のE値には、結果の標準偏差が要ります", hint="sd= に次回健診の値の標準偏差を渡してください。"
        )
    near = low if value > 1 else high
    inside = low <= 1 <= high
    return EValue(_bound(value), 1.0 if inside else _bound(near))


def _bound(ratio: float) -> float:
    ratio = 1 / ratio if ratio < 1 else ratio
    return ratio + float(np.sqrt(ratio * (ratio - 1)))


@any_frame
def negative_controls(
    people: pl.DataFrame, eligible: pl.DataFrame | None = None, *, level: float = 0.95, **bands: tuple[float, float]
) -> pl.DataFrame:
    """Does the design find an effect where there cannot be one? Each row should hold 0.

    height: body height at the outcome checkup; prior: last year's FPG, before the letter; before_letter: FPG at a
    checkup after the index but before the letter could act. Each by the difference-in-differences of `people`, and by
    letter sent or not among `eligible` where they are given.

    Returns
    -------
    Frame: `control`, `label`, `design`, `estimate`, `lower`, `upper`, `level`, `persons`, `warns` (0 lies outside).
    """
    rows = []
    for name, label, column in (
        ("height", "身長の変化(cm)", None),
        ("prior", "通知の前年の空腹時血糖(mg/dL)", "prior"),
        ("before_letter", "通知の前に受けた健診の空腹時血糖(mg/dL)", "y_before_letter"),
    ):
        frame = _as_outcome(people, name, column)
        if frame is None:
            continue
        found = [did(frame, level=level, **bands)]  # type: ignore[arg-type]
        eligible = frame.filter(pl.col("eligible"))
        if {"letter", "eligible"} <= set(frame.columns):
            found.append(within_eligible(eligible, design="ancova", level=level))
        rows += [
            {"control": name, "label": label, "design": one.label, "estimate": one.estimate, "lower": one.lower,
             "upper": one.upper, "level": level, "persons": one.persons, "warns": one.shows_effect}
            for one in found if one.state == "estimated"
        ]  # fmt: skip
    texts = dict.fromkeys(("control", "label", "design"), pl.String)
    numbers = dict.fromkeys(("estimate", "lower", "upper", "level"), pl.Float64)
    schema = {**texts, **numbers, "persons": pl.Int64, "warns": pl.Boolean}
    return pl.DataFrame(rows, schema=schema)


def _as_outcome(people: pl.DataFrame, name: str, column: str | None) -> pl.DataFrame | None:
    """The analysis set with the control in place of the outcome; a covariate that is the control leaves the model."""
    if name == "height":
        if not {"height", "height1"} <= set(people.columns):
            return None
        return people.with_columns(y1=pl.col("height1") - pl.col("height"))
    if column not in people.columns:
        return None
    frame = people.with_columns(y1=pl.col(column))
    return frame.drop("prior") if column == "prior" else frame


@any_frame
def subgroups(people: pl.DataFrame, *, level: float = 0.95, **bands: tuple[float, float]) -> pl.DataFrame:
    """Is the effect another in some people? The difference-in-differences in each subgroup, with interaction tests.

    Returns
    -------
    Frame: `subgroup`, `value`, `estimate`, `lower`, `upper`, `level`, `persons`, `p_interaction` (of the subgroup, the
    same on its rows), `p_adjusted` (Benjamini-Hochberg over the subgroups). A subgroup's own interval says nothing
    about a difference between subgroups; the interaction does.
    """
    frame = grouped(people)
    rows: list[dict[str, Any]] = []
    tests: dict[str, float | None] = {}
    for name in (name for name in SUBGROUPS if name in frame.columns and frame[name].drop_nulls().n_unique() > 1):
        for (value,), part in frame.filter(pl.col(name).is_not_null()).group_by(name, maintain_order=True):
            one = did(part, level=level, **bands)  # type: ignore[arg-type]
            rows.append({"subgroup": name, "value": str(value), "estimate": one.estimate, "lower": one.lower,
                         "upper": one.upper, "level": level, "persons": one.persons})  # fmt: skip
        tests[name] = _interaction(frame, name, **bands)
    known = {name: p for name, p in tests.items() if p is not None}
    adjusted = dict(zip(known, adjust(list(known.values())), strict=True))
    floats = dict.fromkeys(("estimate", "lower", "upper"), pl.Float64)
    texts = dict.fromkeys(("subgroup", "value"), pl.String)
    schema = {**texts, **floats, "level": pl.Float64, "persons": pl.Int64}
    table = pl.DataFrame(rows, schema=schema)
    return table.with_columns(
        p_interaction=pl.col("subgroup").replace_strict(tests, return_dtype=pl.Float64),
        p_adjusted=pl.col("subgroup").replace_strict(adjusted, default=None, return_dtype=pl.Float64),
    ).sort("subgroup", "value")


def grouped(people: pl.DataFrame) -> pl.DataFrame:
    """Subgroups declared beforehand: age from 55, BMI from 25 (肥満), an earlier letter."""
    made = {}
    if "age" in people.columns:
        made["age_group"] = pl.when(pl.col("age") >= 55).then(pl.lit("55歳以上")).otherwise(pl.lit("55歳未満"))
    if "bmi" in people.columns:
        high = pl.when(pl.col("bmi") >= 25).then(pl.lit("BMI25以上")).otherwise(pl.lit("BMI25未満"))
        made["bmi_group"] = pl.when(pl.col("bmi").is_not_null()).then(high)
    return people.with_columns(**made)


def _interaction(frame: pl.DataFrame, name: str, **bands: tuple[float, float]) -> float | None:
    """p of the subgroup x band x era terms in one model (Wald, robust); null where a cell is empty."""
    seen = banded(frame, bands.get("high", HIGH), bands.get("low", LOW))
    seen = seen.filter(pl.col("y1").is_not_null(), pl.col(name).is_not_null())
    values = seen[name].unique(maintain_order=True).to_list()
    high, era = (seen[column].cast(pl.Float64).to_numpy() for column in ("high", "programme"))
    y0 = seen["y0"].to_numpy() - CENTRE
    parts, places = [np.ones(seen.height), high, era, high * era, y0 * high, y0 * (1 - high)], []
    for value in values[1:]:
        mark = (seen[name] == value).cast(pl.Float64).to_numpy()
        parts += [mark, mark * high, mark * era, mark * y0]
        places.append(len(parts))
        parts.append(mark * high * era)
    names = [each for each in COVARIATES if (each, name) != ("male", "sex")]
    try:
        x = independent(np.column_stack([*parts, covariates(seen, names)[0]]), lead=len(parts))
    except TooFew:
        return None
    result = fit(seen["y1"].to_numpy(), x, groups=clusters(seen, "person_id"))
    picked = np.zeros((len(places), x.shape[1]))
    picked[np.arange(len(places)), places] = 1.0
    return float(result.wald_test(picked, use_f=False, scalar=True).pvalue)


def adjust(p: Sequence[float], *, method: str = "fdr_bh") -> list[float]:
    """Which p values remain when so many were looked at? Benjamini-Hochberg, or "holm" for declared primary ones."""
    if not p:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(list(p), method=method)[1]]
