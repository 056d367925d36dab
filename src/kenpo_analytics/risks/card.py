"""How healthy is this industry or workplace? The health card (健康度カルテ): every risk, beside the branch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from kenpo_analytics.definitions import Definitions
from kenpo_analytics.errors import TableError
from kenpo_analytics.frames import small, source_of
from kenpo_analytics.regional.cells import eager, named
from kenpo_analytics.risks.rates import NO_NATION, risk_rates
from kenpo_analytics.risks.strata import STRATUM

GROUP, BRANCH, REST = "group", "branch", "rest"
_WORDS = {"industry": "業態", "workplace_id": "事業所"}


def health_card(
    cells: Any,
    *,
    group: Mapping[str, str],
    nation: Any = None,
    standard: Any = None,
    standard_id: str | None = None,
    level: float = 0.95,
    definitions: Definitions | None = None,
) -> Any:
    """Which risks does one industry or workplace carry more than expected of its sexes and ages?

    Parameters
    ----------
    cells
        `risk_counts(people, by=...)` of one fiscal year with the columns of `group`; all its rows are the branch.
    group
        Who is looked at: `{"industry": "道路貨物運送業"}`, `{"workplace_id": "W00001"}`, or both together.
    nation, standard, standard_id, level, definitions
        As in `risk_rates`. Where the nation has no value, the branch's rates are the expected ones.

    Returns
    -------
    pandas for pandas, polars otherwise: two rows per risk, `side` "group" and "branch", with the columns of
    `risk_rates` (indirect: a workplace has few people). `ratio` is the number of carriers over the number expected of
    people of the same sex and age (in the nation, or in the branch: `expected_from`), with its exact interval. Without
    national value `judgement` tells the group from its branch (支部より高い, 支部より低い).

    Raises
    ------
    TableError
        A column of `group` that `cells` lacks, or a value that nobody has.
    """
    table = eager(cells)
    if lacking := [name for name in group if name not in table.columns]:
        raise TableError(
            f"表にない列です: {named(lacking)}", hint=f"risk_counts(..., by={tuple(group)}) で数えてください。"
        )
    chosen = table.filter(_of(table, group))
    nation = None if nation is None or eager(nation).is_empty() else nation
    sides = pl.concat([_side(table, BRANCH), _side(chosen, GROUP)])
    rows = risk_rates(
        sides,
        nation=nation,
        standard=_side(table, BRANCH) if standard is None and nation is None else standard,
        standard_id=standard_id,
        base=_side(table, BRANCH),
        method="indirect",
        sexes="together",
        level=level,
        definitions=definitions,
    )
    judged = eager(rows).with_columns(_beside_branch())
    return small(judged.sort("side", descending=True, maintain_order=True), source_of(cells))


def largest_workplace(cells: Any, *, industry: str) -> str:
    """Which workplace of an industry has most people examined? The card of a page that was given none.

    `cells`: `risk_counts(…, by=("industry", "workplace_id"))`.

    Raises
    ------
    TableError
        Nobody of this industry was examined.
    """
    held = eager(cells).filter(pl.col("industry") == industry)
    if held.is_empty():
        raise TableError(
            f"この業態の健診受診者がいません: {industry}", hint="workplaces の業態の名称のとおりに指定してください。"
        )
    return str(held.sort("persons", "workplace_id", descending=[True, False])["workplace_id"][0])


def _beside_branch() -> pl.Expr:
    """A group without national value is judged beside its branch, as its O/E is."""
    here = (pl.col("side") == GROUP) & (pl.col("judgement") == NO_NATION) & pl.col("ratio").is_not_null()
    above, below = pl.col("ratio_lower") > 1, pl.col("ratio_upper") < 1
    word = pl.when(above).then(pl.lit("支部より高い")).when(below).then(pl.lit("支部より低い"))
    said = word.otherwise(pl.lit("支部と差があるとはいえない"))
    return pl.when(here).then(said).otherwise(pl.col("judgement")).alias("judgement")


def card_siblings(cells: Any, *, group: Mapping[str, str], within: str) -> Any:
    """Who else stands in the group's own larger group? Counts of the group and of the rest, to mask them together.

    `cells` as in `health_card`; `within` a column of it (industry). Rows as cells with `side`: "group" and "rest" of
    those who share the group's value of `within`. Where the larger group is shown, its rest must not come out.

    Raises
    ------
    TableError
        A value of `group` that nobody has.
    """
    table = eager(cells)
    ours = _of(table, group)
    larger = table.filter(pl.col(within).is_in(table.filter(ours)[within].unique().implode()))
    parts = [_side(larger.filter(ours), GROUP), _side(larger.filter(~ours), REST)]
    return small(pl.concat(parts), source_of(cells))


def _of(table: pl.DataFrame, group: Mapping[str, str]) -> pl.Expr:
    """Which rows are the group's? There must be some."""
    ours = pl.all_horizontal(pl.col(name) == value for name, value in group.items())
    if table.filter(ours).is_empty():
        some = "、".join(f"{_WORDS.get(name, name)} {value}" for name, value in group.items())
        raise TableError(
            f"当てはまる健診受診者がいません: {some}",
            hint="workplaces にあるか、年度とともに確かめてください。",
        )
    return ours


def _side(table: pl.DataFrame, name: str) -> pl.DataFrame:
    sums = table.group_by(STRATUM).agg(pl.col("events", "denominator", "persons").sum())
    return sums.select(pl.lit(name).alias("side"), pl.all()).sort(STRATUM)
