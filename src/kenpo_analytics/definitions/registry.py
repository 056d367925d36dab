"""What counts, and when? Values are data with a validity and a clock; rules are named Python functions elsewhere.

A definition applies as it stood on its clock: at the checkup month, the letter month, or the April of a KPI year.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from kenpo_analytics.definitions.allowed import refuse_impossible
from kenpo_analytics.errors import DefinitionError
from kenpo_analytics.months import format_month, parse_month

Clock = Literal["checkup", "letter", "kpi"]
ASSUMED = "仮定"
OVERRIDDEN = "支部設定"
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Definition:
    """One value in force from `valid_from` up to, not including, `valid_to` (YYYYMM; None = open).

    `values` tells what a branch may set: a list (or|and), an interval ([0..120], (0..1]), or nothing where the range
    of the checkup's column holds.
    """

    id: str
    item: str
    op: str
    value: float | str
    unit: str
    valid_from: int | None
    valid_to: int | None
    clock: Clock
    label: str
    status: str
    source: str
    values: str = ""

    def in_force(self, month: int) -> bool:
        """Does it apply in this month of its clock?"""
        return (self.valid_from is None or self.valid_from <= month) and (
            self.valid_to is None or month < self.valid_to
        )

    @property
    def validity(self) -> str:
        """Its validity as printed: 2022-10～, ～2026-05, or 全期間."""
        if self.valid_from is None and self.valid_to is None:
            return "全期間"
        first = format_month(self.valid_from) if self.valid_from else ""
        return f"{first}～{format_month(self.valid_to) + '(未満)' if self.valid_to else ''}"


@dataclass(frozen=True)
class FeeCode:
    """One 診療行為コード that makes an out-of-hours visit (時間外加算), with its visit type and class."""

    code: str
    name: str
    visit_type: Literal["first", "return"]
    out_of_hours: str
    inpatient: bool
    valid_from: int | None
    valid_to: int | None


@dataclass(frozen=True)
class Definitions:
    """All definitions a computation may use, in every version."""

    rows: tuple[Definition, ...]
    fee_codes: tuple[FeeCode, ...]

    def __repr__(self) -> str:
        counts = f"{len(self.rows)}行, 支部設定 {len(self.overrides())}, 仮定 {len(self.assumptions())}"
        return f"Definitions({self.version}: {counts})"

    def versions(self, id: str) -> tuple[Definition, ...]:
        """Every dated version of one definition, oldest first."""
        found = tuple(row for row in self.rows if row.id == id)
        if not found:
            raise DefinitionError(f"定義にない名前です: 「{id}」", hint="docs/definitions.md の一覧を見てください。")
        return tuple(sorted(found, key=lambda row: row.valid_from or 0))

    def at(self, id: str, month: int) -> Definition | None:
        """The version in force in a month of its clock; None when none applies then."""
        found = [row for row in self.versions(id) if row.in_force(month)]
        if len(found) > 1:
            raise DefinitionError(
                f"定義「{id}」は{format_month(month)}に{len(found)}個あります",
                hint="有効期間の重なりを直してください。",
            )
        return found[0] if found else None

    def number(self, id: str, month: int | None = None) -> float:
        """The numeric value in force (the only version when no month is given)."""
        value = self._single(id, month).value
        if isinstance(value, str):
            raise DefinitionError(f"定義「{id}」は数値ではありません: 「{value}」")
        return value

    def text(self, id: str, month: int | None = None) -> str:
        """The value in force as text."""
        return str(self._single(id, month).value)

    def flag(self, id: str) -> bool:
        """Is a switch (0/1) on?"""
        value = self.number(id)
        if value not in (0, 1):
            raise DefinitionError(f"定義「{id}」は0か1です: 「{value}」")
        return value == 1

    def family(self, prefix: str) -> tuple[Definition, ...]:
        """Every row whose id begins with `prefix.`."""
        return tuple(row for row in self.rows if row.id.startswith(prefix + "."))

    def listed(self, *names: str, month: int | None = None) -> tuple[Definition, ...]:
        """The rows of these families (`followup`) and single definitions (`checkup.pick`), in this order.

        `month`: only those in force then.
        """
        rows = (row for name in names for row in self.family(name) or self.versions(name))
        return tuple(row for row in rows if month is None or row.in_force(month))

    def assumptions(self, *names: str) -> tuple[Definition, ...]:
        """The rows that rest on an assumption (仮定), not on a source; of these families only, if any is named."""
        return tuple(row for row in (self.listed(*names) if names else self.rows) if row.status == ASSUMED)

    def overrides(self) -> tuple[Definition, ...]:
        """The rows that a branch has set itself (支部設定)."""
        return tuple(row for row in self.rows if row.status == OVERRIDDEN)

    @property
    def version(self) -> str:
        """A short fingerprint of every value and date: two results compare only under the same one.

        The KPI registry with its printed values, the targets and the events are part of it.
        """
        text = repr([(r.id, r.op, r.value, r.valid_from, r.valid_to) for r in self.rows]) + repr(self.fee_codes)
        text += repr(_registered())
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _single(self, id: str, month: int | None) -> Definition:
        versions = self.versions(id)
        if month is None and len(versions) == 1:
            return versions[0]
        found = self.at(id, month) if month is not None else None
        if found is None:
            when = "(月の指定なし)" if month is None else f"({format_month(month)})"
            raise DefinitionError(f"定義「{id}」に有効な値がありません{when}")
        return found


def define(*, overrides: Mapping[str, float | str] | None = None) -> Definitions:
    """Which definitions does the suite use?

    Parameters
    ----------
    overrides
        A branch's own values by id, as in the `[definitions]` table of `kenpo.toml`. They replace the value of every
        version and are marked 支部設定, so that reports print them.

    Raises
    ------
    DefinitionError
        An unknown id, a value of another type, a number that is not finite, or a value that cannot be (`allowed`):
        not a listed one, out of range, or a lower bound not below its upper bound.
    """
    base = _packaged()
    if not overrides:
        return base
    known = {row.id: row for row in base.rows}
    for id, value in overrides.items():
        if id not in known:
            raise DefinitionError(f"定義にない名前です: 「{id}」", hint="docs/definitions.md の一覧を見てください。")
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        default = f"(既定: 「{known[id].value}」)"
        if isinstance(known[id].value, str) == numeric or isinstance(value, bool):
            raise DefinitionError(f"定義「{id}」の値の型が違います: 「{value}」{default}")
        if not isinstance(value, str) and not math.isfinite(value):
            raise DefinitionError(f"定義「{id}」の値が有限の数ではありません: 「{value}」{default}")
    rows = tuple(
        replace(row, value=_given(overrides[row.id]), status=OVERRIDDEN, source=f"支部による(既定 {row.value})")
        if row.id in overrides
        else row
        for row in base.rows
    )
    refuse_impossible(rows, overrides)
    return replace(base, rows=rows)


def fingerprint(used: Definitions | None = None) -> dict[str, object]:
    """What of the definitions must a run's manifest tell? Version, overrides and number of assumptions."""
    used = used or define()
    return {
        "version": used.version,
        "overrides": {row.id: row.value for row in used.overrides()},
        "assumptions": len(used.assumptions()),
    }


