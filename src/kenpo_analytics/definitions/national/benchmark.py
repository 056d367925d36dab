"""Where does a prefecture stand at equal age? Age-standardised shares from NDB Open Data, with bounds for masking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.definitions.national.exceedance import UNRANKED, allocations, ndb_exceedance
from kenpo_analytics.definitions.national.published import CREDIT, NATION, POPULATION, jhia_branch_visit
from kenpo_analytics.errors import DefinitionError
from kenpo_analytics.stats.estimate import FloatArray
from kenpo_analytics.stats.proportions import wilson
from kenpo_analytics.stats.ranks import DIRECTION, rank
from kenpo_analytics.stats.standardise import direct_share


@dataclass(frozen=True)
class Measure:
    """A line drawn in a metric: the share at or above `threshold`."""

    id: str
    metric: str
    threshold: float
    label: str


MEASURES = (
    Measure("hba1c_65", "HbA1c", 6.5, "HbA1c 6.5%以上"),
    Measure("hba1c_60", "HbA1c", 6.0, "HbA1c 6.0%以上"),
    Measure("sbp_140", "SBP", 140.0, "収縮期血圧 140mmHg以上"),
    Measure("ldl_140", "LDL", 140.0, "LDLコレステロール 140mg/dL以上"),
    Measure("bmi_25", "BMI", 25.0, "BMI 25以上"),
)
_SEX = {"M": "男", "F": "女"}


def prefecture_benchmark(measures: Sequence[Measure] = MEASURES, *, level: float = 0.95) -> pl.DataFrame:
    """What share is at or above each line, by prefecture and sex, if all had the nation's age mix?

    All insurers, 40-74, FY2022 (see `population`), treated people included: no test of a branch against the nation.

    Returns
    -------
    One row per measure, area (47 prefectures, 不明 = 都道府県判別不可, 全国) and sex: line (label and sex), measure,
    label, metric,
    threshold, unit, area, prefecture, sex, numerator, denominator (printed totals, exact), crude, estimate
    (age-standardised share), estimate_low and estimate_high (bounds over every way the masked cells can be filled;
    equal to the estimate where nothing is masked), masked, lower and upper (interval at `level`, of the low and the
    high bound), level, method, nation (the rebuilt national share), gap, gap_lower, gap_upper (minus the nation,
    which is taken as fixed), rank (1 = lowest of 47; null for 不明 and 全国), rank_best and rank_worst (over the
    masking bounds), rank_moves (do they differ?), rank_direction, tested_share (HbA1c over SBP measured; null for other
    metrics, whose rank it does not touch), standard, population, credit.

    Notes
    -----
    Standard: the age mix (5-year bands) of the rebuilt national denominator of the same metric and sex, so that the
    nation's standardised share is its crude one. Its own masked cells (tens of people in millions) take an equal part
    each. Interval: `stats.standardise.direct_share`.
    """
    if not measures:
        raise DefinitionError("比較する指標が1つも指定されていません。")
    tables = []
    for measure in measures:
        cells = ndb_exceedance(measure.metric, measure.threshold)
        for sex in _SEX:
            tables.append(_one(measure, sex, cells.filter(pl.col("sex") == sex), level))
    return pl.concat(tables).with_columns(pl.lit(POPULATION).alias("population"), pl.lit(CREDIT).alias("credit"))


def branch_visit_benchmark(*, level: float = 0.95) -> pl.DataFrame:
    """What share of notified people saw a doctor within 10 months, with its interval? The branches that are published.

    One row per branch and checkup_fy, in published order: branch (name), checkup_fy, numerator, denominator, estimate,
    lower, upper (Wilson), level, method, source. Branches that are not published (三重 among them) have no row.
    """
    table = jhia_branch_visit()
    limits = wilson(table["numerator"].to_numpy(), table["denominator"].to_numpy(), level=level)
    return table.select(
        "branch", "checkup_fy", "numerator", "denominator",
        (pl.col("numerator") / pl.col("denominator")).alias("estimate"),
        pl.Series("lower", limits.lower), pl.Series("upper", limits.upper),
        pl.lit(level).alias("level"), pl.lit("wilson").alias("method"), "source",
    )  # fmt: skip


def _one(measure: Measure, sex: str, cells: pl.DataFrame, level: float) -> pl.DataFrame:
    mix = cells.filter(pl.col("area") == NATION).sort("age_band")["denominator"].to_numpy()
    records = [_row(part.sort("age_band"), mix, level) for _, part in cells.group_by(["area"], maintain_order=True)]
    rows = pl.DataFrame(records, infer_schema_length=None)
    nation = float(rows.filter(pl.col("area") == NATION)["crude"].item())
    rows = _ranked(rows).with_columns(
        pl.lit(nation).alias("nation"),
        pl.when(pl.col("area") == NATION).then(0.0).otherwise(pl.col("estimate") - nation).alias("gap"),
        (pl.col("lower") - nation).alias("gap_lower"),
        (pl.col("upper") - nation).alias("gap_upper"),
    )
    standard = f"NDB10-FY2022全国再集計(47都道府県+判別不可)、{measure.metric}測定者、{_SEX[sex]}、5歳階級の年齢構成"
    return rows.select(
        pl.lit(f"{measure.label} {_SEX[sex]}").alias("line"),
        pl.lit(measure.id).alias("measure"),
        pl.lit(measure.label).alias("label"),
        pl.lit(measure.metric).alias("metric"),
        pl.lit(measure.threshold).alias("threshold"),
        pl.lit(cells["unit"][0]).alias("unit"),
        "area", "prefecture", pl.lit(sex).alias("sex"), "numerator", "denominator", "crude",
        "estimate", "estimate_low", "estimate_high", "masked", "lower", "upper", pl.lit(level).alias("level"),
        "method", "nation", *_GAPS, "rank", "rank_best", "rank_worst", "rank_moves", "rank_direction",
        pl.when(pl.lit(measure.metric == "HbA1c")).then("tested_share").alias("tested_share"),
        pl.lit(standard).alias("standard"),
    )  # fmt: skip


_GAPS = ("gap", "gap_lower", "gap_upper")


def _row(part: pl.DataFrame, mix: FloatArray, level: float) -> dict[str, Any]:
    x, n = part["events"].to_numpy(), part["denominator"].to_numpy()
    found = direct_share(x, n, mix, level=level)
    # the nation at its own age mix is its crude share, which the printed totals give exactly
    filled = [(x, n)] if part["area"][0] == NATION else _extremes(part, mix)
    low, high = (direct_share(events, people, mix, level=level) for events, people in (filled[0], filled[-1]))
    return {
        "area": part["area"][0],
        "prefecture": part["prefecture"][0],
        "numerator": round(x.sum()),
        "denominator": round(n.sum()),
        "crude": float(x.sum() / n.sum()),
        "estimate": found.value,
        "estimate_low": low.value,
        "estimate_high": high.value,
        "masked": bool(part["masked"].any()),
        "lower": low.lower,
        "upper": high.upper,
        "method": found.method,
        "tested_share": part["tested_share"][0],
    }


def _extremes(part: pl.DataFrame, mix: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """Fill the masked cells in every possible way and keep the lowest and the highest standardised share."""
    x, n = (part[name].to_numpy().astype(float) for name in ("events_low", "denominator_low"))
    hidden = [part[name].to_numpy() for name in ("event_residual", "other_residual")]
    above, below = (np.flatnonzero(column) for column in hidden)
    if not len(above) and not len(below):
        return [(x, n)]
    cells, people = (above, hidden[0]) if len(above) else (below, hidden[1])
    fills = np.array(allocations(int(people[cells[0]]), len(cells)), dtype=float)
    extra = np.zeros((len(fills), len(x)))
    extra[:, cells] = fills
    events = x + (extra if len(above) else 0)
    order = np.argsort(((events / (n + extra)) * mix).sum(axis=1))
    events = np.broadcast_to(events, extra.shape)
    return [(events[i], n + extra[i]) for i in (order[0], order[-1])]


def _ranked(rows: pl.DataFrame) -> pl.DataFrame:
    """Rank the 47 by estimate; best and worst place over the masking bounds of all others."""
    kept = rows.filter(~pl.col("prefecture").is_in(UNRANKED))
    low, high = kept["estimate_low"].to_numpy(), kept["estimate_high"].to_numpy()
    best = 1 + (high[None, :] < low[:, None]).sum(axis=1)
    worst = (low[None, :] <= high[:, None]).sum(axis=1)
    places = kept.select(
        "area",
        pl.Series("rank", rank(kept["estimate"])).cast(pl.Int64),
        pl.Series("rank_best", best),
        pl.Series("rank_worst", worst),
        pl.Series("rank_moves", best != worst),
        pl.lit(DIRECTION["lowest"]).alias("rank_direction"),
    )
    return rows.join(places, on="area", how="left", maintain_order="left", validate="1:1")
