"""Who needs a doctor and has not seen one? Untreated people (未治療者) above the recommendation values."""

from __future__ import annotations

from typing import Any, Literal

import narwhals as nw

from kenpo_analytics import frames
from kenpo_analytics.cohorts.eligible import PEOPLE, Pick, Population, find_eligible
from kenpo_analytics.cohorts.flow import Cohort, Kind, Stage, Step, first_exit
from kenpo_analytics.cohorts.rules import implausible, meets, plausible, usable_fpg
from kenpo_analytics.cohorts.visits import visits
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.definitions.words import LEVELS
from kenpo_analytics.errors import DefinitionError
from kenpo_analytics.frames import sure
from kenpo_analytics.months import index_of_date, month_index, parse_fiscal_year, parse_month

Level = Literal["first", "second"]
Purpose = Literal["kpi", "letter"]

DOMAINS: dict[str, tuple[str, ...]] = {"bp": ("sbp", "dbp"), "glucose": ("fpg", "hba1c"), "lipid": ("ldl",)}
"""Which items make each domain (領域); a person comes in by one or more of them."""
KPI_VALUES = {"first": ("untreated.first.kpi",), "second": ("untreated.first.kpi", "untreated.second.kpi")}
"""Which definitions hold the values of each level: two domains at the first values are second, too."""
_ITEMS = tuple(item for items in DOMAINS.values() for item in items)
_MEDICATION = tuple(f"medication_{domain}" for domain in DOMAINS)
_BY = tuple(f"by_{domain}" for domain in DOMAINS)


def untreated(
    checkups: Any,
    claims: Any,
    members: Any = None,
    *,
    fiscal_year: int,
    level: Level = "first",
    purpose: Purpose = "kpi",
    population: Population = "insured",
    pick: Pick | None = None,
    age: tuple[int, int] | None = None,
    branch: str | None = None,
    data_through: int | str | None = None,
    definitions: Definitions | None = None,
) -> Cohort:
    """Who stood above the recommendation values at a fiscal year's checkup and had not been to a doctor?

    Parameters
    ----------
    checkups, claims, members, fiscal_year, population, pick, age, branch
        As in `eligible_checkups`; `claims` tells who had been to a doctor.
    level
        "first" (一次勧奨): SBP >= 160, DBP >= 100, FPG >= 126, HbA1c >= 6.5 or LDL >= 180. "second" (二次勧奨): two or
        more domains at the first values, or SBP >= 180, DBP >= 110, FPG >= 160, HbA1c >= 8.4.
    purpose
        Two cohorts, never one for both (decision D3). "kpi": no visit in the month before the checkup; values as in
        force in the KPI year (checkups of fiscal year t count in KPI year t + 1). "letter": no visit from the month
        before to three months after; values as in force in the month of the letter (checkup month + 6).
        Its months 1-3 are free of visits by construction: a follow-up has to start at the letter month.
    data_through
        Last treatment month whose claims have arrived completely (see `mature_month`). People without a visit in a
        window that is not complete by then cannot be judged. Without it the flow says 未評価: "not yet arrived" is
        then taken for "no visit".

    Returns
    -------
    Cohort
        `people`: PEOPLE columns, sbp, dbp, fpg (fasting only), hba1c, ldl, and by_bp, by_glucose, by_lipid: which
        domains brought the person in.

    Raises
    ------
    TableError, FrameKindError, DefinitionError

    Notes
    -----
    A domain in which the person reports medication does not count (definition `untreated.drop_self_reported`, 仮定);
    a missing answer is not "yes". What a visit is: `cohorts.visits`. Source: 協会けんぽ 業績評価シート p.58 and
    協会けんぽ home page (LDL since October 2022).
    """
    if level not in ("first", "second") or purpose not in ("kpi", "letter"):
        raise DefinitionError(
            f"未治療者の指定が違います: level=「{level}」、purpose=「{purpose}」",
            hint="level は first か second、purpose は kpi か letter です。",
        )
    frames.same_engine(checkups=checkups, claims=claims)
    used, fiscal_year = definitions or define(), parse_fiscal_year(fiscal_year)
    found = find_eligible(
        checkups,
        members,
        fiscal_year=fiscal_year,
        population=population,
        pick=pick,
        age=age,
        branch=branch,
        definitions=used,
        values=("fasting", *_ITEMS, *_MEDICATION),
    )
    judged = _domains(found.picked, used, fiscal_year, level, purpose)
    visited = _visited(judged, claims, used, purpose)
    classified = visited.with_columns(
        first_exit(
            nw.all_horizontal(*(nw.col(item).is_null() for item in _ITEMS), ignore_nulls=False),
            ~nw.col("above"),
            ~_any([nw.col(name) for name in _BY]),
            nw.col("visited"),
            _incomplete(used, purpose, data_through),
        )
    )
    absent = [item for item in _ITEMS if item not in frames.columns_of(checkups)]
    steps = (
        *_steps(used, level, purpose),
        Step("visit_unknown", _UNKNOWN, judged=data_through is not None),
        *(Step(f"no_column_{item}", f"検査値の列がない: {item}", judged=False) for item in absent),
    )
    stage = Stage(classified, steps, "人", begins=found.begins, extra=_EXTRA)
    label = f"未治療者({LEVELS[level]}、{'KPI' if purpose == 'kpi' else '勧奨通知'})"
    return found.cohort(classified, stage, keep=[*PEOPLE, *_ITEMS, *_BY], end_label=label)


