"""Among the eligible, did those who were sent a letter end lower than comparable people who were not? (重み付け)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation._matrix import COVARIATES, Floats, clusters, covariates, fit, independent
from kenpo_analytics.evaluation.estimate import Estimate, Role, TooFew, unavailable, wald

ESTIMAND = (
    "通知の対象となった人に送付し届いたことの、届かなかった場合(辞退・住所不備・不達)に対する、"
    "次回健診の空腹時血糖への平均効果"
)
ASSUMPTION = "送付されるかどうかは、調整した項目のほかには次回健診の値と関係しない(未測定の交絡がない)"
LABELS = {
    "crude": "対象者内の粗い差(調整なし)",
    "ancova": "対象者内の共分散分析",
    "iptw": "対象者内の逆確率重み付け(IPTW)",
    "aipw": "対象者内の二重頑健推定(AIPW)",
    "match": "対象者内の1対1マッチング",
}
TRIM, CALIPER = 0.02, 0.2
FEW = 20
IMBALANCE = 0.1
"""A standardised difference beyond this counts as imbalance (Austin 2011)."""
NAMES = (*COVARIATES, "y0", "hba1c", "sbp", "ldl")


@dataclass(frozen=True)
class Sent:
    """The eligible of the programme era with letter, outcome, covariates and the probability of being sent one."""

    frame: pl.DataFrame
    letter: NDArray[np.bool_]
    x: Floats
    names: list[str]
    score: Floats

    def part(self, kept: NDArray[np.bool_]) -> Sent:
        """Only these people."""
        return Sent(self.frame.filter(pl.Series(kept)), self.letter[kept], self.x[kept], self.names, self.score[kept])


def prepare(people: pl.DataFrame, *, names: Sequence[str] = NAMES) -> Sent:
    """Who may be compared by weighting? The eligible of the programme era; the ineligible are refused.

    Raises
    ------
    EstimateError
        Somebody outside the letter rule is among them: whether one is eligible follows from FPG and HbA1c, so nobody
        of those values could have been in the other group, and no weight makes them comparable (positivity). Or fewer
        than `FEW` people are on one side.
    """
    frame = people.filter(pl.col("era") == "programme") if "era" in people.columns else people
    if frame.filter(~pl.col("eligible")).height:
        raise EstimateError(
            "通知の対象でない人との重み付け比較はできません(対象かどうかは検査値で決まり、重なりがないため)",
            hint="eligible が真の人だけを渡すか、差の差・不連続の設計を使ってください。",
        )
    letter = frame["letter"].to_numpy().astype(bool)
    if min(letter.sum(), (~letter).sum()) < FEW:
        raise TooFew(
            f"送付・不送付のどちらかが{FEW}人に満たないため、比べられません",
            hint="対象者のほとんど全員に送った年度は、差の差か不連続で評価してください。",
        )
    x, used = covariates(frame, names)
    return Sent(frame, letter, x, used, propensity(letter, x))


def _overlaps(score: Floats, trim: float) -> NDArray[np.bool_]:
    return (score >= trim) & (score <= 1 - trim)


def overlapping(sent: Sent, trim: float) -> Sent:
    """Only people whose probability of a letter lies within [trim, 1 - trim].

    Raises
    ------
    TooFew
        That leaves fewer than `FEW` on one side.
    """
    inside = sent.part(_overlaps(sent.score, trim))
    if min(inside.letter.sum(), (~inside.letter).sum()) < FEW:
        raise TooFew(f"送付の確率が重なる範囲に、片方で{FEW}人に満たないため、推定しません")
    return inside


def propensity(letter: NDArray[np.bool_], x: Floats) -> Floats:
    """How probable was a letter for each person? Logistic regression on the covariates (傾向スコア)."""
    import statsmodels.api as sm

    design = np.column_stack([np.ones(len(letter)), x])
    result = sm.GLM(letter.astype(float), design, family=sm.families.Binomial()).fit()
    return np.asarray(result.predict(design), dtype=float)


def weights(letter: NDArray[np.bool_], score: Floats) -> Floats:
    """Which weight makes both groups look like all? Inverse probability of the group that a person is in."""
    return np.where(letter, 1 / score, 1 / (1 - score))


@any_frame
def within_eligible(
    people: pl.DataFrame, *, design: str, level: float = 0.95, role: Role = "sensitivity", trim: float = TRIM
) -> Estimate:
    """Which difference does the letter make among the eligible, by one of `LABELS`?

    Parameters
    ----------
    people
        Analysis set of the eligible: letter, y0, y1 and covariates. People without outcome do not count (see
        `attrition` for weights that make up for them).
    design
        crude (no adjustment, for reference), ancova (difference at equal covariates), iptw, aipw (averages over all
        eligible, ATE), match (1:1 nearest score without replacement, caliper 0.2 of the logit's SD pooled
        within the groups; over the matched).
    trim
        People whose probability of a letter lies outside [trim, 1 - trim] are left out and counted.

    Returns
    -------
    Estimate
        `refused` when too few are on one side. Diagnostics: `balance` (SMD of each covariate before and after),
        `overlap` (people by score in tenths), `trimmed`.

    Raises
    ------
    EstimateError
        Ineligible people are among them.

    Notes
    -----
    Sources: Robins, Rotnitzky, Zhao (1994) JASA 89:846; Lunceford, Davidian (2004) Stat Med 23:2937 (errors of
    AIPW); Austin (2011) Multivariate Behav Res 46:399 (caliper, SMD). Errors are robust, by person where people
    come in several years (matching: by pair); those of IPTW are conservative, since the score is estimated. Matched
    people: regression adjustment for what the pairs still differ in, errors by pair (Ho et al. 2007 Polit Anal
    15:199; Abadie, Spiess 2022 JASA 117:983).
    """
    if design not in LABELS:
        raise EstimateError(f"設計の名前が違います: {design}", hint=f"使える名前: {', '.join(LABELS)}")
    names = (design, LABELS[design], ESTIMAND, ASSUMPTION)
    try:
        sent = prepare(people)
    except TooFew as error:
        return unavailable(*names, reason=error.message, role=role)
    seen = sent.frame["y1"].is_not_null().to_numpy()
    if min((seen & sent.letter).sum(), (seen & ~sent.letter).sum()) < FEW:
        return unavailable(*names, reason=f"次回健診のある人が片方で{FEW}人に満たないため、推定しません", role=role)
    limit = 0.0 if design in ("crude", "ancova") else trim
    try:
        inside = overlapping(sent.part(seen), limit)
        value, size, weight = _ESTIMATORS[design](inside)
    except TooFew as error:
        return unavailable(*names, reason=error.message, role=role)
    table, trimmed = balance(inside, weight), int((~_overlaps(sent.score, limit)).sum())
    counted = inside if design != "match" or weight is None else inside.part(weight > 0)
    return wald(
        *names, value=value, size=size, level=level, role=role, method=_METHODS[design],
        persons=int(counted.letter.sum()), compared=int((~counted.letter).sum()), warnings=tuple(imbalance(table)),
        diagnostics={
            "balance": table,
            "overlap": overlap(sent),
            "trimmed": pl.DataFrame({"trimmed": [trimmed], "of": [sent.frame.height], "limit": [limit]}),
        },
    )  # fmt: skip


_METHODS = {
    "crude": "平均の差、頑健標準誤差",
    "ancova": "共分散分析、頑健標準誤差",
    "iptw": "逆確率重み付き回帰、頑健標準誤差",
    "aipw": "影響関数による標準誤差",
    "match": "組にした人の共分散分析、頑健標準誤差(組)",
}


Answer = tuple[float, float, Floats | None]


def _crude(sent: Sent) -> Answer:
    x = np.column_stack([np.ones(len(sent.letter)), sent.letter.astype(float)])
    result = fit(_y1(sent), x, groups=clusters(sent.frame, "person_id"))
    return float(result.params[1]), float(result.bse[1]), None


def _ancova(sent: Sent) -> Answer:
    x = independent(np.column_stack([np.ones(len(sent.letter)), sent.letter.astype(float), sent.x]), lead=2)
    result = fit(_y1(sent), x, groups=clusters(sent.frame, "person_id"))
    return float(result.params[1]), float(result.bse[1]), None


def _iptw(sent: Sent) -> Answer:
    weight = weights(sent.letter, sent.score)
    x = np.column_stack([np.ones(len(sent.letter)), sent.letter.astype(float)])
    result = fit(_y1(sent), x, weights=weight, groups=clusters(sent.frame, "person_id"))
    return float(result.params[1]), float(result.bse[1]), weight


def _aipw(sent: Sent) -> Answer:
    y, t, e = _y1(sent), sent.letter, sent.score
    x = np.column_stack([np.ones(len(t)), sent.x])
    one, zero = (x @ np.linalg.lstsq(x[group], y[group])[0] for group in (t, ~t))
    psi = one - zero + t * (y - one) / e - ~t * (y - zero) / (1 - e)
    _, person = np.unique(clusters(sent.frame, "person_id"), return_inverse=True)
    own = np.bincount(person, weights=psi - psi.mean())  # people who come in several years count once
    error = np.sqrt((own**2).sum() * len(own) / (len(own) - 1)) / len(psi)
    return float(psi.mean()), float(error), weights(t, e)


def _match(sent: Sent) -> Answer:
    pairs = matched(sent)
    if len(pairs) < FEW:
        raise TooFew(f"マッチングできた組が{FEW}に満たないため、推定しません")
    who = pairs.ravel()  # sent, not sent, sent …
    x = independent(np.column_stack([np.ones(len(who)), sent.letter[who].astype(float), sent.x[who]]), lead=2)
    result = fit(_y1(sent)[who], x, groups=np.repeat(np.arange(len(pairs)), 2))
    weight = np.zeros(len(sent.letter))
    weight[who] = 1.0
    return float(result.params[1]), float(result.bse[1]), weight


_ESTIMATORS = {"crude": _crude, "ancova": _ancova, "iptw": _iptw, "aipw": _aipw, "match": _match}


def _y1(sent: Sent) -> Floats:
    return sent.frame["y1"].cast(pl.Float64).to_numpy()


def matched(sent: Sent) -> NDArray[np.int64]:
    """Which pairs (sent, not sent) have the nearest scores? Smaller group first, greedy, without replacement."""
    logit = np.log(sent.score / (1 - sent.score))
    caliper = CALIPER * np.sqrt((logit[sent.letter].var(ddof=1) + logit[~sent.letter].var(ddof=1)) / 2)
    few, many = (
        (sent.letter, ~sent.letter) if sent.letter.sum() <= (~sent.letter).sum() else (~sent.letter, sent.letter)
    )
    pool = np.flatnonzero(many)
    pool = pool[np.argsort(logit[pool], kind="stable")]
    values, free = logit[pool], np.ones(len(pool), dtype=bool)
    pairs = []
    for i in np.flatnonzero(few)[np.argsort(-logit[few], kind="stable")]:
        j = _nearest(values, free, logit[i], caliper)
        if j >= 0:
            free[j] = False
            pairs.append((i, pool[j]) if sent.letter[i] else (pool[j], i))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _nearest(values: Floats, free: NDArray[np.bool_], value: float, caliper: float) -> int:
    low, high = np.searchsorted(values, [value - caliper, value + caliper], side="left")
    able = np.flatnonzero(free[low : high + 1]) + low
    if not len(able):
        return -1
    best = able[np.argmin(np.abs(values[able] - value))]
    return int(best) if abs(values[best] - value) <= caliper else -1


def imbalance(table: pl.DataFrame) -> Iterator[str]:
    """Does a table of `balance` show differences that the weights left? One sentence, or none."""
    if count := int((table["smd_after"].abs() > IMBALANCE).fill_null(False).sum()):
        yield f"調整の後も、背景の差(標準化差)が{IMBALANCE:g}を超える項目が{count}つ残ります"


def balance(sent: Sent, weight: Floats | None) -> pl.DataFrame:
    """How far apart are both groups in each covariate, before and after weighting or matching? (標準化差, SMD)

    Frame: `covariate`, `smd_before`, `smd_after` (null for designs without weights): mean difference over the SD
    pooled before weighting; beyond 0.1 counts as imbalance.
    """
    t = sent.letter
    pooled = np.sqrt((sent.x[t].var(axis=0, ddof=1) + sent.x[~t].var(axis=0, ddof=1)) / 2)
    pooled = np.where(pooled > 0, pooled, np.nan)

    def gap(w: Floats) -> Any:
        return (np.average(sent.x[t], axis=0, weights=w[t]) - np.average(sent.x[~t], axis=0, weights=w[~t])) / pooled

    after = [None] * len(sent.names) if weight is None else gap(weight).tolist()
    table = {"covariate": sent.names, "smd_before": gap(np.ones(len(t))).tolist(), "smd_after": after}
    return pl.DataFrame(table, schema_overrides={"smd_after": pl.Float64})


def overlap(sent: Sent) -> pl.DataFrame:
    """Do both groups have people at every probability of a letter? Counts by score in steps of 0.1 (positivity)."""
    step = pl.Series("score", np.minimum((sent.score * 10).astype(int), 9) / 10)
    table = pl.DataFrame({"score": step, "letter": sent.letter}).group_by("score").agg(
        sent=pl.col("letter").sum().cast(pl.Int64), not_sent=(~pl.col("letter")).sum().cast(pl.Int64)
    )  # fmt: skip
    every = pl.DataFrame({"score": [i / 10 for i in range(10)]})
    return every.join(table, on="score", how="left").fill_null(0).sort("score")
