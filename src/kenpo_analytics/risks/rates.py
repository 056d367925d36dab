"""What share carries each risk, and what would it be at equal age? Crude, standardised, beside the nation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.errors import EstimateError, StrataError, TableError
from kenpo_analytics.frames import small, source_of
from kenpo_analytics.regional.cells import eager
from kenpo_analytics.risks.holders import RISKS, UNANSWERED
from kenpo_analytics.risks.strata import STRATUM, must_match, population_of
from kenpo_analytics.stats import standardise
from kenpo_analytics.stats.estimate import FloatArray
from kenpo_analytics.stats.proportions import share

HIGHER, LOWER, SAME, NO_NATION, UNKNOWN = JUDGEMENTS = (
    "高い",
    "低い",
    "差があるとはいえない",
    "全国値なし",
    "判定不能",
)
BOTH = "MF"
_LABELS = RISKS | {UNANSWERED: "代謝リスク(服薬不明)"}
_COUNTS = ("events", "denominator", "persons")
Method = Literal["direct", "indirect"]


Pair = tuple[FloatArray, FloatArray]
Three = tuple[float | None, float | None, float | None]
NO_VALUE: Three = (None, None, None)


@dataclass(frozen=True)
class _Mix:
    """The strata of one row: the standard population's, and (events, people) of the row, the nation and the base."""

    weight: FloatArray
    own: Pair
    base: Pair
    nation: Pair | None


def risk_rates(
    cells: Any,
    *,
    nation: Any = None,
    standard: Any = None,
    standard_id: str | None = None,
    base: Any = None,
    method: Method = "direct",
    sexes: Literal["apart", "together"] = "apart",
    by_age: bool = False,
    level: float = 0.95,
    definitions: Definitions | None = None,
) -> Any:
    """What share of each group carries each risk, crude and at equal age, and is it more than in the nation?

    Parameters
    ----------
    cells
        `risk_counts(...)`: a row of the result per group (all its own columns), risk and sex.
    nation
        Strata of the nation (`nation_of(risk_strata(...))`). A risk, or a fiscal year, that it lacks has no national
        value (全国値なし); nothing stands in for it.
    standard
        Strata whose people are the standard population, the same for every row; default the nation's last fiscal year,
        else all people of `cells`.
    base
        Strata whose rates are expected where the nation has none; default all groups of `cells` together.
    method
        Of `estimate`. "direct": the standard's age mix with the group's rates; needs somebody in every age band, and
        is judged from 500 people on only (definition `risk.few_direct`: with fewer its interval is too narrow).
        "indirect": observed over expected times the standardised rate of the nation (or base), for small groups.
    sexes
        "apart", or "together" (sex and age as strata, `sex` = "MF").
    by_age
        A row per age band, too; nothing is then left to standardise for but sex.

    Returns
    -------
    pandas for pandas, polars otherwise: the group's columns, risk, label, sex, persons, denominator (judged), unknown
    (判定不能), events, rate, rate_lower, rate_upper (crude, Wilson), estimate, lower, upper, level, method, expected,
    ratio, ratio_lower, ratio_upper (O/E, exact Poisson: wide for a common risk), expected_from (nation / base), nation,
    nation_lower, nation_upper, gap, gap_lower, gap_upper (estimate minus nation; squares of both half-widths added, as
    Newcombe does), judgement (高い, 低い, 差があるとはいえない, 全国値なし, 判定不能), reason, standard.

    Raises
    ------
    StrataError
        People in an age band that the standard population lacks. EstimateError: an unknown method.
    """
    if method not in ("direct", "indirect") or sexes not in ("apart", "together"):
        raise EstimateError(
            f"方法の指定が違います: method={method}、sexes={sexes}",
            hint="method は direct か indirect、sexes は apart か together です。",
        )
    used = definitions or define()
    few = (used.number("risk.few"), used.number("risk.few_direct"))
    table = eager(cells)
    if table.is_empty():
        raise TableError(
            "健診受診者がいないため、割合を計算できません", hint="年度、対象(population)、支部を確かめてください。"
        )
    groups = [name for name in table.columns if name not in (*STRATUM, *_COUNTS)]
    nations = None if nation is None else eager(nation)
    weights, id_ = _weights(table, nations, standard, standard_id)
    must_match(table, weights)
    bases = table if base is None else eager(base)
    keys = [*groups, "risk", *(["sex"] if sexes == "apart" else []), *(["age_band"] if by_age else [])]
    if table.select([*groups, *STRATUM]).is_duplicated().any():
        raise StrataError("同じ層の行が重複しています。", hint="risk_counts の結果をそのまま渡してください。")
    records = []
    for key, part in table.group_by(keys, maintain_order=True):
        one = dict(zip(keys, key, strict=True))
        mix = _mix(one, part, weights, bases, nations)
        records.append(_row(one | {"sex": one.get("sex", BOTH)}, part, mix, method, level, few))
    rows = pl.DataFrame(records, infer_schema_length=None).with_columns(pl.lit(id_).alias("standard"))
    order = {risk: at for at, risk in enumerate(RISKS)}
    place = pl.col("risk").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    last = ["age_band"] if by_age else []
    ordered = rows.sort([*groups, place, pl.col("sex") == "F", *last], maintain_order=True)
    return small(ordered.select(*groups, *(name for name in rows.columns if name not in groups)), source_of(cells))