_UNKNOWN = "判定不能: 受診の有無を確かめる月のレセプトが届ききっていない"
_EXTRA: tuple[tuple[str, str, Kind], ...] = (
    ("by_bp", "うち血圧による", "of_which"),
    ("by_glucose", "うち血糖による", "of_which"),
    ("by_lipid", "うち脂質による", "of_which"),
    ("no_answer", "うち該当領域の服薬の回答がない人(服薬ありとはみなさず対象に含む、仮定)", "of_which"),
    ("fasting_unconfirmed", "うち空腹未確認の空腹時血糖による(仮定)", "of_which"),
    ("implausible", "参考: 想定範囲外の検査値を使わなかった人(単位の誤りなど)", "reference"),
)


def _steps(used: Definitions, level: str, purpose: str) -> tuple[Step, ...]:
    before = int(used.number(f"untreated.lookback.{purpose}"))
    after = int(used.number("untreated.wait.letter")) if purpose == "letter" else -1
    window = f"健診前{before}か月" if purpose == "kpi" else f"健診前{before}か月から健診後{after}か月"
    return (
        Step("no_marker", "判定不能: 血圧・血糖・脂質の検査値がない"),
        Step("below", f"{'一次' if level == 'first' else '二次'}勧奨の値に該当しない"),
        Step("self_reported", "該当する領域はすべて服薬中(自己申告、仮定)"),
        Step("visited", f"{window}に受診あり"),
    )


def _domains(picked: nw.LazyFrame, used: Definitions, fiscal_year: int, level: str, purpose: str) -> nw.LazyFrame:
    """Which domains stand above the values in force on this purpose's clock? Booleans without nulls."""
    no_time = nw.col("fasting").is_null()
    values = {item: nw.col(item) for item in _ITEMS}
    values["fpg"] = nw.when(usable_fpg(used, nw.col("fasting"))).then(nw.col("fpg"))
    picked = picked.with_columns(
        implausible(*((value, item) for item, value in values.items())).alias("implausible"),
        *(plausible(value, item).alias(item) for item, value in values.items()),
    )
    picked = picked.with_columns(*_values(used, fiscal_year, purpose), *_unmedicated(used))
    everyone = picked.with_columns(*_reached(used, fiscal_year, level, purpose, "raw", own=False))
    judged = everyone.with_columns(*_reached(used, fiscal_year, level, purpose, "by", own=True))
    unanswered = [nw.col(f"by_{domain}") & nw.col(f"medication_{domain}").is_null() for domain in DOMAINS]
    return judged.with_columns(
        _any([nw.col(f"raw_{domain}") for domain in DOMAINS]).alias("above"),
        _any(unanswered).alias("no_answer"),
        (nw.col("by_glucose") & no_time & nw.col("fpg_high")).alias("fasting_unconfirmed"),
    )