@cache
def _packaged() -> Definitions:
    rows = tuple(_definition(row) for name in ("thresholds", "parameters", "kpi/incentive") for row in read(name))
    return Definitions(rows, tuple(_fee_code(row) for row in read("fee_codes")))


def _registered() -> tuple[object, ...]:
    from kenpo_analytics.definitions.calendar import events
    from kenpo_analytics.definitions.kpi import contents, targets

    demanded = [(t.kpi_id, t.fiscal_year, t.version, t.rule, t.target) for t in targets()]
    happened = [(e.id, e.date.isoformat(), str(e.until), e.short, e.label, e.affects) for e in events()]
    return (contents(), demanded, happened)


def read(name: str) -> Iterable[dict[str, str]]:
    """The rows of a packaged file (thresholds, parameters, kpi/incentive, fee_codes, decisions), all as text."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _definition(row: dict[str, str]) -> Definition:
    return Definition(
        id=row["id"],
        item=row["item"],
        op=row["op"],
        value=_value(row["value"]),
        unit=row["unit"],
        valid_from=_month(row["valid_from"]),
        valid_to=_month(row["valid_to"]),
        clock=row["clock"],  # type: ignore[arg-type]
        label=row["label"],
        status=row["status"],
        source=row["source"],
        values=row["values"],
    )


def _fee_code(row: dict[str, str]) -> FeeCode:
    return FeeCode(
        code=row["code"],
        name=row["name"],
        visit_type=row["visit_type"],  # type: ignore[arg-type]
        out_of_hours=row["out_of_hours"],
        inpatient=row["inpatient"] == "1",
        valid_from=_month(row["valid_from"]),
        valid_to=_month(row["valid_to"]),
    )


def _given(value: float | str) -> float | str:
    """A number as a float; a text stays one, even one that could be read as a number."""
    return value if isinstance(value, str) else float(value)


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _month(text: str) -> int | None:
    return parse_month(text) if text else None
