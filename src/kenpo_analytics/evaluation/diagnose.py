"""Does anything warn of the primary design? Checks of every design's assumption, as small frames and sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation import attrition, did, discontinuity, doubts, regression_to_mean, weighting
from kenpo_analytics.evaluation.analysis import AnalysisSet
from kenpo_analytics.evaluation.estimate import Estimate, as_rows
from kenpo_analytics.evaluation.suite import SIDE, Choice, Groups, groups

ALPHA = 0.05
IMBALANCE = 0.1
WITHIN = ("ancova", "iptw", "aipw", "match", "iptw_ipcw")
POWER_Z = 2.8016
"""z of 97.5 % plus z of 80 %: the smallest effect that a design of this standard error would find in four of five."""


@dataclass(frozen=True)
class Checks:
    """Small frames by name, what they warn of for the primary design, and what could not be checked (Japanese)."""

    tables: Mapping[str, pl.DataFrame]
    warnings: tuple[str, ...]
    unchecked: tuple[str, ...]


def diagnose(
    analysis: AnalysisSet, choice: Choice, estimates: Sequence[Estimate], *, level: float = 0.95, imputations: int = 20
) -> Checks:
    """Which assumptions can be looked at, and what do they say?

    Returns
    -------
    Checks. Tables, where the data allow them: bands (first stage), years (event study), placebo (estimates that should
    be 0), bandwidths, cutoffs, covariates, density, jump (means and fitted lines by FPG), balance, overlap, trimmed,
    weights, timing (what became of everybody), treatment (drugs started), tipping, controls, subgroups, expected
    (regression to the mean). Warnings are those that speak against the **primary** design; each family of tests is
    Holm-corrected within itself.
    """
    parts = groups(analysis, choice)
    tables: dict[str, pl.DataFrame] = {}
    unchecked: list[str] = []
    named = {one.design: one for one in estimates}
    bands = {"high": choice.high, "low": choice.low}
    makers: dict[str, Callable[[], pl.DataFrame]] = {
        "years": lambda: did.by_year(parts.every, reference=max(choice.before), level=level, **bands),
        "placebo": lambda: as_rows(list(_placebos(parts, choice, level))),
        "bandwidths": lambda: discontinuity.bandwidths(parts.main, level=level),
        "cutoffs": lambda: discontinuity.placebo_cutoffs(parts.main, level=level),
        "covariates": lambda: discontinuity.covariate_jumps(parts.main, bandwidth=choice.bandwidth, level=level),
        "density": lambda: discontinuity.density(parts.main, level=level),
        "jump": lambda: jump(parts.main, choice.bandwidth),
        "tipping": lambda: attrition.tipping_point(parts.eligible, level=level, imputations=imputations),
        "controls": lambda: doubts.negative_controls(parts.main, level=level),
        "subgroups": lambda: doubts.subgroups(parts.main, level=level, **bands),
        "expected": lambda: expected(parts, named),
    }
    for name, make in makers.items():
        try:
            tables[name] = make()
        except (EstimateError, ValueError, np.linalg.LinAlgError) as error:
            unchecked.append(f"{NAMES[name]}: {getattr(error, 'message', '計算できるだけの人数がありません')}")
    tables |= {"timing": timing(analysis, choice), "treatment": treatment(parts.whole)}
    for name, design, part in SHOWN:
        if design in named and part in named[design].diagnostics:
            tables[name] = named[design].diagnostics[part]
    if len(choice.before) < 2:
        unchecked.append(
            f"事業前の年度が{len(choice.before)}つのため、事業前の動きがそろっていたか(偽の事業年度)は確かめられません"
        )
    return Checks(tables, tuple(_warnings(choice, tables)), tuple(unchecked))


NAMES = {
    "years": "年次図", "placebo": "0になるはずの差の差", "bandwidths": "幅の影響", "cutoffs": "偽の基準値", "covariates": "共変量の不連続",
    "density": "人数の偏り", "jump": "不連続の図", "tipping": "脱落の転換点", "controls": "陰性対照", "subgroups": "部分集団",
    "expected": "平均への回帰",
}  # fmt: skip
SHOWN = (
    ("bands", "did_ancova", "bands"), ("balance", "iptw", "balance"), ("overlap", "iptw", "overlap"),
    ("trimmed", "iptw_trim", "trimmed"), ("weights", "iptw_ipcw", "weights"), ("matched", "match", "balance"),
)  # fmt: skip


def _placebos(parts: Groups, choice: Choice, level: float) -> Iterator[Estimate]:
    """Differences-in-differences that must be 0: a year before letters as programme, and people whom FPG mails not."""
    bands: dict[str, Any] = {"high": choice.high, "low": choice.low, "level": level, "role": "diagnostic"}
    label = f"通知が空腹時血糖で決まらない人({SIDE[choice.rule]})での差の差"
    yield did.did(parts.other, **bands, design="other_side", label=label)
    early = parts.every.filter(pl.col("era") == "before")
    for year in sorted(choice.before)[1:]:
        until = early.filter(pl.col("fiscal_year") <= year)
        fake = until.with_columns(
            era=pl.when(pl.col("fiscal_year") == year).then(pl.lit("programme")).otherwise(pl.lit("before"))
        )
        yield did.did(fake, **bands, design=f"placebo_{year}", label=f"{year}年度を偽の事業年度とした差の差")


def jump(people: pl.DataFrame, bandwidth: float) -> pl.DataFrame:
    """How does next year's FPG run along FPG, on both sides of the threshold and in both eras? For the figure.

    Frame: `era`, `side`, `y0` (whole mg/dL), `persons`, `estimate` (mean y1), `fitted` (triangular local line, crude).
    """
    cutoff = discontinuity.CUTOFF
    seen = discontinuity.near(people, cutoff, bandwidth).filter(pl.col("y1").is_not_null())
    seen = seen.with_columns(side=pl.when(pl.col("y0") > cutoff).then(pl.lit("above")).otherwise(pl.lit("below")))
    rows = []
    for (era, side), part in seen.group_by("era", "side", maintain_order=True):
        x, y = part["y0"].to_numpy() - cutoff, part["y1"].cast(pl.Float64).to_numpy()
        slope, level = np.polyfit(x, y, 1, w=np.sqrt(1 - np.abs(x) / bandwidth))
        means = part.group_by(pl.col("y0").round(0)).agg(persons=pl.len().cast(pl.Int64), estimate=pl.col("y1").mean())
        rows.append(means.with_columns(era=pl.lit(era), side=pl.lit(side),
                                       fitted=level + slope * (pl.col("y0") - cutoff)))  # fmt: skip
    if not rows:
        raise EstimateError("基準値の近くに、次回健診のある人がいません")
    return pl.concat(rows).select("era", "side", "y0", "persons", "estimate", "fitted").sort("era", "y0")


def expected(parts: Groups, named: Mapping[str, Estimate]) -> pl.DataFrame:
    """What fall would there have been without letters? By the normal formula, in the years before, and after letters.

    Frame: `what`, `estimate`, `lower`, `upper`, `persons`, `warning`.
    """
    found = regression_to_mean.expected(parts.main)
    before = parts.whole.filter(pl.col("era") == "before", pl.col("eligible"), pl.col("y1").is_not_null())
    own = regression_to_mean.naive(before.with_columns(era=pl.lit("programme"), letter=True))
    said = named["naive"]
    rows = [
        {"what": "効果がないときに見込まれる変化(正規分布による)", "estimate": found.change, "persons": found.persons,
         "warning": found.warning or ""},
        {"what": "通知のない事業前に、同じ基準で選んだ人の変化", "estimate": own.estimate, "lower": own.lower,
         "upper": own.upper, "persons": own.persons, "warning": ""},
        {"what": "通知を送った人の変化(単純前後比較)", "estimate": said.estimate, "lower": said.lower,
         "upper": said.upper, "persons": said.persons, "warning": ""},
    ]  # fmt: skip
    numbers = dict.fromkeys(("estimate", "lower", "upper"), pl.Float64)
    return pl.DataFrame(rows, schema={"what": pl.String, **numbers, "persons": pl.Int64, "warning": pl.String})


def timing(analysis: AnalysisSet, choice: Choice) -> pl.DataFrame:
    """What became of the people inside the rule? `group`, `outcome_state`, `n`, `denominator`, `share`; they add up."""
    inside = analysis.people.filter("eligible", pl.col("fiscal_year").is_in([*choice.before, *choice.years]))
    table = _grouped(inside).group_by("group", "outcome_state").agg(n=pl.len().cast(pl.Int64))
    every = pl.DataFrame({"outcome_state": STATE_ORDER, "order": range(len(STATE_ORDER))})
    full = table.select("group").unique().join(every, how="cross")
    table = full.join(table, on=["group", "outcome_state"], how="left").with_columns(pl.col("n").fill_null(0))
    table = table.with_columns(denominator=pl.col("n").sum().over("group"))
    table = table.with_columns(share=pl.col("n") / pl.col("denominator")).sort("group", "order").drop("order")
    return table


STATE_ORDER = ["observed", "no_value", "before_letter", "late", "unexamined", "left", "open"]


def _grouped(people: pl.DataFrame) -> pl.DataFrame:
    """Before letters, mailed, and inside the rule but not mailed."""
    sent = pl.when(pl.col("letter")).then(pl.lit("sent")).otherwise(pl.lit("not_sent"))
    return people.with_columns(group=pl.when(pl.col("era") == "before").then(pl.lit("before")).otherwise(sent))


def treatment(people: pl.DataFrame) -> pl.DataFrame:
    """Who had started a glucose drug by the outcome, and where had the category gone? `group`, `state`, `n`, …"""
    seen = _grouped(people.filter("eligible", pl.col("outcome_state") == "observed"))
    moved = pl.when(pl.col("improved")).then(pl.lit("improved")).when(pl.col("worsened")).then(pl.lit("worsened"))
    state = pl.when(pl.col("started")).then(pl.lit("started")).when(pl.col("started").is_null()).then(pl.lit("unknown"))
    table = seen.with_columns(state=state.otherwise(moved.otherwise(pl.lit("same"))))
    table = table.group_by("group", "state").agg(n=pl.len().cast(pl.Int64))
    table = table.with_columns(denominator=pl.col("n").sum().over("group"))
    return table.with_columns(share=pl.col("n") / pl.col("denominator")).sort("group", "state")


def _warnings(choice: Choice, tables: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    if choice.primary == did.DESIGN:
        yield from _against_bands(choice, tables)
    elif choice.primary == discontinuity.DIFFERENCE:
        yield from _against_jumps(tables)
    elif choice.primary in WITHIN:
        yield from _against_weights(choice, tables)


def _against_bands(choice: Choice, tables: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    years = _have(tables, "years").filter(pl.col("era") == "before") if "years" in tables else pl.DataFrame()
    if found := _apart(years, "fiscal_year"):
        yield f"事業前の{'、'.join(map(str, found))}年度に、すでに帯の動きが違います(年次図)"
    if found := _apart(_have(tables, "placebo"), "label"):
        yield f"0になるはずの比較が0から外れています({'、'.join(found)})"
    own = _have(tables, "controls")
    if found := _apart(own.filter(pl.col("design") == did.LABEL) if own.height else own, "label"):
        yield f"通知で動くはずのない結果が動いています({'、'.join(found)})"


def _against_jumps(tables: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    density = _have(tables, "density")
    if density.height and min(doubts.adjust(density["p"].to_list(), method="holm")) < ALPHA:
        yield "基準値の片側に人数が偏っています"
    covariates = _have(tables, "covariates")
    if covariates.height and covariates["p_holm"].min() < ALPHA:  # type: ignore[operator]
        yield "通知の前からある項目に、基準値での段差があります"
    if found := _apart(_have(tables, "cutoffs"), "cutoff"):
        yield f"何も変わらない値({'、'.join(f'{value:g}' for value in found)})にも段差があります"


def _against_weights(choice: Choice, tables: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    balance = _have(tables, "matched" if choice.primary == "match" else "balance")
    after = balance["smd_after"].drop_nulls().abs() if balance.height else pl.Series([], dtype=pl.Float64)
    if choice.primary != "ancova" and len(after) and after.max() > IMBALANCE:  # type: ignore[operator]
        yield f"重み付けの後も、背景の差(標準化差)が{IMBALANCE:g}を超える項目が{int((after > IMBALANCE).sum())}つ残ります"
    own = _have(tables, "controls")
    if found := _apart(own.filter(pl.col("design") == weighting.LABELS["ancova"]) if own.height else own, "label"):
        yield f"通知で動くはずのない結果が動いています({'、'.join(found)})"


def _have(tables: Mapping[str, pl.DataFrame], name: str) -> pl.DataFrame:
    return tables.get(name, pl.DataFrame())


def _apart(table: pl.DataFrame, name: str) -> list[Any]:
    """Which rows lie apart from 0, Holm-corrected within the table?"""
    from scipy.special import ndtr

    if not table.height:
        return []
    rows = table.drop_nulls(["estimate", "lower", "upper"]).to_dicts()
    half = [(row["upper"] - row["lower"]) / (2 * 1.959964) for row in rows]
    p = [
        2 * float(ndtr(-abs(row["estimate"]) / size)) if size > 0 else 1.0 for row, size in zip(rows, half, strict=True)
    ]
    return [row[name] for row, value in zip(rows, doubts.adjust(p, method="holm"), strict=True) if value < ALPHA]


def detectable_by(one: Estimate) -> float | None:
    """Which effect would this design have found with 80 % power? 2.8 standard errors; null without an estimate."""
    return None if one.standard_error is None else POWER_Z * one.standard_error
