"""Where does the branch stand, on one sheet? The A3 page of the monthly meeting, made from checked results only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil
from pathlib import Path
from typing import Any

from kenpo_analytics.definitions.calendar import Event, events
from kenpo_analytics.definitions.kpi import GROUPS, in_year
from kenpo_analytics.disclosure import Checked
from kenpo_analytics.months import fiscal_year_of
from kenpo_analytics.report._emit import CONTEXT, SYNTHETIC, must_be_checked
from kenpo_analytics.report._format import Col, cells, columns_of, number, write
from kenpo_analytics.report.areas import branch_names
from kenpo_analytics.report.attachments import Attachment, made
from kenpo_analytics.report.meeting_facts import Pair, facts, pairs, text
from kenpo_analytics.report.meeting_sources import origins
from kenpo_analytics.report.spark import timeline

_CSS = Path(__file__).with_name("meeting.css.j2")
_BADGES = {"達成": "met", "未達": "missed", "進捗中": "running", "判定不能": "unknown"}
_REFERENCE = "参考"
_YEARS = 3
_ROOM, _TALL, _FLAT, _TIGHT, _LINE = 256.0, 38.0, 17.0, 34.0, 6.0
"""Millimetres: room for the cards of one column, the most that one may take, one without a value, small type, and the
line above the figures for reference."""


def meeting_page(
    status: Checked,
    *,
    landing: Checked,
    series: Checked,
    settled: Checked | None = None,
    title: str,
    month: int,
    branch: str,
    name: str,
    tables: Sequence[tuple[str, Checked, Mapping[str, Col | str]]] = (),
) -> Attachment:
    """Every KPI on one A3 sheet: value, target, gap, last year, nation, status, landing and timeline, by group.

    `status`, `landing` and `series` are what `kpi.status`, `kpi.landing` and `kpi.monthly_series` gave, after the
    check; `settled` what `kpi.status` gave of the latest 確定 month, which is compared with the year before (default:
    `status`, where 速報 months have no comparison); `tables` are further checked tables (title, table, columns) for
    the free corner. Timelines run over this and the three fiscal years before it, with every event of the calendar
    (also listed) and every change of definition.
    What is no KPI of that year's plan (参考) stands below a line in its column, without a verdict; definition version
    and sources of every KPI are listed in the corner.
    """
    rows = sorted(pairs(must_be_checked(status)), key=lambda pair: not _planned(pair[0]))
    ends = {pair[0]["kpi_id"]: pair for pair in pairs(must_be_checked(landing))}
    final = {pair[0]["kpi_id"]: pair for pair in pairs(must_be_checked(status if settled is None else settled))}
    runs = must_be_checked(series)
    first, last = _span(month)
    drawn = events(dict.fromkeys(runs.table["kpi_id"]), first=first, last=last)
    marks = dict(enumerate(drawn, 1))
    grouped = {group: [pair for pair in rows if pair[0]["group"] == group] for group in GROUPS}
    grouped = {group: held for group, held in grouped.items() if held}
    cards = {
        group: [
            _card(pair, final.get(pair[0]["kpi_id"], pair), ends.get(pair[0]["kpi_id"]), runs, marks, (first, last))
            for pair in held
        ]
        for group, held in grouped.items()
    }
    listed = origins([pair[0] for held in grouped.values() for pair in held])
    corner = [*(_table(*given) for given in tables if len(given[1])), _calendar(marks), listed]
    page = _page(title, month, branch, grouped, cards, corner, _others(rows))
    return made(name, title, page.encode("utf-8"))


def _span(month: int) -> tuple[int, int]:
    year = fiscal_year_of(month)
    return (year - _YEARS) * 100 + 4, (year + 1) * 100 + 3


def _planned(row: Mapping[str, Any]) -> bool:
    """Is it a KPI of the plan of that year? Else it is a figure for reference, or a KPI that has ended."""
    return any(item.id == row["kpi_id"] and item.kind != "reference" for item in in_year(row["fiscal_year"]))


def _head(row: Mapping[str, Any]) -> str:
    """The verdict on a KPI of the plan, or that it is none, and why."""
    word, why, look = row["status"], row["reason"] or "", _BADGES.get(row["status"], "unknown")
    if not _planned(row):
        word, why, look = _REFERENCE, "終わったKPI" if row["kind"] == "ended" else "", "reference"
    name = f'<span class="badge {look}">{escape(word)}</span>{escape(row["short"])}'
    return f'<h3>{name}<span class="note">{escape(why)}</span></h3>'


def _card(
    pair: Pair, settled: Pair, end: Pair | None, runs: Checked, marks: Mapping[int, Event], span: tuple[int, int]
) -> str:
    row, states = pair
    head, told = _head(row), facts(pair, settled=settled, end=end, runs=runs)
    if row["month"] is None:
        return f'<article class="card empty">{head}{told}</article>'
    when = number(row["month"], "month") + {"final": "確定", "provisional": "速報"}.get(row["state"], "")
    limits = _limits(row, states)
    below = _count(pair, "denominator")
    counted = f"{_count(pair, 'numerator')}/{below}" if below else ""  # else the value is the number itself
    figure = timeline(
        runs.where(kpi_id=row["kpi_id"]).table,
        first=span[0],
        last=span[1],
        target=row["target"],
        landing=None if end is None else end[0],
        marks=[(n, e) for n, e in marks.items() if {"all", row["kpi_id"]} & set(e.affects)],
    )
    value = f'<div class="value">{text(pair, "estimate")} <small>{when}</small></div>'
    fine = f'<div class="fine">{limits}{counted}</div>'
    return f'<article class="card">{head}<div>{value}{fine}{told}</div>{figure}</article>'


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
        "前年同月は確定した最新の月で比べる(実績とは月が違うことがある)。橙は今年度、灰は過去の年度、点線(細かい)は定義の版が違う年度。白抜き・破線は速報。緑の一点鎖線は目標、右端の青は年度末の見込みの80%予測区間または幅(「5月から」は、5月の確定値から見込んだもの)。"
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
    beside = "".join(f"<div>{''.join(tables)}</div>" for tables in _beside(corner))
    free = f'<div class="tables">{beside}{corner[-1]}</div>'
    if len(columns) < 2:
        return _half(columns, _ROOM) + f'<div class="half">{free}</div>'
    return _half(columns[:middle], left, free) + _half(columns[middle:], right)


def _beside(corner: Sequence[str]) -> tuple[list[str], list[str]]:
    """The tables before the sources in two columns, about as tall: the largest first, each where there is more room."""
    columns: tuple[list[str], list[str]] = ([], [])
    for table in sorted(corner[:-1], key=_tall, reverse=True):
        min(columns[::-1], key=lambda held: sum(map(_tall, held))).append(table)
    for held in columns:
        held.sort(key=list(corner).index)
    return columns


def _tall(table: str) -> float:
    return 9 + 4.1 * table.count("<tr>")


def _corner_height(corner: Sequence[str]) -> float:
    """How tall are the tables, in two columns and the sources below? About, in millimetres."""
    listed = corner[-1]
    sources = ceil(listed.count("<span>") / 3)
    return max(sum(map(_tall, held)) for held in _beside(corner)) + 5 + 1.5 * listed.count("<tr>") + 3.7 * sources


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
