"""How far would they have fallen without any letter? Regression to the mean (平均への回帰), expected and observed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation._matrix import clusters, covariates, fit, independent
from kenpo_analytics.evaluation.did import CENTRE
from kenpo_analytics.evaluation.estimate import Estimate, Role, TooFew, answer, unavailable
from kenpo_analytics.evaluation.lines import LINES, Lines

NAIVE, PSEUDO = "naive", "pseudo_cohort"
SKEW_LIMIT = 0.5


@dataclass(frozen=True)
class Expected:
    """What the change would be without any effect, under a normal distribution, and how far to trust it."""

    change: float
    mean: float
    sd: float
    correlation: float
    drift: float
    skewness: float
    persons: int
    warning: str | None


def expected_change(
    mean: float, sd: float, correlation: float, lower: float, upper: float = float("inf"), drift: float = 0.0
) -> float:
    """By how much does the mean of people with lower <= Y0 <= upper change if nothing happens but drift?

    drift - (1 - rho) sd [phi(a) - phi(b)] / [Phi(b) - Phi(a)], a and b the standardised limits: the truncated-normal
    form; with upper = infinity that of Gardner and Heady (1973) J Chronic Dis 26:781 and Davis (1976) Am J Epidemiol
    104:493.
    """
    from scipy.special import ndtr

    if not (sd > 0 and -1 <= correlation <= 1 and lower < upper):
        raise EstimateError(
            "平均への回帰を計算できない値です", hint="標準偏差>0、相関-1～1、下限<上限を渡してください。"
        )
    a, b = (lower - mean) / sd, (upper - mean) / sd

    def phi(z: float) -> float:
        return float(np.exp(-z * z / 2) / np.sqrt(2 * np.pi)) if np.isfinite(z) else 0.0

    share = float(ndtr(b) - ndtr(a)) if b < np.inf else float(ndtr(-a))
    if share <= 0:
        raise EstimateError("この範囲に入る人がいない分布です", hint="平均・標準偏差・範囲を確かめてください。")
    return drift - (1 - correlation) * sd * (phi(a) - phi(b)) / share


@any_frame
def expected(people: pl.DataFrame, *, lines: Lines = LINES, below: float | None = None) -> Expected:
    """Which fall does the earlier era let one expect in the band, by the normal formula?

    Mean, SD, lag-1 correlation and drift come from all people of the earlier era (no letters), at the same interval
    as the evaluation. An analysis set ends below the diabetes range; `below` is where (default the end of the
    eligible band where nobody lies above): mean and SD are then those of the whole normal distribution of which the
    lower part is seen, correlation and drift those of the regression line, which the cut leaves as it is. A
    diagnostic, never the estimator: FPG is skewed, and the formula then expects too large a fall (measured: too
    large by 0.94 mg/dL in a skewed world).
    """
    pairs = people.filter((pl.col("era") == "before") & pl.col("y0").is_not_null() & pl.col("y1").is_not_null())
    if pairs.height < 100:
        raise EstimateError(
            "平均への回帰の期待値を出すには、事業前の年度に両方の値のある人が100人要ります",
            hint="事業前の年度を加えてください。",
        )
    y0, y1 = pairs["y0"].to_numpy(), pairs["y1"].to_numpy()
    cut = below or (lines.end if y0.max() < lines.end else np.inf)
    mean, sd = _uncut(y0, cut) if cut < np.inf else (float(y0.mean()), float(y0.std(ddof=1)))
    correlation = float(np.corrcoef(y0, y1)[0, 1]) if cut == np.inf else float(np.polyfit(y0, y1, 1)[0])
    drift = float(y1.mean() - y0.mean()) + (correlation - 1) * (mean - float(y0.mean()))
    skewness = float((((y0 - y0.mean()) / y0.std()) ** 3).mean())
    warning = None
    if abs(skewness) > SKEW_LIMIT:
        warning = f"分布が歪んでいる(歪度{skewness:.1f})ため、正規分布による期待値は下がり方を大きめに見積もります"
    change = expected_change(mean, sd, correlation, lines.cutoff, lines.end, drift=drift)
    return Expected(change, mean, sd, correlation, drift, skewness, pairs.height, warning)


def _uncut(y: np.ndarray, cut: float) -> tuple[float, float]:
    """Mean and SD of the normal distribution whose values below `cut` these are (maximum likelihood)."""
    from scipy.optimize import minimize
    from scipy.special import log_ndtr

    n, first, second = len(y), float(y.mean()), float((y**2).mean())

    def minus(at: np.ndarray) -> float:
        mean, sd = float(at[0]), float(np.exp(at[1]))
        squares = second - 2 * mean * first + mean**2
        return n * (float(at[1]) + squares / (2 * sd**2) + float(log_ndtr((cut - mean) / sd)))

    begin = np.array([first, np.log(y.std())])
    found = minimize(minus, begin, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8})
    return float(found.x[0]), float(np.exp(found.x[1]))


@any_frame
def naive(people: pl.DataFrame, *, level: float = 0.95) -> Estimate:
    """How did people who were sent a letter change? The naive number (単純前後比較), for reference only."""
    frame = people.filter((pl.col("era") == "programme") & pl.col("letter") & pl.col("y1").is_not_null())
    names = (
        NAIVE,
        "単純前後比較(参考。効果ではない)",
        "通知を送った人の、次回健診までの空腹時血糖の変化",
        "高い値で選ばれた人も、通知がなければ値は動かない(成り立たない)",
    )
    if frame.height < 2:
        return unavailable(*names, reason="通知を送り、次回健診の値のある人がいません", role="reference")
    change = (frame["y1"] - frame["y0"]).to_numpy()
    return _mean(names, change, level, "reference", frame.height)


def _mean(names: tuple[str, str, str, str], change: np.ndarray, level: float, role: Role, persons: int) -> Estimate:
    from scipy.special import stdtrit

    size = float(change.std(ddof=1) / np.sqrt(len(change)))
    wide = float(stdtrit(len(change) - 1, (1 + level) / 2)) * size
    middle = float(change.mean())
    return Estimate(
        *names,
        role=role,
        estimate=middle,
        lower=middle - wide,
        upper=middle + wide,
        standard_error=size,
        level=level,
        method="平均の変化、t分布",
        persons=persons,
    )


@any_frame
def pseudo_cohort(people: pl.DataFrame, *, level: float = 0.95, role: Role = "sensitivity") -> Estimate:
    """How much lower did the eligible end than people picked by the same rule before the programme?

    ANCOVA on y0 and covariates: takes up regression to the mean, skewness included, but nothing that changed with the
    calendar (laboratories, drugs, habits).
    """
    names = (
        PSEUDO,
        "同じ基準の事業前の人との差(共分散分析)",
        "通知の対象となった人と、事業前に同じ基準で選んだ人の、次回健診の空腹時血糖の差",
        "通知のほかに、事業の前後で次回健診の値を動かすものがない(暦の変化がない)",
    )
    frame = people.filter(pl.col("eligible") & pl.col("y1").is_not_null())
    programme = (frame["era"] == "programme").to_numpy()
    if min(programme.sum(), (~programme).sum()) < 20:
        reason = "事業前の年度に同じ基準で選んだ人が少ないため、比べられません"
        return unavailable(*names, reason=reason, state="not_identified", role=role)
    x = np.column_stack([np.ones(frame.height), programme, frame["y0"].to_numpy() - CENTRE, covariates(frame)[0]])
    try:
        x = independent(x, lead=2)
    except TooFew as error:
        return unavailable(*names, reason=error.message, role=role)
    result = fit(frame["y1"].to_numpy(), x, groups=clusters(frame, "person_id"))
    counts = {"persons": int(programme.sum()), "compared": int((~programme).sum())}
    how = "共分散分析、頑健標準誤差"
    return answer(*names, result=result, place=1, level=level, role=role, method=how, **counts)
