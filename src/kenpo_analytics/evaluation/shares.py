"""What became of them at the next checkup? States with their denominators kept apart, and how the values moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.months import index_of_date
from kenpo_analytics.stats._checks import student_quantile
from kenpo_analytics.stats.proportions import share
from kenpo_analytics.tables import CHECKUPS

JUDGED = ("improved", "unchanged", "worsened", "treated")
SEEN = (*JUDGED, "not_judged")
CLOSED = (*SEEN, "too_early", "too_late", "none")
STATES = (*CLOSED, "open")
AMONG: dict[str, tuple[str, ...]] = {"judged": JUDGED, "seen": SEEN, "closed": CLOSED, "all": STATES}
"""Denominators, each inside the next: judged; seen in time; window closed; everybody."""
MEASURES = ("category", "fpg", "hba1c")
COARSE: dict[str, tuple[str, ...]] = {
    "other_seen": ("unchanged", "treated", "not_judged"),
    "outside": ("too_early", "too_late"),
}
"""Rare states joined beforehand, so that a small branch can show improved and worsened beside them."""
FOLLOWED: dict[str, tuple[str, ...]] = {"seen": SEEN, "outside": ("too_early", "too_late")}
"""Was there a next checkup in time, whatever it said?"""
TIMES = ("index", "next", "change")
_VALUES = ("fpg", "hba1c", "next_fpg", "next_hba1c")


@dataclass(frozen=True)
class Tally:
    """People by state under one measure, in one group; everybody is in exactly one state."""

    group: tuple[Any, ...]
    measure: str
    counts: Mapping[str, int]

    def events(self, states: Sequence[str]) -> int:
        """How many are in one of these states?"""
        return sum(self.counts[state] for state in states)


def outcome_shares(
    next_checkups: Any,
    *,
    by: Sequence[str] = (),
    level: float = 0.95,
    measures: Sequence[str] = MEASURES,
    among: Sequence[str] = tuple(AMONG),
    combine: Mapping[str, Sequence[str]] | None = None,
) -> Any:
    """Which shares improved, stayed, worsened, started treatment, or were not seen in time?

    Parameters
    ----------
    next_checkups
        From `next_checkup`: checkup_date, outcome, fpg_outcome, hba1c_outcome and the columns of `by`.
    by
        Columns to split by; people without a value there are a group of their own (null).
    measures, among
        Only these (see below).
    combine
        States to count as one: new name -> states (`COARSE`); chosen beforehand, never from the counts.

    Returns
    -------
    Small eager frame, sorted by group, then:

    - `measure`: category (outcome), fpg, hba1c (by value beyond the dead band, drug or not).
    - `among`, the denominator: judged (seen in time with a judgement; treated is one), seen (in time, also
      not_judged), closed (all whose months for the next checkup are over, seen or not), all.
    - `state`, `n`, `denominator`, `estimate` (share), `lower`, `upper` (Wilson), `level`, `method`. A share of nobody
      is null, not 0. Under `all` stands only `open`.

    The months of a person are open when those of somebody with the same or an earlier index month are: then also the
    people already seen count as `open`, since those seen early are no fair sample of their month.

    Raises
    ------
    TableError, FrameKindError
        Missing columns, unknown frames.
    EstimateError
        A state in `combine` that does not exist, or twice.
    """
    if unknown := sorted({*among} - {*AMONG} | {*measures} - {*MEASURES}):
        raise EstimateError(
            f"分母または見方の名前が違います: {', '.join(unknown)}",
            hint=f"分母: {', '.join(AMONG)}。見方: {', '.join(MEASURES)}",
        )
    rows: list[dict[str, Any]] = []
    for tally in tallies(next_checkups, by):
        for name in (name for name in AMONG if name in among and tally.measure in measures):
            rows += _shares(tally, tuple(by), name, combine or {}, level)
    if not rows:
        raise EstimateError("対象者が1人もいないため割合を計算できません", hint="対象者のフローを確かめてください。")
    floats = dict.fromkeys(("estimate", "lower", "upper"), pl.Float64)
    table = pl.DataFrame(rows, infer_schema_length=None, schema_overrides=floats)
    return frames.small(table, frames.source_of(next_checkups))


def tallies(next_checkups: Any, by: Sequence[str] = ()) -> list[Tally]:
    """People by state, for each group and measure: everything that shares and differences are made of."""
    needed = ["checkup_date", "outcome", "fpg_outcome", "hba1c_outcome"]
    lazy = frames.enter(next_checkups, CHECKUPS, [*needed, *by])
    states, keys = needed[1:], [f"_by{i}" for i in range(len(by))]  # a column may be both: by=["outcome"]
    lazy = lazy.with_columns(
        index_of_date(nw.col("checkup_date")).alias("_index"),
        *(nw.col(name).alias(key) for name, key in zip(by, keys, strict=True)),
    )
    cells = frames.collect(lazy.group_by("_index", *states, *keys).agg(nw.len().alias("n")))
    if unknown := set(cells["outcome"].unique()) - set(STATES):
        raise EstimateError(
            f"次回健診の状態ではない値が {len(unknown)} 種類あります", hint="next_checkup の結果を渡してください。"
        )
    first_open = cells.filter(pl.col("outcome") == "open")["_index"].min()
    waiting = pl.lit(False) if first_open is None else pl.col("_index") >= first_open
    groups = cells.select(keys).unique().sort(keys, nulls_last=True).rows() if keys else [()]
    found = []
    for group in groups if len(cells) else []:
        inside = [pl.col(key).eq_missing(pl.lit(value)) for key, value in zip(keys, group, strict=True)]
        part = cells.filter(*inside) if inside else cells
        found += [Tally(group, measure, _count(part, measure, waiting)) for measure in MEASURES]
    return found


def _count(cells: pl.DataFrame, measure: str, waiting: pl.Expr) -> dict[str, int]:
    state = pl.col("outcome")
    if measure != "category":
        by_value = pl.col(f"{measure}_outcome").fill_null("not_judged")
        state = pl.when(state.is_in(SEEN)).then(by_value).otherwise(state)
    state = pl.when(waiting).then(pl.lit("open")).otherwise(state)
    counted = dict(cells.group_by(state.alias("state")).agg(pl.col("n").sum()).iter_rows())
    return {name: int(counted.get(name, 0)) for name in STATES}


def _shares(
    tally: Tally, by: tuple[str, ...], among: str, combine: Mapping[str, Sequence[str]], level: float
) -> list[dict[str, Any]]:
    inside = ("open",) if among == "all" else AMONG[among]
    total = tally.events(AMONG[among])
    rows = []
    for name, parts in _classes(combine).items():
        if not set(parts) <= set(inside) or (tally.measure != "category" and parts == ("treated",)):
            continue
        events = tally.events(parts)
        rows.append(
            dict(zip(by, tally.group, strict=True))
            | {
                "measure": tally.measure,
                "among": among,
                "state": name,
                "n": events,
                "denominator": total,
            }
            | share(events, total, level=level)
            | {"level": level, "method": "wilson"}
        )
    return rows


def _classes(combine: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Every state once: alone, or in the class it was put in (at the place of the class's first state)."""
    joined = [state for parts in combine.values() for state in parts]
    if (wrong := [state for state in joined if state not in STATES]) or len(set(joined)) < len(joined):
        said = f"ない状態です: {', '.join(wrong)}" if wrong else "同じ状態が2つの区分に入っています"
        raise EstimateError(f"combine に{said}", hint=f"状態: {', '.join(STATES)}")
    home = {state: name for name, parts in combine.items() for state in parts}
    names = dict.fromkeys(home.get(state, state) for state in STATES)
    return {name: tuple(combine[name]) if name in combine else (name,) for name in names}


