"""How has each KPI run? Small multiples: a line per fiscal year, or the printed years with every break left open."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import polars as pl

from kenpo_analytics.definitions.calendar import CHANGE, Event
from kenpo_analytics.disclosure import Checked
from kenpo_analytics.kpi.process import ALONG, BEYOND, GROWTH
from kenpo_analytics.months import month_index
from kenpo_analytics.report._emit import must_be_checked
from kenpo_analytics.report._format import DONE, Col, Style, number, of_row, write
from kenpo_analytics.report.events import Numbered, draw_events, in_years, numbered
from kenpo_analytics.report.style import COARSE, COLOURS, PLAIN, STRONG, canvas, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ACROSS = 3
_MONTHS = [4, 7, 10, 1, 3]
NUMBERS: dict[str, Col | str] = {
    "short": "指標",
    "month": Col("月", "month"),
    "estimate": Col("実績", "unit"),
    "state": Col("区分", names={"final": "確定", "provisional": "速報"}),
    "definition_version": "定義の版",
}
FOLDED = {name: column for name, column in NUMBERS.items() if name != "definition_version"}  # in a table of its own


def kpi_months(
    checked: Checked, *, title: str, targets: Checked, landing: Checked | None = None, events: Sequence[Event] = ()
) -> None:
    """How does this fiscal year run against those before? A panel per KPI, a line per fiscal year from April to March.

    `checked` is `kpi.monthly_series` after `check_kpi`; `targets` the status rows (their `target`), `landing` the
    landing rows (drawn at March with their interval or range). Provisional months (速報) are hollow and dashed. Years
    under another definition version are dotted and not comparable; no line crosses a year, so none crosses a break.
    `events` (`definitions.calendar.events`) stand with their number on the line of the year in which they came. The
    numbers under the figure are those of the last 13 months. Without rows there is no figure.
    """
    if not must_be_checked(checked):
        return
    goals = {row["kpi_id"]: row["target"] for row in must_be_checked(targets).table.to_dicts()}
    ends = {} if landing is None else {row["kpi_id"]: row for row in must_be_checked(landing).table.to_dicts()}
    keys = list(dict.fromkeys(checked.table["kpi_id"]))
    alts, latest = [], checked.table["fiscal_year"].max()  # a KPI that has ended has no line of this year
    with _panels(keys, title) as (figure, panels):
        for axes, key in zip(panels, keys, strict=True):
            part = checked.where(kpi_id=key).table
            years = sorted(set(part["fiscal_year"]))
            for year in years:
                _year(axes, part.filter(pl.col("fiscal_year") == year), year == latest, years.index(year))
            if goals.get(key) is not None:
                axes.axhline(goals[key], color=COLOURS[2], linewidth=1.2, linestyle="-.", label="目標")
            _landing(axes, ends.get(key))
            _on_lines(axes, part, numbered(events, key))
            axes.set_xticks([(month - 4) % 12 + 1 for month in _MONTHS], [f"{month}月" for month in _MONTHS])
            axes.set_xlim(0.5, 12.9)
            _dress(axes, part)
            alts.append(_said(part, years[-1]))
        _legend(figure, panels)
        recent = sorted(set(checked.table["month"]))[-13:]  # from the same month last year on
        finish(figure, checked.where(month=recent), title=title, alt="".join(alts), columns=FOLDED, dpi=COARSE)


def kpi_control(checked: Checked, *, title: str, events: Sequence[Event] = ()) -> None:
    """Which months stand out? A control chart (管理図) per KPI: centre, natural limits, and the months with a signal.

    `checked` is `kpi.control` after `check_kpi`; a KPI has months of one definition version without a gap, and no
    limits where it has too few. A month that may not be shown breaks the line. Without rows there is no figure.
    """
    if not must_be_checked(checked):
        return
    keys = list(dict.fromkeys(checked.table["kpi_id"]))
    alts = []
    with _panels(keys, title) as (figure, panels):
        for axes, key in zip(panels, keys, strict=True):
            part = checked.where(kpi_id=key).table.sort("month")
            at = [month_index(month) for month in part["month"]]
            axes.plot(at, _floats(part, "estimate"), color=PLAIN, marker=".", markersize=4, linewidth=1, label="実績")
            if part["centre"][0] is not None:
                axes.axhline(part["centre"][0], color=".35", linewidth=1, label="中心線")
                for name in ("lower", "upper"):
                    axes.axhline(part[name][0], color=COLOURS[2], linewidth=1, linestyle="--", label="管理限界")
            for rule, marker in zip((BEYOND, ALONG), ("o", "s"), strict=True):
                odd = part.filter(pl.col("signal") == rule)
                where = [month_index(month) for month in odd["month"]]
                look: dict[str, Any] = {"color": STRONG, "marker": marker, "linestyle": "", "markersize": 6}
                if where:
                    axes.plot(where, _floats(odd, "estimate"), **look, label=rule)
            low, high = at[0] - 1.0, at[-1] + 1.0
            axes.set_xlim(low, high)
            draw_events(axes, numbered(events, key), month_index, low=low, high=high)
            aprils = [i for i in range(at[0], at[-1] + 1) if i % 12 == 3]
            axes.set_xticks(aprils, [f"{i // 12 % 100:02d}年4月" for i in aprils])
            _dress(axes, part, pad=10)
            alts.append(_odd(part))
        _legend(figure, panels)
        finish(figure, checked, title=title, alt="".join(alts), columns=None, dpi=COARSE)


def kpi_history(checked: Checked, *, title: str, events: Sequence[Event] = ()) -> None:
    """What was printed in each year? A panel per KPI: 三重, its target and the nation; breaks are gaps.

    `checked` is `kpi.plan_history` after `check_public`. Only whole years under one definition version are joined; a
    part-year value is hollow and stands alone; a dashed upright says where the definition changed. `events` stand
    where they lie in their fiscal year.
    """
    checked = must_be_checked(checked)
    keys = [key for key in dict.fromkeys(checked.table["kpi_id"]) if checked.where(kpi_id=key).table["mie"].count()]
    alts = []
    with _panels(keys, title) as (figure, panels):
        for axes, key in zip(panels, keys, strict=True):
            part = checked.where(kpi_id=key).table.sort("fiscal_year")
            _printed(axes, part, "nation", COLOURS[0], "s", "全国")
            _printed(axes, part, "mie", STRONG, "o", "三重")
            goals = part.filter(pl.col("target").is_not_null())
            axes.plot(goals["fiscal_year"], goals["target"], "_", color=COLOURS[2], markersize=13, mew=2, label="目標")
            for year in _breaks(part):
                axes.axvline(year - 0.5, color=".3", linewidth=1, linestyle="--", label="定義の変更")
            years = range(min(part["fiscal_year"]), max(part["fiscal_year"]) + 1)
            axes.set_xticks(list(years), [str(year) for year in years])
            axes.set_xlim(years[0] - 0.6, years[-1] + 0.6)
            draw_events(axes, numbered(events, key), in_years, low=years[0] - 0.6, high=years[-1] + 0.6)
            _dress(axes, part, pad=10)
            alts.append(_said(part.drop_nulls("mie").rename({"mie": "estimate"}), years[-1]))
        _legend(figure, panels, credit=True)
        finish(figure, checked, title=title, alt="".join(alts), columns=None, dpi=COARSE)


@contextmanager
def _panels(keys: Sequence[str], title: str) -> Iterator[tuple[Figure, list[Axes]]]:
    rows = -(-len(keys) // _ACROSS)
    with canvas(9.0, 0.9 + 2.0 * rows, title) as (figure, axes):
        figure.delaxes(axes)
        grid = figure.subplots(rows, _ACROSS, squeeze=False).ravel().tolist()
        for empty in grid[len(keys) :]:
            figure.delaxes(empty)
        yield figure, grid[: len(keys)]


def _year(axes: Axes, part: pl.DataFrame, current: bool, shade: int) -> None:
    """One fiscal year: the months before, and the provisional ones hollow; a month that may not be shown breaks it."""
    for (official,), rows in part.group_by("official", maintain_order=True):
        settled = rows.filter(pl.col("state") == "final")
        colour = STRONG if current else str(0.72 - 0.14 * min(shade, 3))
        stroke = ":" if not official else "-"
        label = "今年度" if current else ("過去の年度" if official else "定義の版が違う年度")
        _line(axes, settled, color=colour, linestyle=stroke, linewidth=2 if current else 1.1, label=label)
        late = rows.filter(pl.col("month") >= (settled["month"].max() or 0))
        if len(late) > len(rows.filter(pl.col("month") == (settled["month"].max() or 0))):
            _line(axes, late, color=colour, linestyle="--", marker="o", mfc="white", ms=4, linewidth=1, label="速報")


def _line(axes: Axes, rows: pl.DataFrame, **look: Any) -> None:
    """A line; a month whose neighbours may not be shown, or are not there, is a dot."""
    places, values = rows["place"].to_list(), _floats(rows, "estimate")
    held = {place for place, value in zip(places, values, strict=True) if not math.isnan(value)}
    alone = [at for at, place in enumerate(places) if place in held and not held & {place - 1, place + 1}]
    dots: dict[str, Any] = (
        {} if "marker" in look else {"marker": "." if alone else None, "markersize": 6, "markevery": alone}
    )
    axes.plot(places, values, **dots, **look)


def _landing(axes: Axes, row: dict[str, Any] | None) -> None:
    if row is None or row["lower"] is None or row["upper"] is None:
        return
    ranged = row["estimate"] is None
    label = "年度末の幅" if ranged else "年度末の見込み"
    axes.plot([12.4, 12.4], [row["lower"], row["upper"]], color=COLOURS[0], linewidth=2.2, alpha=0.5 if ranged else 1)
    middle = (row["lower"] + row["upper"]) / 2 if ranged else row["estimate"]
    axes.plot(12.4, middle, "_" if ranged else "D", color=COLOURS[0], markersize=5, linestyle="", label=label)


def _on_lines(axes: Axes, part: pl.DataFrame, marks: Numbered) -> None:
    """The number of an event at the month of its own fiscal year: an upright would cross the other years' lines."""
    seen: dict[int, int] = {}
    for n, event in marks:
        row = part.filter(pl.col("month") == event.month, pl.col("estimate").is_not_null()).head(1).to_dicts()
        if not row or event.id.startswith(CHANGE):
            continue
        seen[row[0]["place"]] = seen.get(row[0]["place"], -1) + 1
        axes.plot(row[0]["place"], row[0]["estimate"], "|", color=".2", markersize=9, mew=1)
        shift = (8 * seen[row[0]["place"]], 5)
        at = (row[0]["place"], row[0]["estimate"])
        axes.annotate(str(n), at, shift, textcoords="offset points", fontsize=7, color=".2", ha="center")


