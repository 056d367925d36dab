"""Which place of 47 has each risk? Directly standardised shares of the branches, with rank intervals."""

from __future__ import annotations

import itertools
from typing import Any

import polars as pl

from kenpo_analytics.definitions.branch_codes import BRANCHES, branch_code
from kenpo_analytics.frames import small, source_of
from kenpo_analytics.regional import ranks, standardised_rate
from kenpo_analytics.regional.cells import eager
from kenpo_analytics.risks.holders import RISKS
from kenpo_analytics.risks.rates import HIGHER, LOWER, SAME, UNKNOWN, gap_of
from kenpo_analytics.risks.strata import population_of

DISAGREE = "出どころで不一致"


def risk_ranks(strata: Any, *, fiscal_year: int, level: float = 0.95) -> Any:
    """Which place does each branch take in each risk, and between which places may it truly stand?

    Parameters
    ----------
    strata
        `risk_strata(tables.national)`: branches x risk x sex x age band.
    fiscal_year
        One year; a risk that not all 47 branches have in it gets no rank and no row.

    Returns
    -------
    pandas for pandas, polars otherwise: fiscal_year, risk, label, sex, area and the columns of `standardised_rate` (the
    sexes apart, on the age mix of all branches together) and `ranks`: rank 1 is the lowest. No rows where nothing can
    be ranked.
    """
    table = eager(strata).filter(pl.col("fiscal_year") == fiscal_year)
    parts = []
    for risk, sex in itertools.product(RISKS, ("M", "F")):
        part = table.filter(pl.col("risk") == risk, pl.col("sex") == sex)
        if set(part["area"]) != set(BRANCHES):
            continue
        mix = population_of(table.filter(pl.col("sex") == sex).group_by("risk", "sex", "age_band").agg(_SUMS))
        nation = part.group_by("age_band").agg(_SUMS).sort("age_band")
        standard = nation.select("age_band", (pl.col("events") / pl.col("denominator")).alias("r")).join(
            mix, on="age_band"
        )
        standard = standard.select("age_band", events=pl.col("r") * pl.col("denominator"), denominator="denominator")
        id_ = (
            f"47支部の健診受診者({fiscal_year}年度、{'男' if sex == 'M' else '女'}、{mix['denominator'].sum():,.0f}人)"
        )
        cells = part.select("area", "age_band", "events", "denominator")
        rows = ranks(standardised_rate(cells, standard, kind="share", level=level, first="lowest", standard_id=id_))
        named = [pl.lit(value).alias(name) for name, value in (("risk", risk), ("label", RISKS[risk]), ("sex", sex))]
        parts.append(rows.select(pl.lit(fiscal_year).alias("fiscal_year"), *named, pl.all()))
    found = pl.concat(parts) if parts else pl.DataFrame()
    return small(found, source_of(strata))


_SUMS = pl.col("events", "denominator").sum()
_THEIRS = {"branch_value": "estimate", "branch_lower": "lower", "branch_upper": "upper", "_nation": "standard_rate"}


def beside_branches(rates: Any, places: Any, *, branch: str) -> Any:
    """Do our own checkups and the table of the 47 branches say the same of our branch, and what may then be judged?

    Parameters
    ----------
    rates
        `risk_rates(...)` of one year with the sexes apart, direct, on the age mix that the ranks stand on.
    places
        `risk_ranks(...)` of the same year; without rows nothing changes but the added columns are empty.
    branch
        Our area in `places`.

    Returns
    -------
    polars: the rows with branch_value, branch_lower, branch_upper (the table's share of our branch), apart,
    apart_lower, apart_upper (own minus table, Newcombe), own_judgement (as it came) and `judgement`: the table's, whose
    interval lies above, below or around the nation's share, since branch and nation are then of one source;
    出どころで不一致 where the own data say 高い or 低い and the table does not, or
    lie on the other side of the nation than the table says. 判定不能 and rows without table stay.

    Raises
    ------
    ParameterError
        `branch` is no code of a branch.
    """
    branch = branch_code(branch)
    table = eager(rates)
    found = eager(places)
    empty = pl.DataFrame(schema={"risk": pl.String, "sex": pl.String} | dict.fromkeys(_THEIRS, pl.Float64))
    theirs = found.filter(pl.col("area") == branch).select("risk", "sex", **_THEIRS) if len(found) else empty
    joined = table.join(theirs, on=["risk", "sex"], how="left", maintain_order="left", validate="m:1")
    rows = [row | _reconciled(row) for row in joined.to_dicts()]
    return small(pl.DataFrame(rows, infer_schema_length=None).drop("_nation"), source_of(rates))


def _reconciled(row: dict[str, Any]) -> dict[str, Any]:
    """Own minus table, and the judgement that both bear out."""
    own, theirs = (tuple(row[name] for name in names) for names in (_OWN, _BRANCH))
    apart = dict(zip(("apart", "apart_lower", "apart_upper"), gap_of(own, theirs), strict=True))
    said = row["judgement"]
    value, low, high = theirs
    if value is None or said == UNKNOWN:
        return apart | {"own_judgement": said}
    judged = HIGHER if low > row["_nation"] else LOWER if high < row["_nation"] else SAME
    across = own[0] is not None and (own[0] - row["_nation"]) * {HIGHER: 1, LOWER: -1}.get(judged, 0) < 0
    final = DISAGREE if across or (said in (HIGHER, LOWER) and said != judged) else judged
    return apart | {"own_judgement": said, "judgement": final}


_OWN, _BRANCH = ("estimate", "lower", "upper"), ("branch_value", "branch_lower", "branch_upper")
