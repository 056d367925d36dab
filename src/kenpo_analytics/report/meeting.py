"""Where does the branch stand, on one sheet? The A3 page of the monthly meeting, made from checked results only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from itertools import zip_longest
from math import ceil
from pathlib import Path
from typing import Any

from kenpo_analytics.definitions.calendar import Event, events
from kenpo_analytics.definitions.kpi import GROUPS, in_year
from kenpo_analytics.disclosure import Checked
from kenpo_analytics.months import fiscal_year_of
from kenpo_analytics.report._emit import CONTEXT, SYNTHETIC, must_be_checked
from kenpo_analytics.report._format import MARKS, Col, cells, columns_of, number, of_row, write
from kenpo_analytics.report.areas import branch_names
from kenpo_analytics.report.attachments import Attachment, made
from kenpo_analytics.report.meeting_sources import origins
from kenpo_analytics.report.spark import timeline

_CSS = Path(__file__).with_name("meeting.css.j2")
_BADGES = {"達成": "met", "未達": "missed", "進捗中": "running", "判定不能": "unknown"}
_REFERENCE = "参考"
_YEARS = 3
_ROOM, _TALL, _FLAT, _TIGHT, _LINE = 256.0, 38.0, 15.0, 28.0, 6.0
"""Millimetres: room for the cards of one column, the most that one may take, one without a value, small type, and the
line above the figures for reference."""
UNIT = Col("", "unit")
CHANGE = Col("", "change")
_DONE = "実施"


def meeting_page(
    status: Checked,
    *,
    landing: Checked,
    series: Checked,
    title: str,
    month: int,
    branch: str,
    name: str,
    tables: Sequence[tuple[str, Checked, Mapping[str, Col | str]]] = (),
) -> Attachment:
    """Every KPI on one A3 sheet: value, target, gap, last year, nation, status, landing and timeline, by group.

    `status`, `landing` and `series` are what `kpi.status`, `kpi.landing` and `kpi.monthly_series` gave, after the
    check; `tables` are further checked tables (title, table, columns) for the free corner. Timelines run over this and
    the three fiscal years before it, with every event of the calendar (also listed) and every change of definition.
    What is no KPI of that year's plan (参考) stands below a line in its column, without a verdict; definition version
    and sources of every KPI are listed in the corner.
    """
    rows = sorted(_rows(must_be_checked(status)), key=lambda pair: not _planned(pair[0]))
    ends = {row["kpi_id"]: pair for pair in _rows(must_be_checked(landing)) for row in [pair[0]]}
    runs = must_be_checked(series)
    first, last = _span(month)
    drawn = events(dict.fromkeys(runs.table["kpi_id"]), first=first, last=last)
    marks = dict(enumerate(drawn, 1))
    grouped = {group: [pair for pair in rows if pair[0]["group"] == group] for group in GROUPS}
    grouped = {group: held for group, held in grouped.items() if held}
    cards = {
        group: [_card(pair, ends.get(pair[0]["kpi_id"]), runs, marks, (first, last)) for pair in held]
        for group, held in grouped.items()
    }
    listed = origins([pair[0] for held in grouped.values() for pair in held])
    corner = [*(_table(*given) for given in tables if len(given[1])), _calendar(marks), listed]
    page = _page(title, month, branch, grouped, cards, corner, _others(rows))
    return made(name, title, page.encode("utf-8"))


Pair = tuple[dict[str, Any], dict[str, str]]


def _rows(checked: Checked) -> list[Pair]:
    return list(zip(checked.table.to_dicts(), checked.states.to_dicts(), strict=True))


def _span(month: int) -> tuple[int, int]:
    year = fiscal_year_of(month)
    return (year - _YEARS) * 100 + 4, (year + 1) * 100 + 3


def _planned(row: Mapping[str, Any]) -> bool:
    """Is it a KPI of the plan of that year? Else it is a figure for reference, or a KPI that has ended."""
    return any(item.id == row["kpi_id"] and item.kind != "reference" for item in in_year(row["fiscal_year"]))


def _badge(row: Mapping[str, Any]) -> str:
    """The verdict on a KPI of the plan, or that it is none, and why."""
    word, why, look = row["status"], row["reason"] or "", _BADGES.get(row["status"], "unknown")
    if not _planned(row):
        word, why, look = _REFERENCE, "終わったKPI" if row["kind"] == "ended" else "", "reference"
    return (
        f'<span class="badge {look}">{escape(word)}</span>{escape(row["short"])}<span class="note">{escape(why)}</span>'
    )


def _text(pair: Pair | None, name: str, col: Col = UNIT) -> str:
    """One number as it is written on every page, or the mark that says why there is none."""
    if pair is None:
        return MARKS["not_applicable"]
    if pair[0]["unit"] == _DONE and pair[0][name] is not None:
        return _DONE if pair[0][name] >= 1 else f"未{_DONE}"
    return write(pair[0][name], pair[1][name], of_row(col, pair[0]))


def _card(pair: Pair, end: Pair | None, runs: Checked, marks: Mapping[int, Event], span: tuple[int, int]) -> str:
    row, states = pair
    head = f"<h3>{_badge(row)}</h3>"
    own = runs.where(kpi_id=row["kpi_id"])
    if row["month"] is None:
        return f'<article class="card empty">{head}{_facts(pair, end)}</article>'
    when = number(row["month"], "month") + {"final": "確定", "provisional": "速報"}.get(row["state"], "")
    limits = _limits(row, states)
    below = _count(pair, "denominator")
    counted = f"{_count(pair, 'numerator')}/{below}" if below else ""  # else the value is the number itself
    figure = timeline(
        own.table,
        first=span[0],
        last=span[1],
        target=row["target"],
        landing=None if end is None else end[0],
        marks=[(n, e) for n, e in marks.items() if {"all", row["kpi_id"]} & set(e.affects)],
    )
    value = f'<div class="value">{_text(pair, "estimate")} <small>{when}</small></div>'
    fine = f'<div class="fine">{limits}{counted}</div>'
    return f'<article class="card">{head}<div>{value}{fine}{_facts(pair, end)}</div>{figure}</article>'


def _limits(row: Mapping[str, Any], states: Mapping[str, str]) -> str:
    if states["lower"] != "shown" or row["lower"] is None or row["upper"] is None:
        return ""
    low, high = (number(row[name], "percent", row["digits"]) for name in ("lower", "upper"))
    return f"95%CI {low}～{high} · "


def _count(pair: Pair, name: str) -> str:
    """Numerator or denominator: people where the KPI counts them, else as counted."""
    row, states = pair
    people = f"people_{name}"
    key = people if row["counts"] == "people" and people in row else name
    if row[key] is None and states[key] not in ("masked", "masked_secondary"):
        return ""
    return write(row[key], states[key], Col("", "count"))


def _facts(pair: Pair, end: Pair | None) -> str:
    row = pair[0]
    national = "全国値なし" if row["national"] is None else _text(pair, "national")
    if row["national_month"] and row["national_month"] != row["month"]:
        national += f"({number(row['national_month'], 'month')})"
    bare = replace(of_row(CHANGE, row), unit="ポイント" if row["unit"] == "%" else "")
    gap = "" if row["gap"] is None or row["unit"] == _DONE else f"(差 {write(row['gap'], pair[1]['gap'], bare)})"
    facts = {
        "目標": _text(pair, "target") + gap,
        "前年同月": "速報のため比べない" if row["state"] == "provisional" else _text(pair, "last_year"),
        "全国": national,
        "年度末": _landing(end),
    }
    if place := _place(pair):
        facts["順位"] = place
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items()) + "</dl>"


def _place(pair: Pair) -> str:
    """The place among the 47 with its interval and its own month; a place without an interval is not told."""
    row, states = pair
    if row.get("rank") is None or states["rank"] != "shown":
        return ""
    return f"{row['rank']}位({row['rank_lower']}～{row['rank_upper']}位、{number(row['rank_month'], 'month')})"


def _landing(end: Pair | None) -> str:
    """The projection with its interval, the range of past years, or that there is none."""
    if end is None:
        return "見込みなし"
    if end[1]["lower"] in ("masked", "masked_secondary"):
        return MARKS["masked"]
    if end[0]["lower"] is None or end[0]["upper"] is None:
        return "見込みなし" if end[0]["estimate"] is None else _text(end, "estimate")
    since = f"、{end[0]['month'] % 100}月から"
    col = replace(of_row(UNIT, end[0]), unit="")
    low, high = (write(end[0][name], end[1][name], col) for name in ("lower", "upper"))
    low = low.rstrip("%")
    if end[0]["estimate"] is None:
        return f"幅 {low}～{high}{'' if end[0]['unit'] == '%' else end[0]['unit']}{since}"
    return f"{_text(end, 'estimate')}({low}～{high}{since})"


def _table(title: str, checked: Checked, columns: Mapping[str, Col | str]) -> str:
    cols = columns_of(must_be_checked(checked), columns)
    head = "".join(f"<th>{escape(col.label)}</th>" for col in cols.values())
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in cells(checked, cols).rows()
    )
    return f"<div><table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead>{body}</table></div>"


def _calendar(marks: Mapping[int, Event]) -> str:
    rows = "".join(
        f"<tr><td>{n}</td><td>{e.date.year}年{e.date.month}月</td><td>{escape(e.short)}</td>"
        f"<td>{'【仮定】' if e.status == '仮定' else ''}</td></tr>"
        for n, e in marks.items()
    )
    return f'<div class="text"><table><caption>図の中の番号(できごと)</caption>{rows}</table></div>'


def _others(rows: Sequence[Pair]) -> str:
    left = [f"{row['short']}({row['reason']})" for row, _ in rows if row["group"] not in GROUPS]
    return "、".join(left)


def _page(
    title: str,
    month: int,
    branch: str,
    grouped: Mapping[str, Sequence[Pair]],
    cards: Mapping[str, Sequence[str]],
    corner: Sequence[str],
    others: str,
) -> str:
    words = f"{SYNTHETIC}：実在の加入者・事業所の情報ではありません"
    banner = f'<p class="synthetic">{words}</p>' if CONTEXT.synthetic else ""
    plan = [row["status"] for held in grouped.values() for row, _ in held if _planned(row)]
    others_shown = sum(map(len, grouped.values())) - len(plan)
    said = "　".join(f"{name} {plan.count(name)}" for name in _BADGES)
    beside = f"　(ほかに参考 {others_shown})" if others_shown else ""
    body = _body([(group, held, cards[group]) for group, held in grouped.items()], corner)
    where = f"{branch_names().get(branch, branch)}支部　{number(month, 'month')}までの実績"
    more = f" 登録されていない指標: {escape(others)}。" if others else ""
    foot = (
        "橙は今年度、灰は過去の年度、点線(細かい)は定義の版が違う年度。白抜き・破線は速報。緑の一点鎖線は目標、右端の青は年度末の見込みの80%予測区間または幅(「5月から」は、5月の確定値から見込んだもの)。"
        "縦の破線は定義の変更で、前後は比べられない。縦軸は0から始まらない。速報は届いていない分だけ低いことがある。年度の累計は4月に始まり直す。縦の細線と番号はできごと(点線は日付が仮定)、灰の帯は続いた期間。"
        f"秘匿は10人未満など。「参考」は計画のKPIでない指標で、達成・未達を判定しない。定義の内容は同じ月の報告書07に示す。{more}"
    )
    return (
        f'<!DOCTYPE html>\n<html lang="ja"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_CSS.read_text(encoding='utf-8')}</style></head>"
        f'<body><div class="sheet"><header><h1>{escape(title)}</h1><p>{escape(where)}</p>'
        f'{banner}<p class="count">計画のKPI {len(plan)}指標　{said}{beside}</p></header>'
        f'<main class="body">{body}</main><footer>{foot}</footer></div></body></html>\n'
    )


Column = tuple[str, Sequence[Pair], Sequence[str]]


def _body(columns: Sequence[Column], corner: Sequence[str]) -> str:
    """Two halves; the tables below the cards of the first, whose cards leave them room, or beside a single column."""
    middle = (len(columns) + 1) // 2
    left, right = _ROOM - _corner_height(corner), _ROOM
    free = f'<div class="tables">{"".join(corner)}</div>'
    if len(columns) < 2:
        return _half(columns, _ROOM) + f'<div class="half">{free}</div>'
    return _half(columns[:middle], left, free) + _half(columns[middle:], right)


def _corner_height(corner: Sequence[str]) -> float:
    """How tall are the tables, two beside each other and the sources below? About, in millimetres."""
    *tables, listed = (text.count("<tr>") for text in corner)
    pairs = zip_longest(tables[::2], tables[1::2], fillvalue=0)
    sources = ceil(corner[-1].count("<span>") / 3)
    return sum(8 + 4.1 * max(pair) for pair in pairs) + 5 + 1.5 * listed + 3.7 * sources


def _heights(held: Sequence[Pair], room: float) -> tuple[float, float]:
    """How tall are the cards of a column without and with a value, so that they just fit? In millimetres."""
    filled = sum(row["month"] is not None for row, _ in held)
    room -= _LINE if _plans(held) < len(held) else 0
    low = min(_FLAT, room / len(held) - 1)
    return low, min(_TALL, (room - (len(held) - filled) * (low + 1)) / max(1, filled) - 1)


def _plans(held: Sequence[Pair]) -> int:
    return sum(_planned(row) for row, _ in held)


def _half(columns: Sequence[Column], room: float, corner: str = "") -> str:
    sections = "".join(_section(*column, room) for column in columns)
    return f'<div class="half"><div class="groups">{sections}</div>{corner}</div>'


def _section(group: str, held: Sequence[Pair], cards: Sequence[str], room: float) -> str:
    """One column: the KPIs of the plan, and below a line what is none."""
    (low, high), plans = _heights(held, room), _plans(held)
    beside = len(cards) - plans
    count = f"{plans}指標" + (f"＋{_REFERENCE}{beside}" if beside else "")
    line = f"<h4>{_REFERENCE}(計画のKPIではない)</h4>" if beside else ""
    return (
        f'<section class="{"tight" if high < _TIGHT else ""}" style="--empty:{low:.2f}mm;--card:{high:.2f}mm">'
        f"<h2>{escape(group)}<small>{count}</small></h2>{''.join(cards[:plans])}{line}{''.join(cards[plans:])}</section>"
    )