def _floats(rows: pl.DataFrame, name: str) -> list[float]:
    return rows[name].cast(pl.Float64).fill_null(float("nan")).to_list()


def _odd(part: pl.DataFrame) -> str:
    odd = part.drop_nulls("signal")
    said = "、".join(f"{number(row['month'], 'month')}({row['signal']})" for row in odd.to_dicts())
    return f"{part['short'][0]}は{said}。" if said else f"{part['short'][0]}は目立つ月なし。"


def _printed(axes: Axes, part: pl.DataFrame, name: str, colour: str, marker: str, label: str) -> None:
    for _, rows in part.drop_nulls(name).group_by("definition_version", maintain_order=True):
        whole, some = rows.filter(~pl.col("part_year")), rows.filter(pl.col("part_year"))
        axes.plot(whole["fiscal_year"], whole[name], color=colour, marker=marker, markersize=5, label=label)
        look: dict[str, Any] = {"color": colour, "marker": marker, "mfc": "white", "linestyle": "", "markersize": 6}
        axes.plot(some["fiscal_year"], some[name], label=f"{label}(年度途中)", **look)


def _breaks(part: pl.DataFrame) -> list[int]:
    """The fiscal years in which another version is first in force: the latest first year of each but the oldest."""
    first = part.group_by("definition_version").agg(pl.col("fiscal_year").max().alias("last")).sort("last")
    return [int(year) + 1 for year in first["last"].to_list()[:-1]]


