"""What if those who were not seen again differ? Leaving and non-examination modelled apart, and a tipping point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation._matrix import Floats, clusters, fit, independent, kept
from kenpo_analytics.evaluation.estimate import Estimate, Role, TooFew, answer, unavailable
from kenpo_analytics.evaluation.weighting import (
    ASSUMPTION,
    ESTIMAND,
    FEW,
    TRIM,
    balance,
    imbalance,
    overlapping,
    prepare,
    propensity,
    weights,
)
from kenpo_analytics.stats._checks import normal_quantile

LOST = ASSUMPTION + "。次回健診を受けるかどうかは、調整した項目と通知のほかには次回健診の値と関係しない"
CLIP = 0.02
"""A smaller probability of being seen counts as this: no one person stands for more than 50."""
DELTAS = (-8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0)


def closed(people: pl.DataFrame) -> pl.DataFrame:
    """Without people whose outcome window has not closed yet: they are not lost, they are not due."""
    if "outcome_state" not in people.columns:
        return people
    return people.filter(pl.col("outcome_state").is_null() | (pl.col("outcome_state") != "open"))


def seen_weights(frame: pl.DataFrame, letter: NDArray[np.bool_], x: Floats) -> Floats:
    """Which weight makes the people seen again look like all? 1 / (P still enrolled x P examined given enrolled).

    Two logistic models with letter, covariates and letter x covariates: whoever left the insurer and whoever stayed
    and did not come are lost for different reasons. 0 for people without outcome.
    """
    seen = frame["y1"].is_not_null().to_numpy()
    stayed = (
        frame["enrolled1"].fill_null(True).to_numpy() | seen if "enrolled1" in frame.columns else np.ones_like(seen)
    )
    t = letter.astype(float)
    design = np.column_stack([t, x, x * t[:, None]])
    return np.where(seen, 1 / np.clip(seen_chance(seen, stayed, design), CLIP, 1), 0.0)


def seen_chance(seen: NDArray[np.bool_], stayed: NDArray[np.bool_], design: Floats) -> Floats:
    """How probable was it that each was seen again? Still enrolled x examined given enrolled, logistic models."""
    return _chance(stayed, design) * _chance_among(seen, stayed, design)


def _chance(happened: NDArray[np.bool_], design: Floats) -> Floats:
    return np.ones(len(happened)) if happened.all() else propensity(happened, design)


def _chance_among(happened: NDArray[np.bool_], among: NDArray[np.bool_], design: Floats) -> Floats:
    import statsmodels.api as sm

    if happened[among].all():
        return np.ones(len(happened))
    x = np.column_stack([np.ones(len(happened)), design])
    model = sm.GLM(happened[among].astype(float), x[among], family=sm.families.Binomial()).fit()
    return np.asarray(model.predict(x), dtype=float)


@any_frame
def iptw_ipcw(people: pl.DataFrame, *, level: float = 0.95, role: Role = "sensitivity") -> Estimate:
    """Which difference would the letter make had everybody been seen again? IPTW x IPCW among the eligible.

    Parameters
    ----------
    people
        Analysis set of the eligible, with those not seen again (y1 null) and `enrolled1`. People whose window is still
        open do not count.

    Returns
    -------
    Estimate. Diagnostics: `lost`, `weights`, `balance` (by both weights together); it warns as IPTW does of
    differences that the weights leave.

    Notes
    -----
    Weighting cannot repair loss that depends on the outcome itself (MNAR; measured bias -1.0 mg/dL): `tipping_point`
    shows how much of that would overturn the result. Source: Robins, Hernán, Brumback (2000) Epidemiology 11:550.
    """
    names = ("iptw_ipcw", "対象者内の重み付け(送付と追跡、IPTW×IPCW)", ESTIMAND, LOST)
    try:
        sent = overlapping(prepare(closed(people)), TRIM)
    except TooFew as error:
        return unavailable(*names, reason=error.message, role=role)
    seen = sent.frame["y1"].is_not_null().to_numpy()
    if min((seen & sent.letter).sum(), (seen & ~sent.letter).sum()) < FEW:
        return unavailable(*names, reason=f"次回健診のある人が片方で{FEW}人に満たないため、推定しません", role=role)
    weight = weights(sent.letter, sent.score) * seen_weights(sent.frame, sent.letter, sent.x)
    x = np.column_stack([np.ones(seen.sum()), sent.letter[seen].astype(float)])
    groups = clusters(sent.frame, "person_id")[seen]
    table = balance(sent.part(seen), weight[seen])
    result: Any = fit(sent.frame["y1"].drop_nulls().to_numpy(), x, weights=weight[seen], groups=groups)
    return answer(
        *names, result=result, place=1, level=level, role=role, method="重み付き回帰、頑健標準誤差",
        persons=int((seen & sent.letter).sum()), compared=int((seen & ~sent.letter).sum()),
        warnings=tuple(imbalance(table)),
        diagnostics={"lost": lost(sent.frame, sent.letter), "weights": _spread(weight[seen]), "balance": table},
    )  # fmt: skip


def lost(frame: pl.DataFrame, letter: NDArray[np.bool_]) -> pl.DataFrame:
    """Who was not seen again, by letter and reason? `letter`, `outcome_state`, `n`, `denominator`, `share`."""
    table = (
        frame.with_columns(letter=pl.Series(np.where(letter, "sent", "not_sent")))
        .group_by("letter", "outcome_state")
        .agg(n=pl.len().cast(pl.Int64))
    )
    table = table.with_columns(denominator=pl.col("n").sum().over("letter"))
    return table.with_columns(share=pl.col("n") / pl.col("denominator")).sort("letter", "outcome_state")


def _spread(weight: Floats) -> pl.DataFrame:
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    return pl.DataFrame(
        {"mean": [weight.mean()], "largest": [weight.max()], "persons": [len(weight)], "effective": [effective]}
    )


@any_frame
def tipping_point(
    people: pl.DataFrame, *, deltas: Sequence[float] = DELTAS, level: float = 0.95, imputations: int = 20, seed: int = 1
) -> pl.DataFrame:
    """How different must the unseen be to overturn the result? Delta-adjusted multiple imputation (tipping point).

    Each unseen person gets a draw from the regression of y1 on letter, covariates and letter x covariates among the
    seen; those who were sent a letter get `delta` mg/dL more. ANCOVA on everybody, pooled by Rubin's rules; delta 0 is
    loss that depends only on what was adjusted for (MAR).

    Returns
    -------
    Frame: `delta`, `estimate`, `lower`, `upper`, `level`, `excludes_zero`.

    Notes
    -----
    Sources: Rubin (1987) Multiple Imputation for Nonresponse; Cro et al. (2020) Stat Med 39:2815 (delta adjustment).
    """
    sent = prepare(closed(people))
    y = sent.frame["y1"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    seen, t = ~np.isnan(y), sent.letter.astype(float)
    x = independent(np.column_stack([np.ones(len(y)), t, sent.x]), lead=2)
    made = draws(y, np.column_stack([x, sent.x * t[:, None]]), seen, imputations, np.random.default_rng(seed))
    rows, groups = [], clusters(sent.frame, "person_id")
    for delta in deltas:
        fits = [fit(np.where(seen, y, drawn + delta * t), x, groups=groups) for drawn in made]
        value, size = pooled([float(f.params[1]) for f in fits], [float(f.bse[1]) for f in fits])
        wide = normal_quantile(level) * size
        rows.append({"delta": delta, "estimate": value, "lower": value - wide, "upper": value + wide, "level": level})
    table = pl.DataFrame(rows)
    return table.with_columns(excludes_zero=(pl.col("lower") > 0) | (pl.col("upper") < 0))


def draws(y: Floats, x: Floats, seen: NDArray[np.bool_], imputations: int, rng: np.random.Generator) -> list[Floats]:
    """Values for everybody from the posterior of a linear model with flat prior: coefficients, variance and noise."""
    x = x[:, kept(x[seen], lead=1)]  # what varies only among the unseen has no coefficient
    q, r = np.linalg.qr(x[seen])
    freedom = int(seen.sum()) - x.shape[1]
    middle = np.linalg.solve(r, q.T @ y[seen])
    squares = float(((y[seen] - x[seen] @ middle) ** 2).sum())
    made = []
    for _ in range(imputations):
        sd = np.sqrt(squares / rng.chisquare(freedom))
        coefficients = middle + sd * np.linalg.solve(r, rng.standard_normal(x.shape[1]))
        made.append(x @ coefficients + sd * rng.standard_normal(len(y)))
    return made


def pooled(values: Sequence[float], sizes: Sequence[float]) -> tuple[float, float]:
    """Rubin's rules: mean, and within plus (1 + 1/m) between variance."""
    m = len(values)
    within = float(np.mean(np.square(sizes)))
    between = float(np.var(values, ddof=1)) if m > 1 else 0.0
    return float(np.mean(values)), float(np.sqrt(within + (1 + 1 / m) * between))
