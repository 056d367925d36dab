"""Which staged records are in a list's cells? One function a table: what is required, and what is derived."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from kenpo_analytics.ingest.lists.cells import Cells
from kenpo_analytics.ingest.lists.checkups import checkups
from kenpo_analytics.ingest.lists.people import Made, finish, identity
from kenpo_analytics.ingest.lists.places import municipality, prefecture_code, prefectures
from kenpo_analytics.ingest.lists.words import (
    CLAIM_STATE,
    INSURED_KIND,
    LEVEL,
    MAILED,
    RELATIONSHIP,
    RULE,
    STATE,
    TRUE_FALSE,
)
from kenpo_analytics.ingest.records import STAGED
from kenpo_analytics.ingest.values import columns as value
from kenpo_analytics.tables import TABLES, Column


def members(cells: Cells) -> Made:
    """Stretches of enrolment. From `valid_from` (資格取得日; 異動日 where filled) until before `valid_to` (喪失日).

    Birth gives birth_month and fy_age_base (an age is attained the day before the birthday: born on 1 April counts
    with the year before); the insurer 01PP… gives branch PP unless a column says it; municipality as in `places`;
    本人・家族 from its column, else from 枝番 (00 is the insured). A blank or 9999-12-31 end is none. An unreadable end
    refuses the row: it would mean "still enrolled".
    """
    people = identity(cells, row=("insurer", "number", "birth", "sex"))
    acquired, changed = cells.date("valid_from", row=True), cells.date("changed_from", row=True)
    begin = pl.select(pl.coalesce(changed, acquired)).to_series()
    end = cells.date("valid_to", row=True, may_be_open=True)
    cells.refuse_where("valid_from", begin.is_null(), "missing")
    cells.refuse_where("valid_from", (begin < acquired).fill_null(False), "order")
    cells.refuse_where("valid_to", (end <= begin).fill_null(False), "order")
    cells.refuse_where("birth", (people["birth"] > begin).fill_null(False), "order")
    branch, relationship = _branch(cells, people["insurer"]), _relationship(cells, people["branch_number"])
    code = cells.read("municipality", value.words)
    town, unknown = municipality(code, cells.read("address", value.names), branch)
    cells.refuse("municipality", unknown)
    birth = people["birth"]
    early = (birth.dt.month() < 4) | ((birth.dt.month() == 4) & (birth.dt.day() == 1))
    own = {
        "valid_from": begin,
        "valid_to": end,
        "birth_month": birth.dt.year().cast(pl.Int32) * 100 + birth.dt.month(),
        "fy_age_base": birth.dt.year() - early.cast(pl.Int32),
        "relationship": relationship,
        "insured_kind": cells.word("insured_kind", INSURED_KIND),
        "branch": branch,
        "municipality": town,
        "workplace_id": cells.read("workplace_id", value.numbers_as_text),
    }
    return finish(cells, STAGED["members"], {**people, **own})


def _branch(cells: Cells, insurer: pl.Series) -> pl.Series:
    given = cells.read("branch", _BRANCHES, row=True)
    derived = insurer.str.extract(r"^01(\d{2})\d{4}$")
    known = pl.select(pl.when(derived.is_in(list(prefectures().values()))).then(derived)).to_series()
    branch = pl.select(pl.coalesce(given, known)).to_series()
    cells.refuse_where("branch", branch.is_null(), "missing")
    return branch


def _one_branch(raw: str) -> value.Reading:
    code = prefecture_code(value.plain(raw))
    return (code, None) if code or not value.plain(raw) else (None, "unknown_word")


_BRANCHES = value.each(_one_branch, pl.String)


def _relationship(cells: Cells, branch_number: pl.Series) -> pl.Series:
    given = cells.word("relationship", RELATIONSHIP, row=True)
    insured = (branch_number == "00").replace_strict({True: "insured", False: "dependent"}, default=None)
    relationship = pl.select(pl.coalesce(given, insured)).to_series()
    cells.refuse_where("relationship", relationship.is_null(), "missing")
    return relationship


def mailings(cells: Cells) -> Made:
    """Letters. Without a planned day the day sent stands for it; a letter with a day sent and no result was sent."""
    people = identity(cells)
    planned, sent = cells.date("planned_date", row=True), cells.date("sent_date", row=True)
    day = pl.select(pl.coalesce(planned, sent)).to_series()
    status = cells.word("status", MAILED, row=True)
    status = pl.select(pl.coalesce(status, pl.when(sent.is_not_null()).then(pl.lit("sent")))).to_series()
    own = {
        "programme": cells.read("programme", value.words),
        "planned_date": day,
        "sent_date": sent,
        "status": status,
        "reason": cells.read("reason", value.words),
        "rule": cells.word("rule", RULE),
        "leaflet": cells.read("leaflet", value.words),
        "checkup_date": cells.date("checkup_date"),
    }
    for key in ("programme", "planned_date", "status"):
        cells.refuse_where(key, own[key].is_null(), "missing")
    return finish(cells, STAGED["mailings"], {**people, **own})


def guidance(cells: Cells) -> Made:
    """特定保健指導: one row a person and fiscal year (年度), with its level and the days it began and ended."""
    people = identity(cells)
    own = {
        "fiscal_year": cells.read("fiscal_year", value.fiscal_years, row=True),
        "level": cells.word("level", LEVEL),
        "first_interview": cells.date("first_interview"),
        "completed": cells.date("completed"),
    }
    cells.refuse_where("fiscal_year", own["fiscal_year"].is_null(), "missing")
    return finish(cells, STAGED["guidance"], {**people, **own})


def claim_status(cells: Cells) -> Made:
    """Claims that were returned (返戻) or came back (再請求), by 検索番号. Excel loses digits beyond 15."""
    key = cells.read("claim_key", value.numbers_as_text, row=True)
    lost = key.str.contains(r"^\d{15,}00$") & cells.serial
    cells.refuse_where("claim_key", key.is_null(), "missing")
    cells.refuse_where("claim_key", lost.fill_null(False), "mangled_number")
    status = cells.word("status", CLAIM_STATE, row=True)
    cells.refuse_where("status", status.is_null(), "missing")
    return finish(cells, STAGED["claim_status"], {"claim_key": key, "status": status})


def declared(table: str) -> Callable[[Cells], Made]:
    """How is a list without people read? Each column by its declaration; a required one refuses its row."""

    def made(cells: Cells) -> Made:
        own = {column.name: _declared_column(cells, column) for column in TABLES[table].columns}
        for column in TABLES[table].columns:
            if column.required:
                cells.refuse_where(column.name, own[column.name].is_null(), "missing")
        return finish(cells, STAGED[table], own)

    return made


def _declared_column(cells: Cells, column: Column) -> pl.Series:
    name, row = column.name, column.required
    if column.kind == "date":
        return cells.date(name, row=row)
    if column.kind == "int":
        return _whole(cells, cells.read(name, value.figures(column.low, column.high), row=row), row=row)
    readers = {"month": value.month_numbers, "bool": value.one_of(TRUE_FALSE, pl.Boolean)}
    readers |= {"float": value.figures(column.low, column.high), "str": _TEXTS.get(name, value.words)}
    return cells.read(name, readers[column.kind], row=row, strict=column.kind == "bool" or bool(column.values))


def _whole(cells: Cells, numbers: pl.Series, *, row: bool) -> pl.Series:
    broken = (numbers != numbers.floor()).fill_null(False)
    cells.refuse_where(numbers.name, broken, "not_a_number", row=row)
    return pl.select(pl.when(~broken).then(numbers)).to_series().cast(pl.Int64, strict=False).alias(numbers.name)


_TEXTS = {
    "branch": _BRANCHES,
    "area": _BRANCHES,
    "sex": value.sexes,
    "state": value.one_of(STATE),
    "workplace_id": value.numbers_as_text,
}

READERS: dict[str, Callable[[Cells], Made]] = {
    "members": members,
    "checkups": checkups,
    "mailings": mailings,
    "guidance": guidance,
    "claim_status": claim_status,
    "workplaces": declared("workplaces"),
    "national": declared("national"),
    "kpi_monthly": declared("kpi_monthly"),
}
