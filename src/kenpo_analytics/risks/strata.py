"""How many carry each risk, by group, sex and age? Strata from people, and those that headquarters hands down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions.branch_codes import BRANCHES
from kenpo_analytics.errors import StrataError, TableError
from kenpo_analytics.regional.cells import eager, listed, named
from kenpo_analytics.risks.holders import RISKS, UNANSWERED
from kenpo_analytics.tables import WORKPLACES, Column, Table

STRATUM = ("risk", "sex", "age_band")
NOBODY_KNOWS = "不明"
"""Workplace or residence that is not on file; people on 任意継続 have no workplace."""
HOLDERS = Table(
    "people(risk_holders)",
    "1人",
    ("person_id",),
    (
        Column("fiscal_year", "int", "年度"),
        *(Column(name, "str", name) for name in ("sex", "age_band", "branch", "municipality", "workplace_id")),
        *(Column(name, "bool", label) for name, label in RISKS.items()),
        Column(UNANSWERED, "bool", "代謝リスク(服薬不明)"),
    ),
)


def risk_counts(
    people: Any, *, by: str | Sequence[str] = (), workplaces: Any = None, risks: Sequence[str] | None = None
) -> Any:
    """How many people carry each risk, in each group, sex and age band?

    Parameters
    ----------
    people
        `risk_holders(...).people` of one or several fiscal years, as pandas, polars or DuckDB.
    by
        Columns of `people` (or one) that make groups (fiscal_year, municipality, workplace_id ...), or `industry`
        (業態), which is taken from `workplaces` by the workplace of the checkup day. No workplace or residence on file:
        不明.
    risks
        Which risks, in this order; default all that `people` has.

    Returns
    -------
    pandas for pandas, polars otherwise: by, risk, sex, age_band, events (carriers), denominator (people who could be
    judged), persons (examined). Strata without anybody have no row.

    Raises
    ------
    TableError
        No risk column, or people without sex or age (the cohort was made without members).
    """
    names, by = frames.columns_of(people), listed(by)
    risks = [name for name in risks or RISKS if name in names]
    if not risks:
        raise TableError("リスクの列がありません。", hint="risk_holders(...).people を渡してください。")
    joins = "industry" in by and "industry" not in names
    own = [name for name in by if not (joins and name == "industry")]
    needed = dict.fromkeys(["sex", "age_band", *own, *risks, *(["workplace_id"] if joins else [])])
    lazy = frames.enter(people, HOLDERS, list(needed))
    if joins:
        lazy = _with_industry(lazy, people, workplaces)
    keys = list(dict.fromkeys([*by, "sex", "age_band"]))
    texts = [name for name in by if lazy.collect_schema()[name] == nw.String]
    if texts:
        lazy = lazy.with_columns(*(nw.col(name).fill_null(NOBODY_KNOWS) for name in texts))
    sums = [nw.len().cast(nw.Int64).alias("persons")]
    for risk in risks:
        sums.append(nw.col(risk).fill_null(False).cast(nw.Int64).sum().cast(nw.Int64).alias(f"{risk}.events"))
        sums.append((~nw.col(risk).is_null()).cast(nw.Int64).sum().cast(nw.Int64).alias(f"{risk}.denominator"))
    wide = frames.collect(lazy.group_by(*keys).agg(*sums))
    unknown = wide.filter(pl.col("sex").is_null() | pl.col("age_band").is_null())
    if len(unknown):
        raise TableError(
            f"性別または年齢の分からない人が{unknown['persons'].sum()}人います。",
            hint="risk_holders に members(加入者台帳)を渡してください。",
        )
    return frames.small(_long(wide, keys, risks).sort([*by, *STRATUM]), frames.source_of(people))


def _with_industry(lazy: nw.LazyFrame, people: Any, workplaces: Any) -> nw.LazyFrame:
    if workplaces is None:
        raise TableError(
            "業態で分けるには事業所の表が要ります。", hint="workplaces=tables.workplaces を渡してください。"
        )
    frames.same_engine(people=people, workplaces=workplaces)
    places = frames.enter(workplaces, WORKPLACES, ("workplace_id", "industry"))
    return lazy.join(places.unique("workplace_id"), on="workplace_id", how="left")


def _long(wide: pl.DataFrame, keys: list[str], risks: list[str]) -> pl.DataFrame:
    parts = [
        wide.select(
            *keys,
            pl.lit(risk).alias("risk"),
            pl.col(f"{risk}.events").alias("events"),
            pl.col(f"{risk}.denominator").alias("denominator"),
            "persons",
        )
        for risk in risks
    ]
    return pl.concat(parts).select(*[k for k in keys if k not in STRATUM], *STRATUM, "events", "denominator", "persons")


def risk_strata(national: Any, *, areas: Sequence[str] = BRANCHES) -> Any:
    """Which branches' risk holders does the table `national` hold, by fiscal year, sex and age?

    Measures are named as the risks (`risk_metabolic`), periods "FY2024", the denominator counts people. Only years in
    which all `areas` (the 47 branches) are there with every sex and age are given: the nation is their sum. Other
    areas (全国) are left out.

    Returns
    -------
    pandas for pandas, polars otherwise: fiscal_year, area, risk, sex, age_band, events, denominator. Empty when the
    table holds no risk.
    """
    table = eager(national).filter(
        pl.col("measure").is_in(list(RISKS)) & pl.col("period").str.contains(r"^FY\d{4}$"),
        pl.col("denominator_unit") == "person",
    )
    year = pl.col("period").str.slice(2).cast(pl.Int32, strict=False).alias("fiscal_year")
    rows = table.select(
        year,
        "area",
        pl.col("measure").alias("risk"),
        "sex",
        "age_band",
        "events",
        pl.col("denominator").cast(pl.Float64),
    )
    twice = rows.filter(rows.select("fiscal_year", "area", *STRATUM).is_duplicated())
    if len(twice):
        raise StrataError(f"nationalに同じ層の行が重複しています({len(twice)}行)。", hint="重複を除いてください。")
    rows = rows.filter(pl.col("area").is_in(list(areas)))
    everywhere = pl.len().over("fiscal_year", *STRATUM) == len(areas)
    kept = rows.filter(everywhere.all().over("fiscal_year", "risk")).sort("fiscal_year", "area", *STRATUM)
    return frames.small(kept, frames.source_of(national))


def nation_of(strata: Any) -> Any:
    """What do all branches make together? fiscal_year, risk, sex, age_band, events, denominator."""
    keys = ["fiscal_year", *STRATUM]
    found = eager(strata).group_by(keys).agg(pl.col("events", "denominator").sum()).sort(keys)
    return frames.small(found, frames.source_of(strata))


def population_of(strata: pl.DataFrame) -> pl.DataFrame:
    """Which age mix have these strata? Sex, age_band, denominator: the risk with most people judged."""
    return strata.group_by("sex", "age_band").agg(pl.col("denominator").max()).sort("sex", "age_band")


def must_match(cells: pl.DataFrame, weights: pl.DataFrame) -> None:
    """Refuse people in a stratum that the standard population lacks."""
    foreign = cells.filter(pl.col("denominator") > 0).join(weights, on=["sex", "age_band"], how="anti")
    if len(foreign):
        found = foreign.select("sex", "age_band").unique().sort("sex", "age_band")
        raise StrataError(
            f"標準人口にない層の人がいます: {named(found.rows())}",
            hint="年齢の範囲(age=)を標準人口とそろえてください。",
        )


@dataclass(frozen=True)
class Reference:
    """What the nation has for one fiscal year, and the standard population that every table of a page shares.

    `strata` are those of the branches in all years up to then, `years` the fiscal years; empty without the table.
    Frames are pandas for pandas, polars otherwise.
    """

    fiscal_year: int
    strata: Any
    standard: Any
    standard_id: str | None

    @property
    def years(self) -> tuple[int, ...]:
        """In which fiscal years has the nation values at all?"""
        return tuple(sorted(eager(self.strata)["fiscal_year"].unique().to_list()))

    @property
    def standard_population(self) -> str | None:
        """The id of the standard population: whose, which year, which strata."""
        return None if self.standard is None else f"kenpo47-fy{self.years[-1]}-examined-sex-age5"

    @property
    def expected_from(self) -> str:
        """Whose rates are expected in this fiscal year, the nation's (全国) or the branch's own (支部)?"""
        return "全国" if self.fiscal_year in self.years else "支部"

    @property
    def trend(self) -> dict[str, Any]:
        """Arguments of `risk_rates` for cells by fiscal year."""
        return {"nation": nation_of(self.strata), "standard": self.standard, "standard_id": self.standard_id}

    @property
    def year(self) -> dict[str, Any]:
        """Arguments of `risk_rates` and `health_card` for cells of this fiscal year."""
        nation = eager(self.trend["nation"]).filter(pl.col("fiscal_year") == self.fiscal_year)
        return self.trend | {"nation": frames.small(nation, frames.source_of(self.strata))}


def risk_reference(national: Any, *, fiscal_year: int, population: str = "insured") -> Reference:
    """What is the nation in a fiscal year, and whose age mix is the standard?

    `national` is the canonical table, or None; it counts the insured, so other populations have no nation. The
    standard population are the examined people of the 47 branches in the last year up to `fiscal_year` that the table
    has; without it `risk_rates` takes the people at hand and says so.
    """
    empty = pl.DataFrame(schema=_COLUMNS)
    strata = empty if national is None or population != "insured" else eager(risk_strata(national))
    strata = strata.filter(pl.col("fiscal_year") <= fiscal_year)
    back = frames.source_of(empty if national is None else national)
    if strata.is_empty():
        return Reference(fiscal_year, frames.small(strata, back), None, None)
    last = max(strata["fiscal_year"].to_list())
    standard = nation_of(strata).filter(pl.col("fiscal_year") == last)
    size = population_of(standard)["denominator"].sum()
    id_ = f"47支部の健診受診者({last}年度、{size:,.0f}人)、性別の5歳階級"
    return Reference(fiscal_year, frames.small(strata, back), frames.small(standard, back), id_)


_COLUMNS: dict[str, Any] = {
    "fiscal_year": pl.Int32,
    **dict.fromkeys(("area", *STRATUM), pl.String),
    "events": pl.Int64,
    "denominator": pl.Float64,
}