def _weights(
    table: pl.DataFrame, nation: pl.DataFrame | None, standard: Any, id_: str | None
) -> tuple[pl.DataFrame, str]:
    if standard is not None:
        found, name = eager(standard), "指定した標準人口"
    elif nation is not None and len(nation):
        found, name = nation, "全国の健診受診者"
        if "fiscal_year" in nation.columns:
            last = max(nation["fiscal_year"].to_list())
            found, name = nation.filter(pl.col("fiscal_year") == last), f"{name}({last}年度)"
    else:
        by = ["risk", "sex", "age_band"]
        found, name = table.group_by(by).agg(pl.col("denominator").sum()), "この集計の健診受診者"
    mix = population_of(found)
    text = f"{name}、{mix['denominator'].sum():,.0f}人、性別・5歳階級"
    return mix.filter(pl.col("denominator") > 0), id_ or text


def _mix(
    one: dict[str, Any], part: pl.DataFrame, weights: pl.DataFrame, bases: pl.DataFrame, nations: pl.DataFrame | None
) -> _Mix:
    for name in ("sex", "age_band"):
        if name in one:
            weights = weights.filter(pl.col(name) == one[name])
    country = None if nations is None else _aligned(weights, _of(nations, one))
    if country is not None and (country[1] <= 0).any():
        country = None  # a nation without one of its age bands is none
    base = country if country is not None else _aligned(weights, _of(bases, one))
    return _Mix(weights["denominator"].to_numpy().astype(float), _aligned(weights, part), base, country)


def _of(table: pl.DataFrame, one: dict[str, Any]) -> pl.DataFrame:
    """The strata of this risk and, where both have it, this fiscal year."""
    kept = table.filter(pl.col("risk") == one["risk"])
    if "fiscal_year" in one and "fiscal_year" in table.columns:
        return kept.filter(pl.col("fiscal_year") == one["fiscal_year"])
    if "fiscal_year" in table.columns and kept["fiscal_year"].n_unique() > 1:
        raise StrataError("全国の値が複数の年度にあります。", hint="年度で絞るか、by に fiscal_year を入れてください。")
    return kept


def _aligned(weights: pl.DataFrame, strata: pl.DataFrame) -> Pair:
    """Events and people in the order of the standard population; 0 where nobody is."""
    sums = strata.group_by("sex", "age_band").agg(pl.col("events", "denominator").sum())
    joined = weights.join(sums, on=["sex", "age_band"], how="left", maintain_order="left", validate="1:1", suffix="_n")
    events, people = (joined[name].fill_null(0).to_numpy().astype(float) for name in ("events", "denominator_n"))
    return events, people