def _values(used: Definitions, fiscal_year: int, purpose: str) -> list[nw.Expr]:
    """Columns first_<domain>, second_<domain>: at or above the 一次 / 二次 values; fpg_high: by fasting glucose."""
    clock, first, last = _clock(used, fiscal_year, purpose)

    def above(stage: str, item: str) -> nw.Expr:
        return meets(used, f"untreated.{stage}.{purpose}.{item}", nw.col(item), clock, first, last)

    known = {row.id for row in used.family("untreated")}
    columns = [above("first", "fpg").alias("fpg_high")]
    for stage in ("first", "second"):
        for domain, items in DOMAINS.items():
            found = [above(stage, item) for item in items if f"untreated.{stage}.{purpose}.{item}" in known]
            nobody = nw.col("checkup_date").is_null()  # LDL has no 二次 value of its own
            columns.append((_any(found) if found else nobody).alias(f"{stage}_{domain}"))
    return columns


def _unmedicated(used: Definitions) -> list[nw.Expr]:
    """Columns own_<domain>: the person does not report medication there (all true when the switch is off)."""
    drop = used.flag("untreated.drop_self_reported")
    everybody = ~nw.col("checkup_date").is_null()
    return [(~sure(nw.col(f"medication_{domain}")) if drop else everybody).alias(f"own_{domain}") for domain in DOMAINS]


def _reached(used: Definitions, fiscal_year: int, level: str, purpose: str, prefix: str, *, own: bool) -> list[nw.Expr]:
    """Columns <prefix>_<domain>: does the domain bring the person in, among all domains or the unmedicated ones?"""

    def of(stage: str, domain: str) -> nw.Expr:
        column = nw.col(f"{stage}_{domain}")
        return column & nw.col(f"own_{domain}") if own else column

    if level == "first":
        return [of("first", domain).alias(f"{prefix}_{domain}") for domain in DOMAINS]
    clock, earliest, latest = _clock(used, fiscal_year, purpose)
    count: Any = sum(of("first", domain).cast(nw.Int32) for domain in DOMAINS)
    several = meets(used, f"untreated.second.{purpose}.domains", count, clock, earliest, latest)
    return [(of("second", domain) | (several & of("first", domain))).alias(f"{prefix}_{domain}") for domain in DOMAINS]


def _any(conditions: list[nw.Expr]) -> nw.Expr:
    return nw.any_horizontal(*conditions, ignore_nulls=False)


def _clock(used: Definitions, fiscal_year: int, purpose: str) -> tuple[nw.Expr, int, int]:
    """The month on this purpose's clock, and the first and last it can be."""
    if purpose == "kpi":
        april = month_index((fiscal_year + 1) * 100 + 4)
        return nw.lit(april), april, april
    lag = int(used.number("untreated.letter_lag"))
    first = month_index(fiscal_year * 100 + 4) + lag
    return index_of_date(nw.col("checkup_date")) + lag, first, first + 11


def _incomplete(used: Definitions, purpose: str, data_through: int | str | None) -> nw.Expr:
    """Does the window that rules out a visit reach beyond the complete months?"""
    if data_through is None:
        return nw.lit(False)
    after = int(used.number("untreated.wait.letter")) if purpose == "letter" else -1
    return index_of_date(nw.col("checkup_date")) + after > month_index(parse_month(data_through))


def _visited(judged: nw.LazyFrame, claims: Any, used: Definitions, purpose: str) -> nw.LazyFrame:
    """Did a person above the values see a doctor in the months that rule out a letter?"""
    before = int(used.number(f"untreated.lookback.{purpose}"))
    after = int(used.number("untreated.wait.letter")) if purpose == "letter" else -1
    seen = visits(claims, used)
    frames.same_key("person_id", checkups=judged, claims=seen)
    index = index_of_date(nw.col("checkup_date")).alias("index")
    concerned = judged.filter(nw.col("above")).select("person_id", index)
    offset = nw.col("visit") - nw.col("index")
    hit = concerned.join(seen, on="person_id", how="inner").filter((offset >= -before) & (offset <= after))
    hit = hit.select("person_id").unique("person_id").with_columns(nw.lit(True).alias("visited"))
    return judged.join(hit, on="person_id", how="left").with_columns(sure(nw.col("visited")).alias("visited"))
