"""How many more improved, or fewer worsened, because of the letter? Risk differences (改善・悪化)."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation._matrix import Floats, clusters, fit, independent
from kenpo_analytics.evaluation.estimate import Estimate, Role, TooFew, unavailable, wald
from kenpo_analytics.evaluation.weighting import FEW, TRIM, Sent, overlapping, prepare, weights

ESTIMAND = "通知の対象となった人に送ったことで、次回健診で{}した人の割合が変わった大きさ(ポイント)"
ASSUMPTION = "送付されるかどうかは、調整した項目のほかには改善・悪化と関係しない(未測定の交絡がない)"
WORDS = {"improved": "改善", "worsened": "悪化", "composite": "悪化(糖尿病型か新たな服薬)"}
METHODS = {"gcomp": "標準化(g-計算)", "iptw": "逆確率重み付け"}


@any_frame
def share_difference(
    people: pl.DataFrame, outcome: str, *, method: str = "gcomp", level: float = 0.95, role: Role = "secondary"
) -> Estimate:
    """By how much does the letter change the share of people who improved or worsened?

    A difference of shares on the probability scale (points as a proportion: 0.05 is 5 points), averaged over the
    eligible. Never difference-in-differences on the raw share: shares start at different levels, and even without an
    effect they move by different amounts (measured: coverage 88 % under no effect).

    Parameters
    ----------
    people
        Analysis set of the eligible with boolean columns `improved` and `worsened` (null = no outcome).
    outcome
        "improved", "worsened", or "composite" (see `states.composite`).
    method
        gcomp: logistic model, predicted with and without letter for everybody (delta method). iptw: weighted shares.

    Notes
    -----
    Source: Snowden, Rose, Mortimer (2011) Am J Epidemiol 173:731 (g-computation).
    """
    if outcome not in WORDS or method not in METHODS:
        raise EstimateError(
            f"結果か方法の名前が違います: {outcome}、{method}", hint="improved / worsened / composite、gcomp / iptw"
        )
    names = (
        f"share_{outcome}_{method}",
        f"{WORDS[outcome]}した割合の差({METHODS[method]})",
        ESTIMAND.format(WORDS[outcome]),
        ASSUMPTION,
    )
    seen = people.filter(pl.col(outcome).is_not_null())
    try:
        sent = prepare(seen)
        sent = sent if method == "gcomp" else overlapping(sent, TRIM)
    except TooFew as error:
        return unavailable(*names, reason=error.message, unit="ポイント", role=role)
    y = sent.frame[outcome].cast(pl.Float64).to_numpy()
    if min(y.sum(), (1 - y).sum()) < FEW:
        reason = f"{WORDS[outcome]}した人、またはしなかった人が{FEW}人に満たないため、推定しません"
        return unavailable(*names, reason=reason, unit="ポイント", role=role)
    try:
        value, size = (_gcomp if method == "gcomp" else _weighted)(sent, y)
    except TooFew as error:
        return unavailable(*names, reason=error.message, unit="ポイント", role=role)
    return wald(
        *names, value=value, size=size, level=level, role=role, unit="ポイント",
        method=f"{METHODS[method]}、{'デルタ法' if method == 'gcomp' else '頑健標準誤差'}",
        persons=int(sent.letter.sum()), compared=int((~sent.letter).sum()),
    )  # fmt: skip


def _gcomp(sent: Sent, y: Floats) -> tuple[float, float]:
    import statsmodels.api as sm

    n = len(y)
    x = independent(np.column_stack([np.ones(n), sent.letter.astype(float), sent.x]), lead=2)
    groups = clusters(sent.frame, "person_id")
    several = len(np.unique(groups)) < n
    how = {"cov_type": "cluster", "cov_kwds": {"groups": groups}} if several else {"cov_type": "HC1"}
    result = sm.GLM(y, x, family=sm.families.Binomial()).fit(**how)
    x1, x0 = x.copy(), x.copy()
    x1[:, 1], x0[:, 1] = 1.0, 0.0
    p1, p0 = result.predict(x1), result.predict(x0)
    each = p1 - p0
    gradient = ((p1 * (1 - p1))[:, None] * x1 - (p0 * (1 - p0))[:, None] * x0).mean(axis=0)
    # the second part: who happened to be among the eligible
    variance = gradient @ result.cov_params() @ gradient + each.var(ddof=1) / n
    return float(each.mean()), float(np.sqrt(variance))


def _weighted(sent: Sent, y: Floats) -> tuple[float, float]:
    x = np.column_stack([np.ones(len(y)), sent.letter.astype(float)])
    groups = clusters(sent.frame, "person_id")
    result: Any = fit(y, x, weights=weights(sent.letter, sent.score), groups=groups)
    return float(result.params[1]), float(result.bse[1])


def needed(one: Estimate) -> dict[str, float | None]:
    """How many letters for one more person improved (あと何人, NNT)? Only where the interval leaves out zero.

    `nnt`, `lower`, `upper` (1 / the limits of the difference); all null where no effect is shown: a number needed to
    treat whose interval runs through infinity tells nothing.
    """
    if not one.shows_effect or one.estimate is None or one.lower is None or one.upper is None:
        return {"nnt": None, "lower": None, "upper": None}
    low, high = sorted((abs(1 / one.lower), abs(1 / one.upper)))
    return {"nnt": abs(1 / one.estimate), "lower": low, "upper": high}
