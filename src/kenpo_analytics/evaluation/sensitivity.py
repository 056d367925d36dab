"""Does the naive comparison hang on a choice of ours? The same numbers under other rules and dead bands (感度分析)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.cohorts import prediabetes
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.definitions.words import RULES
from kenpo_analytics.evaluation.before_after import Among, compared
from kenpo_analytics.outcomes import next_checkup

BANDS = (3.0, 5.0, 10.0)
"""mg/dL of FPG within which a change is no change; the band in force (a definition, 仮定) always stands with them."""


def before_after_sensitivity(
    checkups: Any,
    members: Any,
    *,
    fiscal_year: int,
    reference_year: int,
    data_through: int | str,
    rules: Sequence[str] = tuple(RULES),
    bands: Sequence[float] | None = None,
    among: Among = "seen",
    branch: str | None = None,
    level: float = 0.95,
    definitions: Definitions | None = None,
) -> Any:
    """How does the naive difference (単純前後比較) change with the cohort rule, the outcome and the dead band?

    For each rule (and, or), by category, by FPG under each dead band (`bands`; default `BANDS` and the one in force),
    and by HbA1c: improved and worsened, as a difference of shares. As naive as `before_after`: that all lines agree
    shows robustness against these choices, not an effect.

    Returns
    -------
    Small eager frame: `rule`, `measure`, `dead_band` (mg/dL; null where it plays no part), `label` (Japanese), and the
    columns of `before_after` for scale pp.

    Raises
    ------
    As `prediabetes`, `next_checkup` and `before_after`.
    """
    used = definitions
    in_force = (used or define()).number("next_checkup.dead_band.fpg")
    bands = sorted({*BANDS, in_force}) if bands is None else bands
    parts = []
    for rule in rules:
        cohorts = [
            prediabetes(checkups, members, fiscal_year=year, rule=rule, branch=branch, definitions=used)  # type: ignore[arg-type]
            for year in (fiscal_year, reference_year)
        ]
        lazy = frames.kind_of(checkups) == "polars-lazy"  # run the cohort once, not for every look at it
        people = [_light((cohort.collect() if lazy else cohort).people) for cohort in cohorts]
        for band, measures in _looks(bands):
            seen = [
                next_checkup(
                    group,
                    checkups,
                    data_through=data_through,
                    dead_band=None if band is None else {"fpg": band},
                    definitions=used,
                )
                for group in people
            ]
            table = compared(seen[0], seen[1], (among,), level)
            kept = table.filter(pl.col("measure").is_in(measures), pl.col("scale") == "pp")
            parts.append(_labelled(kept, rule, band))
    return frames.small(pl.concat(parts), frames.source_of(checkups))


def _looks(bands: Sequence[float]) -> Iterator[tuple[float | None, list[str]]]:
    """Which dead band goes with which measures?"""
    yield None, ["category", "hba1c"]
    for band in bands:
        yield float(band), ["fpg"]


def _labelled(table: pl.DataFrame, rule: str, band: float | None) -> pl.DataFrame:
    how = {"category": "区分", "hba1c": "HbA1cの値", "fpg": f"空腹時血糖の値±{band or 0:g}mg/dL"}
    label = pl.col("measure").replace_strict(how, return_dtype=pl.String)
    return table.select(
        pl.lit(rule).alias("rule"),
        "measure",
        pl.lit(band, pl.Float64).alias("dead_band"),
        (pl.lit(f"「{RULES.get(rule, rule)}」 ") + label).alias("label"),
        pl.exclude("measure"),
    )


def _light(people: Any) -> Any:
    """Only what the next checkup needs."""
    return nw.to_native(nw.from_native(people).select("person_id", "checkup_date", "fpg", "hba1c"))
