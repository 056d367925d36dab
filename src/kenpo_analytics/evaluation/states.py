"""Where did everybody end up, and did the same people move more often than before? States, moves, composite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.stats._checks import normal_quantile
from kenpo_analytics.stats.proportions import wilson

LABELS = {
    "improved": "改善(区分)",
    "unchanged": "変わらない",
    "worsened": "悪化(区分、糖尿病型を除く)",
    "diabetes": "糖尿病型(126または6.5以上)",
    "started": "新たに服薬",
    "no_value": "受診したが空腹時血糖の値なし",
    "before_letter": "通知前か通知後90日以内の健診だけ",
    "late": "18か月より後に受診",
    "left": "資格喪失",
    "unexamined": "未受診",
    "open": "期間が終わっていない",
}
"""What became of a person, the first that fits from `started` on upwards: drugs before values."""
MOVES = {"improved": "改善", "worsened": "悪化"}
EXACT = 25
"""Fewer moves than this: the exact test instead of the chi-squared one."""


@any_frame
def composite(people: pl.DataFrame, *, definitions: Definitions | None = None) -> pl.DataFrame:
    """Who came into the diabetes range or started a drug? Adds `composite` (the secondary outcome) to an analysis set.

    True: FPG >= 126, HbA1c >= 6.5, or a glucose drug at the outcome checkup. Null: no value there, or no answer about
    drugs (no answer is not a "no") and nothing else that makes it true.
    """
    reached, known = _diabetes(definitions or define()), pl.col("y1").is_not_null() | pl.col("hba1c1").is_not_null()
    sure = known & pl.col("started").is_not_null()
    worse = reached | pl.col("started").fill_null(False)
    return people.with_columns(composite=pl.when(worse).then(True).when(sure).then(False))


def _diabetes(used: Definitions) -> pl.Expr:
    by_fpg = (pl.col("y1") >= used.number("diabetes.fpg")).fill_null(False)
    return by_fpg | (pl.col("hba1c1") >= used.number("diabetes.hba1c")).fill_null(False)


@any_frame
def states(
    people: pl.DataFrame, *, by: Sequence[str] = ("era", "letter"), definitions: Definitions | None = None
) -> pl.DataFrame:
    """What became of everybody? One row per group and state; the states of a group add up to its people.

    Treatment is a state of its own beside the values, never left out: whoever starts a drug ends lower because of it.

    Returns
    -------
    Frame: the columns of `by`, `state`, `label`, `n` (0 where nobody), `denominator`, `estimate` (share).
    """
    seen = pl.col("outcome_state") == "observed"
    state = (
        pl.when(pl.col("started").fill_null(False)).then(pl.lit("started"))
        .when(~seen).then(pl.col("outcome_state"))
        .when(_diabetes(definitions or define())).then(pl.lit("diabetes"))
        .when(pl.col("improved").fill_null(False)).then(pl.lit("improved"))
        .when(pl.col("worsened").fill_null(False)).then(pl.lit("worsened"))
        .otherwise(pl.lit("unchanged"))
    )  # fmt: skip
    keys = list(by)
    counted = people.with_columns(state=state).group_by(*keys, "state").agg(n=pl.len().cast(pl.Int64))
    order = pl.DataFrame({"state": list(LABELS), "label": list(LABELS.values()), "order": range(len(LABELS))})
    every = people.select(keys).unique().join(order, how="cross") if keys else order
    table = every.join(counted, on=[*keys, "state"], how="left", nulls_equal=True).with_columns(
        pl.col("n").fill_null(0)
    )
    total = pl.col("n").sum().over(keys) if keys else pl.col("n").sum()
    table = table.with_columns(denominator=total).with_columns(estimate=pl.col("n") / pl.col("denominator"))
    return table.sort(*keys, "order").drop("order")


def paired(both: int, only_before: int, only_after: int, neither: int, *, level: float = 0.95) -> dict[str, float]:
    """Did a yes/no answer of the same people change? Shares, their difference in points, and McNemar's test.

    `before`, `after` (shares, with Wilson `*_lower`, `*_upper`), `estimate` (after - before, a proportion) with
    `lower`, `upper` (Wald for paired shares), `relative` (after / before - 1), `statistic`, `p` (exact below `EXACT`
    changes).

    Notes
    -----
    McNemar (1947) Psychometrika 12:153; interval: Agresti (2013) Categorical Data Analysis, 11.1.1.
    """
    from statsmodels.stats.contingency_tables import mcnemar

    n, moved = both + only_before + only_after + neither, only_before + only_after
    if n <= 0:
        raise EstimateError("前後の値がそろった人がいないため、比べられません")
    found: dict[str, float] = {}
    for name, count in (("before", both + only_before), ("after", both + only_after)):
        limits = wilson(np.array([count]), np.array([n]), level=level)
        found |= {name: count / n, f"{name}_lower": float(limits.lower[0]), f"{name}_upper": float(limits.upper[0])}
    difference = (only_after - only_before) / n
    wide = normal_quantile(level) * float(np.sqrt(max(moved - (only_after - only_before) ** 2 / n, 0))) / n
    test: Any = mcnemar([[both, only_before], [only_after, neither]], exact=moved < EXACT, correction=False)
    relative = found["after"] / found["before"] - 1 if found["before"] else float("nan")
    limits_of = {"estimate": difference, "lower": difference - wide, "upper": difference + wide, "relative": relative}
    return found | limits_of | {"statistic": float(test.statistic), "p": float(test.pvalue)}


@any_frame
def moves(people: pl.DataFrame, *, level: float = 0.95, definitions: Definitions | None = None) -> pl.DataFrame:
    """Did the people sent a letter improve more often after it than in the year before it? The plan's own comparison.

    The same people's two yearly steps by FPG category: last year's checkup to the index, index to outcome. **Naive**:
    people are picked for a high index value, so the first step leads up and the second down without any letter.

    Returns
    -------
    Frame of three rows: `measure` (improved, worsened, all), `label`, `n`, and the columns of `paired`; points
    (`estimate`) and relative change (`relative`) apart. Row "all" holds the Stuart-Maxwell test that improved,
    unchanged and worsened have the same shares in both steps (`statistic`, `p`), null where the table has too few.
    """
    used = definitions or define()
    frame = people.filter((pl.col("era") == "programme") & pl.col("letter"))
    frame = frame.filter(pl.col("prior").is_not_null() & pl.col("y1").is_not_null())
    lines = (used.number("prediabetes.fpg.lower"), used.number("diabetes.fpg"))

    def category(name: str) -> np.ndarray:
        return np.searchsorted(np.array(lines), frame[name].to_numpy(), side="right")

    steps = [np.sign(category("y0") - category("prior")), np.sign(category("y1") - category("y0"))]
    rows: list[dict[str, Any]] = []
    for name, label in MOVES.items():
        first, second = (step == (-1 if name == "improved" else 1) for step in steps)
        cells = [
            int((a & b).sum()) for a, b in ((first, second), (first, ~second), (~first, second), (~first, ~second))
        ]
        rows.append({"measure": name, "label": label, "n": frame.height, **paired(*cells, level=level)})
    statistic, p = _homogeneity(*steps)
    rows.append(
        {"measure": "all", "label": "改善・不変・悪化の分布", "n": frame.height, "statistic": statistic, "p": p}
    )
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(level=pl.lit(level))


def _homogeneity(first: np.ndarray, second: np.ndarray) -> tuple[float | None, float | None]:
    from statsmodels.stats.contingency_tables import SquareTable

    table = np.array([[int(((first == i) & (second == j)).sum()) for j in (-1, 0, 1)] for i in (-1, 0, 1)])
    used = (table.sum(axis=0) + table.sum(axis=1)) > 0
    if used.sum() < 2:
        return None, None
    found = SquareTable(table[np.ix_(used, used)], shift_zeros=False).homogeneity()
    return (float(found.statistic), float(found.pvalue)) if np.isfinite(found.pvalue) else (None, None)
