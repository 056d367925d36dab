"""Do the strata match? Cells of areas and of the standard, brought together by key and never by position."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from polars import selectors

from kenpo_analytics import frames
from kenpo_analytics.errors import EstimateError, StrataError
from kenpo_analytics.frames import small, source_of
from kenpo_analytics.stats.estimate import FloatArray

VISIT = "visit_type"
DISJOINT_VISITS = ("first", "return")
"""Visit types of which no event is in two, so that they may be added up."""
ALL_VISITS = "all"
_NUMBERS = ("events", "events_sq", "persons", "denominator")
_RESULT = {
    *(VISIT, *_NUMBERS, "expected", "rate", "standardised_rate", "standard_rate", "estimate", "gap", "lower", "upper"),
    *("lower_repeat", "upper_repeat", "level", "method", "standard", "rank", "ranked", "rank_direction", "unstable"),
    *("effective_events", "effective_expected", "effective_denominator", "contribution", "weight"),
    *("shrunk", "shrunk_lower", "shrunk_upper", "shrunk_method"),
    *("rank_median", "rank_lower", "rank_upper", "rank_method", "worst", "p_worst"),
    *("funnel_centre", "funnel_tau", "funnel_lower", "funnel_upper", "funnel_level", "funnel_z", "funnel_method"),
}
_SHOWN = 5


@dataclass(frozen=True)
class Area:
    """The strata of one area, in the order of `Aligned.strata`.

    `events` and `visitors` (people) have one column per visit type; `squares` are over all of them together. Both are
    None if not given.
    """

    name: str
    events: FloatArray
    squares: FloatArray | None
    visitors: FloatArray | None
    denominator: FloatArray

    @property
    def persons(self) -> int | None:
        """Return how many people at least: someone with visits of both types counts once, so the larger type."""
        return None if self.visitors is None else int(self.visitors.max(axis=1).sum())


@dataclass(frozen=True)
class Aligned:
    """Areas and standard over the same strata and visit types."""

    strata: pl.DataFrame
    visits: tuple[str, ...]
    areas: tuple[Area, ...]
    standard: Area

    @property
    def standard_rates(self) -> FloatArray:
        """Return the events per denominator of the standard, by stratum and visit type."""
        return self.standard.events / self.standard.denominator[:, None]


def eager(frame: Any) -> pl.DataFrame:
    """Hold a small aggregate (any kind of frame) in polars, NaN as null."""
    return frames.eager(frame).with_columns(selectors.float().fill_nan(None))


def listed(names: str | Sequence[str]) -> list[str]:
    """Names of columns as a list: a text is the name of one, not its letters."""
    return [names] if isinstance(names, str) else list(names)


def total_of(cells: Any, *, by: str | Sequence[str] = (VISIT, "sex", "age_band")) -> Any:
    """What do the areas make together? Sums over areas, as a standard; the kind of frame that goes in comes out.

    Sums of squares and persons add up because an event belongs to one area. Leave out rows that are totals already.
    """
    frame = eager(cells)
    keys = [name for name in listed(by) if name in frame.columns]
    found = frame.group_by(keys).agg(pl.col([n for n in _NUMBERS if n in frame.columns]).sum()).sort(keys)
    return small(found, source_of(cells))


def ledger_size(cells: Any) -> Any:
    """How many members and member-months stand behind cells with `members`? Each visit type repeats them."""
    once = eager(cells).filter(pl.col(VISIT) == pl.col(VISIT).first())
    return small(once.select(pl.col("members", "denominator").sum()), source_of(cells))


def align(cells: Any, standard: Any, *, area: str, strata: Sequence[str], visit_type: str | None) -> Aligned:
    """Bring areas and standard to the same strata, or say which stratum is missing on which side.

    Finer cells (other columns than `area`, `strata` and visit type) are summed. Within a stratum every visit type
    must repeat the same denominator.

    Raises
    ------
    StrataError
        A stratum on one side only, a row given twice, a missing value, denominators that differ between visit types,
        visit types that overlap ("all" beside "first"), no stratum, or a column named as one of the results.
    """
    _refuse_names(area, strata)
    left = _summed(_tidy(cells, "地域の表", [area, *strata], visit_type), [area, *strata])
    right = _summed(_tidy(standard, "基準集団の表", list(strata), visit_type), list(strata))
    visits = tuple(sorted(set(left[VISIT]) | set(right[VISIT])))
    right = _matched(left, right, area, list(strata))
    keys = right.select(strata).unique().sort(strata)
    grid = keys.join(pl.DataFrame({VISIT: visits}), how="cross")
    areas = tuple(
        _area(str(name[0]), part, grid, list(strata), len(visits))
        for name, part in left.group_by([area], maintain_order=True)
    )
    return Aligned(keys, visits, areas, _area("", right, grid, list(strata), len(visits)))


def levels_of(level: float | Sequence[float]) -> tuple[float, ...]:
    """One confidence level or several, as a tuple."""
    levels = (level,) if isinstance(level, int | float) else tuple(level)
    if not levels:
        raise EstimateError("信頼水準が1つもありません。", hint="95%は0.95と書きます。")
    return levels


def named(items: Iterable[Any]) -> str:
    """Write the first few items of a list, and how many there are."""
    found = [str(item) for item in items]
    more = f" ほか{len(found) - _SHOWN}件" if len(found) > _SHOWN else ""
    return "、".join(found[:_SHOWN]) + more


def _refuse_names(area: str, strata: Sequence[str]) -> None:
    """Refuse columns that could not be told apart in the results."""
    if isinstance(strata, str):
        raise StrataError(
            f"strata が文字列です: 「{strata}」", hint=f'strata=("{strata}",) のように、列名を並べて渡してください。'
        )
    if not strata:
        raise StrataError("層が1つも指定されていません。", hint='strata=("age_band",) のように列名を渡してください。')
    names = [area, *strata]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise StrataError(f"地域と層に同じ列が2度指定されています: {named(twice)}")
    taken = [name for name in names if name in _RESULT or (name == "area" and name in strata)]
    if taken:
        raise StrataError(
            f"地域または層の列名が結果の列と同じ名前です: {named(taken)}", hint="列の名前を変えてから渡してください。"
        )


def _tidy(frame: Any, side: str, keys: list[str], visit_type: str | None) -> pl.DataFrame:
    table = eager(frame)
    if missing := [name for name in [*keys, "events", "denominator"] if name not in table.columns]:
        raise StrataError(f"{side}に列がありません: {named(missing)}", hint="層と件数・分母の列名を確認してください。")
    if VISIT not in table.columns:
        table = table.with_columns(pl.lit(ALL_VISITS).alias(VISIT))
    if visit_type is not None:
        table = table.filter(pl.col(VISIT).cast(pl.String) == visit_type)
    if table.is_empty():
        raise StrataError(f"{side}に行がありません(受診種別: {visit_type or 'すべて'})。")
    visits = table[VISIT].cast(pl.String).drop_nulls().unique().sort()
    if len(visits) > 1 and not set(visits) <= set(DISJOINT_VISITS):  # the same events would be counted twice
        raise StrataError(
            f"{side}の受診種別が重なっています: {named(visits)}",
            hint="visit_type で1つに絞るか、first と return だけの表を渡してください。",
        )
    if "measure" in table.columns and table["measure"].n_unique() > 1:  # the same members would be counted twice
        raise StrataError(
            f"{side}に複数の指標があります: {named(table['measure'].unique().sort())}",
            hint="指標を1つに絞ってください。",
        )
    labels = [name for name in table.columns if name not in _NUMBERS]
    twice = table.filter(pl.struct(labels).is_duplicated())
    if not twice.is_empty():
        found = named(twice.select(keys).unique().sort(keys).iter_rows())
        raise StrataError(
            f"{side}に同じ層の行が重複しています({len(twice)}行): {found}", hint="重複を除いてから渡してください。"
        )
    numbers = [name for name in _NUMBERS if name in table.columns]
    table = table.select(pl.col([*keys, VISIT]).cast(pl.String), pl.col(numbers).cast(pl.Float64))
    if holes := [name for name in table.columns if table[name].null_count()]:
        raise StrataError(f"{side}に空欄があります: {named(holes)}", hint="件数のない層は0としてください。")
    return table


def _summed(table: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    numbers = [name for name in _NUMBERS if name in table.columns]
    found = table.group_by([*keys, VISIT]).agg(pl.col(numbers).sum()).sort([*keys, VISIT])
    spread = found.group_by(keys).agg(low=pl.col("denominator").min(), high=pl.col("denominator").max())
    uneven = spread.filter(pl.col("high") > pl.col("low") * (1 + 1e-9)).sort(keys)
    if not uneven.is_empty():
        raise StrataError(
            f"受診種別により分母が異なる層が{len(uneven)}個あります: {named(uneven.select(keys).iter_rows())}",
            hint="同じ層では、初診・再診とも同じ分母(延べ加入月数)の行を持たせてください(件数0の行も要ります)。",
        )
    return found


def _matched(left: pl.DataFrame, right: pl.DataFrame, area: str, strata: list[str]) -> pl.DataFrame:
    """Refuse strata on one side only; give the standard without strata that nobody is in."""
    keys = [*strata, VISIT]
    wanted = left.select(area).unique().join(right.select(keys), how="cross")
    lacking = wanted.join(left, on=[area, *keys], how="anti").sort([area, *keys])
    foreign = left.join(right, on=keys, how="anti").select([area, *keys]).sort([area, *keys])
    if not (lacking.is_empty() and foreign.is_empty()):
        sides = [("地域の表にない層", lacking), ("基準集団の表にない層", foreign)]
        found = "。".join(f"{side}: {named(part.iter_rows())}" for side, part in sides if not part.is_empty())
        raise StrataError(
            f"層が一致しません。{found}", hint="両方の表に同じ層の行を持たせてください(件数0の層も0の行が要ります)。"
        )
    peopled = left.filter(pl.col("denominator") > 0).select(strata).unique()
    nobody = right.filter(pl.col("denominator") <= 0)
    orphan = nobody.join(peopled, on=strata, how="semi").select(strata).unique().sort(strata)
    if not orphan.is_empty():
        raise StrataError(f"基準集団の分母が0の層に、地域の加入者がいます: {named(orphan.iter_rows())}")
    return right.filter(pl.col("denominator") > 0)


def _area(name: str, part: pl.DataFrame, grid: pl.DataFrame, strata: list[str], visits: int) -> Area:
    ordered = grid.join(part, on=[*strata, VISIT], how="left", maintain_order="left", validate="1:1")
    shape = (len(ordered) // visits, visits)
    columns = {n: ordered[n].to_numpy().reshape(shape) for n in _NUMBERS if n in part.columns}
    squares = columns.get("events_sq")
    return Area(
        name,
        columns["events"],
        # someone may have visits of both types: their cross products are bounded by Cauchy-Schwarz
        None if squares is None else np.sqrt(squares).sum(axis=1) ** 2,
        columns.get("persons"),
        columns["denominator"][:, 0],
    )
