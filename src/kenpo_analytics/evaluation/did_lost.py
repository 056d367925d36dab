"""What if the people whom the difference-in-differences lost were others? Weights for the seen, and a tipping point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from kenpo_analytics.errors import ParameterError
from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation._matrix import Floats, clusters, covariates, fit, independent
from kenpo_analytics.evaluation.attrition import CLIP, DELTAS, closed, draws, pooled, seen_chance
from kenpo_analytics.evaluation.did import (
    ASSUMPTION,
    CENTRE,
    ESTIMAND,
    FEW,
    HIGH,
    LOW,
    NO_BEFORE,
    banded,
    matrix,
    smallest,
)
from kenpo_analytics.evaluation.estimate import Estimate, Role, TooFew, answer, unavailable
from kenpo_analytics.stats._checks import normal_quantile

DESIGN, LABEL = "did_ipcw", "差の差: 次回健診のない人を重みで補う(IPCW)"
LOST = ASSUMPTION + "。次回健診を受けるかどうかは、帯・時期・調整した項目のほかには次回健診の値と関係しない"


@any_frame
def did_ipcw(
    people: pl.DataFrame,
    *,
    high: tuple[float, float] = HIGH,
    low: tuple[float, float] = LOW,
    level: float = 0.95,
    role: Role = "sensitivity",
) -> Estimate:
    """Which difference-in-differences would there be had everybody been seen again?

    In each of the four cells (era x band) two logistic models on FPG and the covariates: still enrolled a year on, and
    examined given enrolled. The seen are weighted by the inverse of their product (not below `CLIP`). People whose
    window is still open do not count. Loss that depends on the outcome itself is not repaired: `tipping`.

    Notes
    -----
    Source: Robins, Hernan, Brumback (2000) Epidemiology 11:550. Errors are robust, the weights taken as known.
    """
    try:
        frame = banded(closed(people), high, low)
    except ParameterError as error:
        return unavailable(DESIGN, LABEL, ESTIMAND, LOST, reason=error.message, role=role)
    if frame.filter(pl.col("era") == "before").is_empty():
        return unavailable(DESIGN, LABEL, ESTIMAND, LOST, reason=NO_BEFORE, state="not_identified", role=role)
    seen = frame.filter(pl.col("y1").is_not_null())
    if smallest(seen) < FEW:
        reason = f"帯と時期で分けた群に、次回健診のある人が{FEW}人に満たないものがあるため、推定しません"
        return unavailable(DESIGN, LABEL, ESTIMAND, LOST, reason=reason, role=role)
    x, place = matrix(seen)
    try:
        x, chance = independent(x, lead=place + 1), _weights(frame)
    except TooFew as error:
        return unavailable(DESIGN, LABEL, ESTIMAND, LOST, reason=error.message, role=role)
    weight = chance[frame["y1"].is_not_null().to_numpy()]
    result = fit(seen["y1"].to_numpy(), x, weights=weight, groups=clusters(seen, "person_id"))
    persons = seen.filter(pl.col("high") & pl.col("programme")).height
    return answer(
        DESIGN, LABEL, ESTIMAND, LOST, result=result, place=place, level=level, role=role,
        method="重み付き共分散分析、頑健標準誤差", persons=persons, compared=seen.height - persons,
    )  # fmt: skip


def _weights(frame: pl.DataFrame) -> Floats:
    seen = frame["y1"].is_not_null().to_numpy()
    stayed = (
        frame["enrolled1"].fill_null(True).to_numpy() | seen if "enrolled1" in frame.columns else np.ones_like(seen)
    )
    x = np.column_stack([(frame["y0"].to_numpy() - CENTRE) / 10, covariates(frame)[0]])
    high, era = (frame[name].to_numpy() for name in ("high", "programme"))
    found = np.zeros(len(seen))
    for cell in (high & era, high & ~era, ~high & era, ~high & ~era):
        found[cell] = seen_chance(seen[cell], stayed[cell], _varying(x[cell]))
    return np.where(seen, 1 / np.clip(found, CLIP, 1), 0.0)


def _varying(x: Floats) -> Floats:
    """A cell in which a covariate does not vary has no coefficient for it."""
    kept = independent(np.column_stack([np.ones(len(x)), x]), lead=1)
    return kept[:, 1:]


@any_frame
def tipping(
    people: pl.DataFrame,
    *,
    high: tuple[float, float] = HIGH,
    low: tuple[float, float] = LOW,
    deltas: Sequence[float] = DELTAS,
    level: float = 0.95,
    imputations: int = 20,
    seed: int = 1,
) -> pl.DataFrame:
    """How different must the unseen of the mailed band be to change the primary result? (転換点、差の差)

    Each unseen person of the four cells gets a draw from the regression of the difference-in-differences among the
    seen; those of the mailed band in the programme era get `delta` mg/dL more. Pooled by Rubin's rules.

    Returns
    -------
    Frame: `delta`, `estimate`, `lower`, `upper`, `level`, `excludes_zero`.

    Raises
    ------
    EstimateError, ParameterError
        Too few people were seen; bands that cannot be.
    """
    frame = banded(closed(people), high, low)
    y = frame["y1"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    full, place = matrix(frame)
    seen, x = ~np.isnan(y), independent(full, lead=place + 1)
    moved = (frame["high"] & frame["programme"]).to_numpy().astype(float)
    made = draws(y, x, seen, imputations, np.random.default_rng(seed))
    rows, groups = [], clusters(frame, "person_id")
    for delta in deltas:
        fits = [fit(np.where(seen, y, drawn + delta * moved), x, groups=groups) for drawn in made]
        value, size = pooled([float(f.params[place]) for f in fits], [float(f.bse[place]) for f in fits])
        wide = normal_quantile(level) * size
        rows.append({"delta": delta, "estimate": value, "lower": value - wide, "upper": value + wide, "level": level})
    return pl.DataFrame(rows).with_columns(excludes_zero=(pl.col("lower") > 0) | (pl.col("upper") < 0))
