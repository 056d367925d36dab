"""Is it more than elsewhere? The regional index minus 1 (地域差指数-1), its contributions and ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from kenpo_analytics.errors import EstimateError, StrataError
from kenpo_analytics.frames import small, source_of
from kenpo_analytics.regional.cells import ALL_VISITS, VISIT, Aligned, Area, align, eager, levels_of, named
from kenpo_analytics.stats import poisson, standardise
from kenpo_analytics.stats.ranks import DIRECTION, First, rank

UNSTABLE_BELOW = 20.0
NOT_RANKED = ("県外", "不明")


@dataclass(frozen=True)
class Index:
    """Rows (one per area and level), contributions that add up to them, and the standard that was used."""

    rows: Any
    contributions: Any
    standard: Any
    standard_id: str
    method: str
    strata: tuple[str, ...]

    @property
    def repeat_rows(self) -> Any:
        """The rows with the interval for repeat visitors as `lower` and `upper`.

        The interval of independent events becomes `lower_plain` and `upper_plain`, and `method` tells of the change.
        """
        rows = eager(self.rows)
        if rows["lower_repeat"].null_count():
            raise EstimateError(
                "繰り返し受診を考慮した区間がありません。",
                hint="1人あたり件数の2乗和(events_sq)を持つ表を渡してください。",
            )
        names = {"lower": "lower_plain", "upper": "upper_plain", "lower_repeat": "lower", "upper_repeat": "upper"}
        rows = rows.rename(names).with_columns(method=pl.col("method") + "-compound")
        return small(rows, source_of(self.rows))

    def contributions_of(self, area: str) -> Any:
        """What makes the index of one area? Its contributions."""
        parts = eager(self.contributions)
        return small(parts.filter(pl.col(parts.columns[0]) == area), source_of(self.contributions))


def compare(indices: Mapping[str, Index], *, area: str = "area") -> Any:
    """How does the index change with the setting (感度分析)? One row per area and visit type, a set of columns per key.

    For each key: persons_<key>, events_<key>, rate_<key>, estimate_<key>, lower_<key>, upper_<key>, rank_<key> (of
    `rows`), and rank_lower_<key>, rank_upper_<key> where `ranks` has added them. Settings
    side by side, so that the disclosure check sees what their difference tells.

    Raises
    ------
    StrataError
        Settings with different areas or visit types, or with several levels; no setting at all, or another area column.
    """
    if not indices:
        raise StrataError(
            "比べる指数がありません。", hint='{"年齢": index, "性・年齢": index} のように渡してください。'
        )
    on = [area, VISIT]
    names = ["persons", "events", "rate", "estimate", "lower", "upper", "rank"]
    tables = {key: eager(index.rows) for key, index in indices.items()}
    if any(area not in table.columns for table in tables.values()):
        raise StrataError(
            f"指数に列がありません: {area}", hint="指数を計算したときの地域の列を area= で渡してください。"
        )
    intervals = ["rank_lower", "rank_upper"]
    if all(name in table.columns for table in tables.values() for name in intervals):
        names += intervals
    parts = {key: table.select(*on, pl.col(names).name.suffix(f"_{key}")) for key, table in tables.items()}
    first = next(iter(parts.values()))
    found = first.select(on)
    for part in parts.values():
        if part.select(on).is_duplicated().any() or not part.select(on).sort(on).equals(first.select(on).sort(on)):
            raise StrataError(
                "比べる指数の地域または受診種別が一致しません。", hint="同じ地域・受診種別で計算してください。"
            )
        found = found.join(part, on=on, how="left", maintain_order="left", validate="1:1")
    return small(found, source_of(next(iter(indices.values())).rows))


def regional_index(
    cells: Any,
    standard: Any,
    *,
    area: str = "area",
    method: Literal["direct", "indirect"] = "direct",
    strata: Sequence[str] = ("age_band",),
    level: float | Sequence[float] = 0.95,
    visit_type: str | None = None,
    interval: poisson.CountMethod = "exact",
    per: float = 12.0,
    unranked: Sequence[str] = NOT_RANKED,
    standard_id: str | None = None,
    unstable_below: float = UNSTABLE_BELOW,
) -> Index:
    """By what share is each area above (+) or below (-) the standard, at equal age?

    Parameters
    ----------
    cells
        One row per area, stratum and visit type: `area`, strata columns, `visit_type` (optional), `events`,
        `denominator` (member-months) and, optionally, `events_sq` (sum of squared per-person counts) and `persons`.
        Finer rows are summed. Any kind of frame; results are pandas for pandas, polars otherwise.
    standard
        The same columns without area, for the nation (or the branch, for municipalities).
    method
        "direct": the standard's age mix with the area's rates (厚生労働省「医療費の地域差分析」).
        "indirect": observed over expected, for small areas.
    visit_type
        Keep one visit type only ("first", "return"); None takes all together, which must then be "first" and "return"
        only (events of "all" are in those already). Together, a person may have both, so
        `persons` is then a lower bound and the repeat interval an upper bound of the variance (Cauchy-Schwarz).
    interval
        Interval of independent events, "exact" or "byar".
    per
        Rates are per `per` units of the denominator (12 member-months: per member and year). Does not change the index.
    unranked
        Areas that keep their row but have no rank.
    unstable_below
        Fewer expected events make a row unstable (definition `out_of_hours.unstable`).

    Returns
    -------
    Index
        rows: area, visit_type, events, persons, denominator, expected, rate, standardised_rate, standard_rate,
        estimate (index - 1), lower, upper (independent events), lower_repeat, upper_repeat (compound Poisson; null
        without events_sq), effective_events, effective_expected (as many independent events, observed and expected,
        would give this ratio with this precision; repeat visitors make them fewer), level, method, standard,
        rank (1 = lowest), ranked (how many), rank_direction,
        unstable. contributions: area, strata, visit_type, events, persons (if given),
        expected, contribution; they add up to the area's estimate.

    Raises
    ------
    StrataError
        Strata that do not match, rows of the same cell twice, visit types that overlap, columns named as a result, or
        (direct) a stratum without members of an area.
    EstimateError
        An unknown method, no level, or a standard without events.
    """
    if method not in ("direct", "indirect"):
        raise EstimateError(f"標準化の方法が不明です: {method}", hint="direct または indirect を指定してください。")
    levels = levels_of(level)
    aligned = align(cells, standard, area=area, strata=strata, visit_type=visit_type)
    if method == "direct":
        refuse_empty(aligned)
    id_ = standard_id or f"基準集団(分母{aligned.standard.denominator.sum():,.0f}、層 {'×'.join(strata)})"
    source = source_of(cells)
    records = [_row(aligned, one, method, value, interval, per) for value in levels for one in aligned.areas]
    rows = pl.DataFrame(records, infer_schema_length=None).rename({"area": area})
    rows = rows.with_columns(unstable=pl.col("expected") < unstable_below)
    rows = rows.with_columns(pl.lit(visit_type or ALL_VISITS).alias(VISIT), pl.lit(id_).alias("standard"))
    rows = _ordered(with_rank(rows, area, "estimate", "lowest", unranked), area)
    parts = pl.concat([contributions_of(aligned, one, method) for one in aligned.areas]).rename({"area": area})
    return Index(
        small(rows, source), small(parts, source), small(_standard(aligned), source), id_, method, tuple(strata)
    )


def with_rank(frame: pl.DataFrame, area: str, value: str, first: First, unranked: Sequence[str]) -> pl.DataFrame:
    """Add rank, ranked and rank_direction within each level; areas in `unranked` get none."""
    parts = []
    for _, part in frame.group_by(["level"], maintain_order=True):
        kept = part.filter(~pl.col(area).is_in(list(unranked)))
        places = pl.Series("rank", rank(kept[value], first=first) if len(kept) else [], dtype=pl.Float64)
        ranked = kept.select(area).with_columns(places.cast(pl.Int64))
        parts.append(
            part.join(ranked, on=area, how="left", maintain_order="left").with_columns(
                pl.lit(len(kept)).alias("ranked"), pl.lit(DIRECTION[first]).alias("rank_direction")
            )
        )
    return pl.concat(parts)


def refuse_empty(aligned: Aligned) -> None:
    """Refuse areas with a stratum without members: its rate does not exist."""
    empty = [
        (one.name, *key)
        for one in aligned.areas
        for key, members in zip(aligned.strata.iter_rows(), one.denominator, strict=True)
        if members <= 0
    ]
    if empty:
        raise StrataError(
            f"加入者のいない層があるため、直接法では計算できません: {named(empty)}",
            hint="年齢階級をまとめるか、method='indirect' を使ってください。",
        )


def _row(
    aligned: Aligned, one: Area, method: str, level: float, interval: poisson.CountMethod, per: float
) -> dict[str, Any]:
    base = aligned.standard
    rates = aligned.standard_rates.sum(axis=1)
    nation = float(base.events.sum() / base.denominator.sum())
    if nation <= 0:
        raise EstimateError("基準集団の件数が0のため、指数を計算できません。")
    expected = one.denominator * rates
    jump = 1.0 if base.squares is None else float(poisson.mean_jump(base.events.sum(), base.squares.sum())[0])
    events = one.events.sum(axis=1)
    if method == "direct":
        found = standardise.direct(
            events, one.denominator, base.denominator,
            events_sq=one.squares, level=level, count_method=interval, jump=jump,
        )  # fmt: skip
        scale = 1 / nation
    else:
        found = standardise.indirect(events, expected, events_sq=one.squares, level=level, method=interval, jump=jump)
        scale = 1.0
    months = float(one.denominator.sum())
    ratio, total = found.value * scale, float(events.sum())
    size = ratio / (found.variance * scale**2) if total else float(expected.sum()) / jump
    return {
        "area": one.name,
        "events": int(total),
        "persons": one.persons,
        "denominator": months,
        "expected": float(expected.sum()),
        "rate": total / months * per if months else None,
        "standardised_rate": ratio * nation * per,
        "standard_rate": nation * per,
        "estimate": ratio - 1,
        "lower": found.lower * scale - 1,
        "upper": found.upper * scale - 1,
        "lower_repeat": None if found.lower_repeat is None else found.lower_repeat * scale - 1,
        "upper_repeat": None if found.upper_repeat is None else found.upper_repeat * scale - 1,
        "effective_events": ratio * size,
        "effective_expected": size,
        "level": level,
        "method": f"{found.method}-{interval}" if method == "direct" else found.method,
    }


def contributions_of(aligned: Aligned, one: Area, method: str, *, total: float | None = None) -> pl.DataFrame:
    """What each stratum and visit type adds to an area's index.

    `total`: the events (indirect: expected events) of the whole index, where these strata hold only a part of them.
    """
    base, rates = aligned.standard, aligned.standard_rates
    expected = one.denominator[:, None] * rates
    if method == "direct":
        own = one.events / one.denominator[:, None]
        share = base.denominator[:, None] * (own - rates) / (total or base.events.sum())
    else:
        share = (one.events - expected) / (total or expected.sum())
    grid = aligned.strata.join(pl.DataFrame({VISIT: aligned.visits}), how="cross", maintain_order="left_right")
    people = [] if one.visitors is None else [pl.Series("persons", one.visitors.ravel()).cast(pl.Int64)]
    return grid.with_columns(
        pl.Series("events", one.events.ravel()).cast(pl.Int64),
        *people,
        pl.Series("expected", expected.ravel()),
        pl.Series("contribution", share.ravel()),
    ).select(pl.lit(one.name).alias("area"), pl.all())


def _standard(aligned: Aligned) -> pl.DataFrame:
    base = aligned.standard
    return aligned.strata.with_columns(
        pl.Series("events", base.events.sum(axis=1)).cast(pl.Int64), pl.Series("denominator", base.denominator)
    ).with_columns(weight=pl.col("denominator") / pl.col("denominator").sum())


def _ordered(rows: pl.DataFrame, area: str) -> pl.DataFrame:
    first = [area, VISIT]
    last = ["level", "method", "standard", "rank", "ranked", "rank_direction", "unstable"]
    return rows.select([*first, *(c for c in rows.columns if c not in [*first, *last]), *last])
