"""What is each KPI of the plan? Numerator, denominator, unit, direction, versions and printed history."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from kenpo_analytics.errors import DefinitionError
from kenpo_analytics.months import parse_month

Accumulates = Literal["base", "both", "level", "every"]
Timing = Literal["", "same", "later", "window"]
GROUPS = ("業務", "レセプト", "保健", "企画総務")
KINDS = {"plan": "令和7年度計画のKPI", "ended": "終わったKPI", "reference": "参考の指標"}
NATION = "全国"
PER_THOUSAND = "件/千人"

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Kpi:
    """One KPI: what is divided by what, and how its value reads.

    `accumulates`: "base" when only the numerator runs up over the fiscal year (takers over members), "both" when both
    do (collected over assessed), "level" for the state at a month, "every" where each month must meet
    the target. `counts` says what the numerator counts (people, cases, places, yen, units, events, other); `interval`
    is "wilson" where it is a share of people or cases, else "none". `denominator` is empty where the value is a plain
    number. In force from `first_year` to `last_year` (None = open). `timing`, where both accumulate, says what a share
    before March is: "same" where both arise together, "later" where the numerator follows with a delay (no year-end
    value: never held against a target), "window" where only people followed to the end count, all of them by March.
    """

    id: str
    label: str
    short: str
    group: str
    unit: str
    digits: int
    direction: Literal["up", "down"]
    accumulates: Accumulates
    counts: str
    interval: Literal["wilson", "none"]
    first_year: int
    last_year: int | None
    kind: str
    incentive: bool
    computed_by: str
    numerator: str
    denominator: str
    status: str
    source: str
    timing: Timing = ""

    def value(self, numerator: float, denominator: float | None) -> float:
        """The value: a share as a fraction (0.353), else in the unit of the plan. Needs a denominator if it has one."""
        if not self.denominator:
            return numerator
        assert denominator
        return numerator / denominator * (1000.0 if self.unit == PER_THOUSAND else 1.0)

    def of_printed(self, number: float) -> float:
        """A printed number as `value` gives it: 69.5 (%) is 0.695."""
        return number / 100 if self.unit == "%" else number


@dataclass(frozen=True)
class Version:
    """One way a KPI has been counted, official from `valid_from` up to, not including, `valid_to` (YYYYMM)."""

    kpi_id: str
    version: str
    valid_from: int | None
    valid_to: int | None
    what: str
    break_reason: str
    status: str
    source: str

    def in_force(self, month: int) -> bool:
        """Is this the official way in the month?"""
        return (self.valid_from or 0) <= month < (self.valid_to or 999999)


@cache
def kpis() -> tuple[Kpi, ...]:
    """Which KPIs are known? Those of the plan FY2025 by group, ended ones, and figures for reference."""
    known = {row["kpi_id"]: row["timing"] for row in timings()}
    return tuple(
        Kpi(
            **_typed(row, whole=("digits", "first_year"), maybe=("last_year",), flags=("incentive",)),
            timing=known.get(row["id"], ""),  # type: ignore[arg-type]
        )
        for row in _read("kpis")
    )


@cache
def timings() -> tuple[dict[str, str], ...]:
    """When does the numerator of a share arise beside its denominator? kpi_id, timing, why, status, source.

    One row for every KPI whose numerator and denominator both accumulate over the fiscal year.
    """
    return tuple(_read("timing"))


def in_year(fiscal_year: int) -> tuple[Kpi, ...]:
    """Which KPIs are in force in a fiscal year?"""
    return tuple(k for k in kpis() if k.first_year <= fiscal_year <= (k.last_year or 9999))


def kpi(id: str) -> Kpi:
    """One KPI by its id.

    Raises
    ------
    DefinitionError
        No such KPI.
    """
    found = next((k for k in kpis() if k.id == id), None)
    if found is None:
        raise DefinitionError(f"登録されていないKPIです: 「{id}」", hint="docs/kpi.md の一覧を見てください。")
    return found


@cache
def _versions() -> tuple[Version, ...]:
    return tuple(Version(**_typed(row, months=("valid_from", "valid_to"))) for row in _read("versions"))


def versions(kpi_id: str) -> tuple[Version, ...]:
    """Every way a KPI has been counted, oldest first."""
    kpi(kpi_id)
    return tuple(sorted((v for v in _versions() if v.kpi_id == kpi_id), key=lambda v: v.valid_from or 0))


def version_at(kpi_id: str, month: int) -> Version:
    """The official way of counting in a month (YYYYMM)."""
    found = [v for v in versions(kpi_id) if v.in_force(month)]
    if len(found) != 1:
        raise DefinitionError(f"KPI「{kpi_id}」の{month}の定義の版が{len(found)}個あります。")
    return found[0]


@cache
def printed() -> tuple[dict[str, Any], ...]:
    """Which values are printed in public documents, for 三重 ("24") and the nation (全国)?

    Rows: kpi_id, version, month (YYYYMM, as of), area, value (printed units), numerator, denominator (None where not
    printed), part_year, status, source. Values of a series that had to be read off a chart say so in `source`.
    """
    rows = (
        _typed(row, months=("month",), numbers=("value", "numerator", "denominator"), flags=("part_year",))
        for row in _read("history")
    )
    return tuple(rows)


def contents() -> tuple[object, ...]:
    """Every value and date of the registry by which a KPI is counted, judged or compared; no labels, no sources."""
    items = [
        (k.id, k.unit, k.digits, k.direction, k.accumulates, k.counts, k.interval, k.first_year, k.last_year, k.timing)
        for k in kpis()
    ]
    counted = [(v.kpi_id, v.version, v.valid_from, v.valid_to) for v in _versions()]
    names = ("kpi_id", "version", "month", "area", "value", "numerator", "denominator", "part_year")
    return (*items, *counted, *(tuple(row[name] for name in names) for row in printed()))


def _typed(
    row: dict[str, str],
    *,
    whole: tuple[str, ...] = (),
    maybe: tuple[str, ...] = (),
    numbers: tuple[str, ...] = (),
    months: tuple[str, ...] = (),
    flags: tuple[str, ...] = (),
) -> dict[str, Any]:
    made: dict[str, Any] = dict(row)
    made |= {name: int(row[name]) for name in whole}
    made |= {name: int(row[name]) if row[name] else None for name in maybe}
    made |= {name: float(row[name]) if row[name] else None for name in numbers}
    made |= {name: parse_month(row[name]) if row[name] else None for name in months}
    return made | {name: row[name] == "1" for name in flags}


def _read(name: str) -> list[dict[str, str]]:
    with (_FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