def value_change(
    next_checkups: Any, *, by: Sequence[str] = (), times: Sequence[str] = TIMES, level: float = 0.95
) -> Any:
    """How far did the values move, among those seen in time with the value at both checkups?

    Of people whose months for the next checkup are over (as in `outcome_shares`), whatever the drugs (treatment
    policy). Picked for high values, people fall towards their own mean at the next checkup without any programme
    (平均への回帰): a change alone is no effect.

    Returns
    -------
    Small eager frame, sorted by group: `measure` (fpg mg/dL, hba1c %), `time` (those of `times`: index, next, change),
    `seen` (people seen in time), `persons` (of them with both values), `estimate` (mean), `sd`, `lower`, `upper`
    (Student t), `level`, `method`. With fewer than two people sd and limits are null.

    Raises
    ------
    TableError, FrameKindError
    """
    needed = ["checkup_date", "outcome", *_VALUES]
    lazy = frames.enter(next_checkups, CHECKUPS, [*needed, *(name for name in by if name not in needed)])
    first_open = _first_open(lazy)
    lazy = lazy.filter(nw.col("outcome").is_in(SEEN))
    if first_open is not None:
        lazy = lazy.filter(index_of_date(nw.col("checkup_date")) < first_open)
    rows = [_moments(lazy, measure, time, tuple(by)) for measure in ("fpg", "hba1c") for time in times]
    if not rows:
        raise EstimateError("時点が1つも指定されていません", hint=f"時点: {', '.join(TIMES)}")
    order = {name: i for i, name in enumerate(TIMES)}
    keys = [*by, "measure", pl.col("time").replace_strict(order, return_dtype=pl.Int32)]
    table = _with_limits(pl.concat(rows).sort(keys, nulls_last=True), level)
    return frames.small(table, frames.source_of(next_checkups))