def _dress(axes: Axes, part: pl.DataFrame, *, pad: float | None = None) -> None:
    unit, digits = part["unit"][0], part["digits"][0]
    _ticks(axes, unit, digits)
    growth = "what" in part.columns and part["what"][0] == GROWTH
    what = "増分の前年差" if growth else "" if unit in ("%", DONE) else unit
    axes.set_title(part["short"][0] + (f"({what})" if what else ""), fontsize=9.5, loc="left", pad=pad)
    axes.tick_params(labelsize=8)
    axes.margins(y=0.15)


def _ticks(axes: Axes, unit: str, digits: int) -> None:
    """Labels as the values are written: no tick between whole numbers, a word for what is done or not."""
    from matplotlib.ticker import MaxNLocator

    if unit == DONE:
        axes.set_yticks([0, 1], [f"未{DONE}", DONE])
        return
    low, high = axes.get_ylim()
    places = digits if unit != "%" else 0 if high - low > 0.05 else max(1, digits - 1)
    steps = [1, 2, 5, 10]  # a step of 2.5 would be written as 2, 5 and 8
    axes.yaxis.set_major_locator(MaxNLocator(nbins="auto", steps=steps, integer=unit != "%" and not digits))
    style: Style = "percent" if unit == "%" else "number"
    axes.yaxis.set_major_formatter(lambda value, _: number(value, style, places))


def _legend(figure: Figure, panels: Sequence[Axes], *, credit: bool = False) -> None:
    """Below the panels, where it covers neither the title nor, on a figure of published values, their source."""
    found: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        found |= {label: handle for handle, label in zip(handles, labels, strict=True) if label not in found}
    pad = {"borderaxespad": 2.4} if credit else {}
    if credit:  # the layout does not count the source line as room
        foot = 0.2 / figure.get_figheight()
        figure.set_layout_engine("constrained", rect=(0, foot, 1, 1 - foot))
    columns = min(len(found), 7)
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns, frameon=False, **pad)


def _said(part: pl.DataFrame, year: int) -> str:
    shown = part.filter(pl.col("fiscal_year") == year).drop_nulls("estimate").tail(1)
    name = part["short"][0]
    if not len(shown):
        return f"{name}は{year}年度に表示できる値なし。"
    row = shown.to_dicts()[0]
    return f"{name}は{number(row['month'], 'month')}で{write(row['estimate'], 'shown', of_row(Col('', 'unit'), row))}。"
