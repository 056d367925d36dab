"""Which staged records are in a list's cells? One function a table: what is required, and what is derived."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from kenpo_analytics.ingest import cells as read
from kenpo_analytics.ingest.cells import Cells
from kenpo_analytics.ingest.list_checkups import checkups
from kenpo_analytics.ingest.list_people import Made, finish, identity
from kenpo_analytics.ingest.list_words import (
    CLAIM_STATE,
    INSURED_KIND,
    LEVEL,
    MAILED,
    RELATIONSHIP,
    RULE,
    STATE,
    TRUE_FALSE,
)
from kenpo_analytics.ingest.places import municipality, prefecture_code
from kenpo_analytics.ingest.records import STAGED
from kenpo_analytics.tables import TABLES


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
    code = cells.read("municipality", read.as_text, pl.String)
    town, unknown = municipality(code, cells.read("address", read.as_name, pl.String), branch)
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
        "workplace_id": cells.read("workplace_id", read.as_number_text, pl.String),
    }
    return finish(cells, STAGED["members"], {**people, **own})


def _branch(cells: Cells, insurer: pl.Series) -> pl.Series:
    given = cells.read("branch", _as_branch, pl.String, row=True)
    derived = insurer.str.extract(r"^01(\d{2})\d{4}$")
    known = derived.map_elements(prefecture_code, return_dtype=pl.String)
    branch = pl.select(pl.coalesce(given, known)).to_series()
    cells.refuse_where("branch", branch.is_null(), "missing")
    return branch


def _as_branch(raw: str) -> read.Reading:
    code = prefecture_code(read.plain(raw))
    return (code, None) if code or not read.plain(raw) else (None, "unknown_word")


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
        "programme": cells.read("programme", read.as_text, pl.String),
        "planned_date": day,
        "sent_date": sent,
        "status": status,
        "reason": cells.read("reason", read.as_text, pl.String),
        "rule": cells.word("rule", RULE),
        "leaflet": cells.read("leaflet", read.as_text, pl.String),
        "checkup_date": cells.date("checkup_date"),
    }
    for key in ("programme", "planned_date", "status"):
        cells.refuse_where(key, own[key].is_null(), "missing")
    return finish(cells, STAGED["mailings"], {**people, **own})


def guidance(cells: Cells) -> Made:
    """特定保健指導: one row a person and fiscal year (年度), with its level and the days it began and ended."""
    people = identity(cells)
    own = {
        "fiscal_year": cells.read("fiscal_year", read.as_fiscal_year, pl.Int64, row=True),
        "level": cells.word("level", LEVEL),
        "first_interview": cells.date("first_interview"),
        "completed": cells.date("completed"),
    }
    cells.refuse_where("fiscal_year", own["fiscal_year"].is_null(), "missing")
    return finish(cells, STAGED["guidance"], {**people, **own})


def claim_status(cells: Cells) -> Made:
    """Claims that were returned (返戻) or came back (再請求), by 検索番号. Excel loses digits beyond 15."""
    key = cells.read("claim_key", read.as_number_text, pl.String, row=True)
    lost = key.str.contains(r"^\d{15,}00$") & cells.serial
    cells.refuse_where("claim_key", key.is_null(), "missing")
    cells.refuse_where("claim_key", lost.fill_null(False), "mangled_number")
    status = cells.word("status", CLAIM_STATE, row=True)
    cells.refuse_where("status", status.is_null(), "missing")
    return finish(cells, STAGED["claim_status"], {"claim_key": key, "status": status})


def declared(table: str) -> Callable[[Cells], Made]:
    """How is a list without people read? Each column by its declaration; a required one refuses its row."""

    def made(cells: Cells) -> Made:
        own = {}
        for column in TABLES[table].columns:
            name = column.name
            if column.kind in ("int", "float"):
                reader = read.as_number("", column.low, column.high)
                found = cells.read(name, reader, pl.Float64, row=column.required)
                own[name] = _whole(cells, found, row=column.required) if column.kind == "int" else found
            elif column.kind == "month":
                own[name] = cells.read(name, read.as_month, pl.Int32, row=column.required)
            elif column.kind == "date":
                own[name] = cells.date(name, row=column.required)
            elif column.kind == "bool":
                own[name] = cells.word(name, TRUE_FALSE, pl.Boolean, row=column.required)
            else:
                own[name] = cells.read(
                    name, _text_reader(name), pl.String, row=column.required, strict=bool(column.values)
                )
            if column.required:
                cells.refuse_where(name, own[name].is_null(), "missing")
        return finish(cells, STAGED[table], own)

    return made


def _whole(cells: Cells, numbers: pl.Series, *, row: bool) -> pl.Series:
    broken = (numbers != numbers.floor()).fill_null(False)
    cells.refuse_where(numbers.name, broken, "not_a_number", row=row)
    return pl.select(pl.when(~broken).then(numbers)).to_series().cast(pl.Int64, strict=False).alias(numbers.name)


def _text_reader(name: str) -> read.Read:
    if name in ("branch", "area"):
        return _as_branch
    if name == "sex":
        return read.as_sex
    if name == "state":
        return read.as_word(STATE)
    return read.as_number_text if name == "workplace_id" else read.as_text


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
