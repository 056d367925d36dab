"""What happened, and when? Dated events that a trend may follow: epidemics, fee revisions, changes of definition."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kenpo_analytics.definitions.kpi import kpis, versions

ALL, CHANGE = "all", "definition_"
_FILE = Path(__file__).parent / "events.csv"


@dataclass(frozen=True)
class Event:
    """One dated event; `until` where it lasted (its first day without it). `affects`: KPI ids, subjects, or `all`."""

    id: str
    date: datetime.date
    until: datetime.date | None
    short: str
    label: str
    affects: tuple[str, ...]
    source: str
    status: str

    @property
    def month(self) -> int:
        """The month (YYYYMM) in which it began."""
        return self.date.year * 100 + self.date.month

    @property
    def until_month(self) -> int | None:
        """The month in which it ended, if it lasted."""
        return None if self.until is None else self.until.year * 100 + self.until.month


@cache
def _calendar() -> tuple[Event, ...]:
    with _FILE.open(encoding="utf-8", newline="") as file:
        rows = [
            Event(
                id=row["id"],
                date=datetime.date.fromisoformat(row["date"]),
                until=datetime.date.fromisoformat(row["until"]) if row["until"] else None,
                short=row["short"],
                label=row["label"],
                affects=tuple(row["affects"].split()),
                source=row["source"],
                status=row["status"],
            )
            for row in csv.DictReader(file)
        ]
    return tuple(sorted([*rows, *_changes()], key=lambda event: (event.date, event.id)))


def _changes() -> list[Event]:
    """A definition that broke a series is an event of that KPI: taken from the registry, written nowhere twice."""
    return [
        Event(
            id=f"{CHANGE}{item.id}",
            date=datetime.date(v.valid_from // 100, v.valid_from % 100, 1),
            until=None,
            short=f"定義の変更({item.short})",
            label=f"{item.short}の定義の変更。{v.break_reason}",
            affects=(item.id,),
            source=v.source,
            status=v.status,
        )
        for item in kpis()
        for v in versions(item.id)
        if v.break_reason and v.valid_from
    ]


def events(affects: Iterable[str] | None = None, *, first: int = 0, last: int = 999912) -> tuple[Event, ...]:
    """Which events belong on a trend, oldest first?

    Parameters
    ----------
    affects
        KPI ids or subjects (`checkups`, `claims`): those that affect one of them, or everything. None: every event.
    first, last
        Months (YYYYMM) that the trend shows: events that lie in them, or last into them.

    Notes
    -----
    Dates that no source confirms have the status 仮定. Changes of a KPI's definition come from the KPI registry.
    """
    wanted = None if affects is None else {*affects, ALL}
    return tuple(
        event
        for event in _calendar()
        if event.month <= last
        and (event.until_month or event.month) >= first
        and (wanted is None or wanted & set(event.affects))
    )