def _moments(lazy: nw.LazyFrame, measure: str, time: str, by: tuple[str, ...]) -> pl.DataFrame:
    """Mean and sd of one measure at one time, by group."""
    now, later = nw.col(measure), nw.col(f"next_{measure}")
    values = {"index": now, "next": later, "change": later - now}
    if time not in values:
        raise EstimateError(f"時点の名前が違います: {time}", hint=f"時点: {', '.join(TIMES)}")
    both = ~now.is_null() & ~later.is_null()
    part = lazy.select(nw.when(both).then(values[time]).alias("_value"), *by)
    value = nw.col("_value")
    stats = [nw.len().alias("seen"), value.count().alias("persons"), value.mean().alias("estimate")]
    stats.append(value.std().alias("sd"))
    grouped = frames.collect(part.group_by(*by).agg(*stats) if by else part.select(*stats))
    labels = [pl.lit(measure).alias("measure"), pl.lit(time).alias("time")]
    counts = [pl.col(name).cast(pl.Int64) for name in ("seen", "persons")]
    return grouped.select(*by, *labels, *counts, pl.col("estimate", "sd").cast(pl.Float64))


def _first_open(lazy: nw.LazyFrame) -> int | None:
    """The first index month whose months for the next checkup are not over (see `outcome_shares`)."""
    waiting = lazy.filter(nw.col("outcome") == "open")
    found = frames.collect(waiting.select(index_of_date(nw.col("checkup_date")).min().alias("first"))).item()
    return None if found is None else int(found)


def _with_limits(table: pl.DataFrame, level: float) -> pl.DataFrame:
    several = table["persons"].clip(lower_bound=2)  # of one person sd is null, and so are the limits
    half = pl.Series(student_quantile(level, (several - 1).to_numpy()) / several.sqrt().to_numpy()) * table["sd"]
    return table.with_columns(
        lower=pl.col("estimate") - half,
        upper=pl.col("estimate") + half,
        level=pl.lit(level),
        method=pl.lit("t"),
    )
