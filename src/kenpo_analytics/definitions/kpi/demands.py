"""What does the plan demand of each KPI? Targets by fiscal year, judged as they are read: a branch may edit them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from kenpo_analytics.definitions.cells import STATUSES, Row, rows
from kenpo_analytics.definitions.kpi.registry import Kpi, kpi, kpis, versions
from kenpo_analytics.errors import DateError, DefinitionError
from kenpo_analytics.months import parse_fiscal_year

Rule = Literal["ge", "le", "ge_prev", "le_prev", "done"]
RULES: dict[Rule, str] = {"ge": "up", "ge_prev": "up", "done": "up", "le": "down", "le_prev": "down"}
"""Which direction of a KPI (up: 高いほどよい) each rule demands."""
COLUMNS = ("kpi_id", "fiscal_year", "version", "rule", "target", "status", "source", "note")
_FILE = Path(__file__).parent / "targets.csv"
_SAID = "使えるrule: ge(以上)、le(以下)、ge_prev(前年度以上)、le_prev(前年度以下)、done(実施)"


@dataclass(frozen=True)
class Target:
    """What the plan demands of a KPI in a fiscal year (printed units); None where the rule looks at the year before."""

    kpi_id: str
    fiscal_year: int
    version: str
    rule: Rule
    target: float | None
    status: str
    source: str
    note: str = ""


@cache
def targets() -> tuple[Target, ...]:
    """What does the plan of 三重支部 demand, FY2022-2025?

    Raises
    ------
    DefinitionError
        As `read_targets`.
    """
    return read_targets(_FILE)


def read_targets(path: Path) -> tuple[Target, ...]:
    """Which targets stand in a file with the columns of targets.csv?

    Raises
    ------
    DefinitionError
        Naming file, line and column: an unknown KPI, version, rule or status; a rule against the KPI's direction; no
        fiscal year; a target that is no number, out of range (% 0-100), missing, or beside a rule that looks at the
        year before; no source; two rows of one KPI and year.
    """
    found: dict[tuple[str, int], Target] = {}
    lines: dict[tuple[str, int], int] = {}
    for row in rows(path, COLUMNS):
        made = _target(row)
        key = made.kpi_id, made.fiscal_year
        if key in found:
            raise row.wrong("kpi_id", f"{made.fiscal_year}年度の行が{lines[key]}行目にもあります")
        found[key], lines[key] = made, row.line
    return tuple(found.values())


def _target(row: Row) -> Target:
    text = row.text
    item = kpi(row.one_of("kpi_id", [known.id for known in kpis()], "登録されていないKPIです"))
    version = row.one_of("version", [v.version for v in versions(item.id)], f"{item.short}の定義の版にありません")
    if text["rule"] not in RULES:
        raise row.wrong("rule", "使えない決まりです", hint=_SAID)
    rule: Rule = text["rule"]
    if RULES[rule] != item.direction:
        better = "高い" if item.direction == "up" else "低い"
        raise row.wrong("rule", f"{item.short}({better}ほどよい指標)の向きと逆です", hint=_SAID)
    row.one_of("status", STATUSES, "使えない区分です")
    row.filled("source")
    return Target(
        kpi_id=item.id,
        fiscal_year=_year(row),
        version=version,
        rule=rule,
        target=_number(row, item, rule),
        status=text["status"],
        source=text["source"],
        note=text["note"],
    )


def _year(row: Row) -> int:
    try:
        return parse_fiscal_year(row.text["fiscal_year"])
    except (DateError, DefinitionError) as error:
        raise row.wrong("fiscal_year", "年度として読めません", hint="2025 のように書きます。") from error


def _number(row: Row, item: Kpi, rule: Rule) -> float | None:
    if rule.endswith("_prev"):
        if row.text["target"]:
            raise row.wrong("target", f"rule「{rule}」(前年度と比べる)では使いません。空にしてください")
        return None
    row.filled("target")
    number, top = row.number("target"), 100.0 if item.unit == "%" else math.inf
    if not 0 <= number <= top:
        raise row.wrong("target", f"範囲の外です({'0～100' if item.unit == '%' else '0以上'})")
    return number