def _row(
    one: dict[str, Any], part: pl.DataFrame, mix: _Mix, method: Method, level: float, few: tuple[float, float]
) -> dict[str, Any]:
    events, people, persons = (int(part[name].sum()) for name in _COUNTS)
    crude = share(events, people, level=level)
    expected, ratio = _ratio(mix, level)
    chosen = _direct(mix.own, mix.weight, level) if method == "direct" else _indirect(ratio, mix, level)
    nation = NO_VALUE if mix.nation is None else _direct(mix.nation, mix.weight, level)
    row: dict[str, Any] = {
        **one, "label": _LABELS.get(one["risk"], one["risk"]), "persons": persons, "denominator": people,
        "unknown": persons - people, "events": events,
        "rate": crude["estimate"], "rate_lower": crude["lower"], "rate_upper": crude["upper"],
        **_named("", "estimate", chosen), "level": level,
        "method": "direct-wilson" if method == "direct" else "indirect-exact",
        "expected": expected, **_named("ratio_", "ratio", ratio),
        "expected_from": "base" if mix.nation is None else "nation", **_named("nation_", "nation", nation),
    }  # fmt: skip
    row |= _named("gap_", "gap", gap_of(chosen, nation))
    judgement, reason = _judged(row, few[0], few[1] if len(mix.weight) > 1 else few[0])
    return row | {"judgement": judgement, "reason": reason}


def _named(prefix: str, name: str, values: Three) -> dict[str, float | None]:
    return dict(zip((name, f"{prefix}lower", f"{prefix}upper"), values, strict=True))


def _direct(strata: Pair, weight: FloatArray, level: float) -> Three:
    """The share at the standard's age mix; none where an age band is empty: its share does not exist."""
    events, people = strata
    if not len(people) or (people <= 0).any():
        return NO_VALUE
    found = standardise.direct_share(events, people, weight, level=level)
    return found.value, found.lower, found.upper


def _ratio(mix: _Mix, level: float) -> tuple[float | None, Three]:
    """Observed over expected with its exact interval, and the expected number."""
    (events, people), (hits, seen) = mix.own, mix.base
    here = people > 0
    if not here.any() or (seen[here] <= 0).any() or (people[here] * hits[here]).sum() <= 0:
        return None, NO_VALUE
    expected = people[here] * hits[here] / seen[here]
    found = standardise.indirect(events[here].sum(), expected.sum(), level=level)
    return float(expected.sum()), (found.value, found.lower, found.upper)


def _indirect(ratio: Three, mix: _Mix, level: float) -> Three:
    """The ratio times the base's own standardised share; a share cannot pass 1."""
    value = _direct(mix.base, mix.weight, level)[0]
    if value is None or ratio[0] is None:
        return NO_VALUE
    scaled = [min(1.0, value * limit) for limit in ratio if limit is not None]
    return scaled[0], scaled[1], scaled[2]


def gap_of(own: Three, nation: Three) -> Three:
    """Own minus nation; the half-widths of both are added as squares (Newcombe 1998, method 10)."""
    (value, low, high), (other, other_low, other_high) = own, nation
    if value is None or low is None or high is None or other is None or other_low is None or other_high is None:
        return NO_VALUE
    below, above = math.hypot(value - low, other_high - other), math.hypot(high - value, other - other_low)
    return value - other, value - other - below, value - other + above


def _judged(row: dict[str, Any], few: float, few_direct: float) -> tuple[str, str | None]:
    if row["denominator"] < few:
        return UNKNOWN, f"判定できた人が{few:g}人未満"
    if row["estimate"] is None:
        return UNKNOWN, "人のいない年齢階級がある" if row["method"] == "direct-wilson" else "期待される人数がない"
    if row["method"] == "direct-wilson" and row["denominator"] < few_direct:  # empty strata narrow the interval
        return UNKNOWN, f"判定できた人が{few_direct:g}人未満(直接法)"
    if row["nation"] is None:
        return NO_NATION, "この指標・年度の全国値がない"
    if row["gap_lower"] > 0:
        return HIGHER, None
    return (LOWER, None) if row["gap_upper"] < 0 else (SAME, None)
