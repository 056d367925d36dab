"""What happened, and when? Dated events that a trend may follow: epidemics, fee revisions, changes of definition."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kenpo_analytics.definitions.cells import STATUSES, Row, rows
from kenpo_analytics.definitions.kpi import kpis, versions
from kenpo_analytics.errors import DateError
from kenpo_analytics.months import parse_date

ALL, CHANGE = "all", "definition_"
SUBJECTS = (ALL, "checkups", "claims")
COLUMNS = ("id", "date", "until", "short", "label", "affects", "source", "status")
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
    return tuple(sorted([*read_events(_FILE), *_changes()], key=lambda event: (event.date, event.id)))


def read_events(path: Path) -> tuple[Event, ...]:
    """Which events stand in a file with the columns of events.csv?

    Raises
    ------
    DefinitionError
        Naming file, line and column: a date that is none, an end not after the beginning, an unknown name in `affects`,
        an unknown status, an empty cell (only `until` may be), or an id that comes twice.
    """
    found: dict[str, Event] = {}
    for row in rows(path, COLUMNS):
        made = _event(row)
        if made.id in found or made.id.startswith(CHANGE):
            raise row.wrong("id", "使えません(ほかのできごとと重なります)")
        found[made.id] = made
    return tuple(found.values())


def _event(row: Row) -> Event:
    row.filled(*(name for name in COLUMNS if name != "until"))
    date, until = _day(row, "date"), _day(row, "until") if row.text["until"] else None
    if until is not None and until <= date:
        raise row.wrong("until", f"始まり({date.isoformat()})より後ではありません")
    known, affects = {*SUBJECTS, *(item.id for item in kpis())}, tuple(row.text["affects"].split())
    if strange := [name for name in affects if name not in known]:
        raise row.wrong(
            "affects",
            f"使えない名前を含みます: {'、'.join(strange)}",
            hint=f"KPIのid(docs/kpi.md)か {'、'.join(SUBJECTS)} を空白で区切って書きます。",
        )
    return Event(
        id=row.text["id"],
        date=date,
        until=until,
        short=row.text["short"],
        label=row.text["label"],
        affects=affects,
        source=row.text["source"],
        status=row.one_of("status", STATUSES, "使えない区分です"),
    )


def _day(row: Row, column: str) -> datetime.date:
    try:
        return parse_date(row.text[column])
    except DateError as error:
        raise row.wrong(column, "日付として読めません", hint="2025-10-01 のように書きます。") from error


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
