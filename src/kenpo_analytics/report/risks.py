"""Which risks stand out? Dots and intervals beside the nation, years, ages, a grid of groups, and the health card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import polars as pl

from kenpo_analytics.definitions.calendar import Event
from kenpo_analytics.disclosure import MASKED, Checked
from kenpo_analytics.report._emit import CONTEXT, SYNTHETIC, emit_html, fixed_id, must_be_checked, table_style
from kenpo_analytics.report._format import MASK, SEX, Col, footnotes, number
from kenpo_analytics.report.events import SAID, Numbered, draw_events, in_years, numbered
from kenpo_analytics.report.style import COLOURS, PLAIN, QUIET, STRONG, canvas, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NO_NATION, UNKNOWN = "全国値なし", "判定不能"
_ACROSS = 4
_SHADES = {
    **{f"m{at}": colour for at, colour in enumerate(("#fbe9dd", "#f6cdb0", "#efac80"))},
    **{f"l{at}": colour for at, colour in enumerate(("#e3eef6", "#bcd9ec", "#8fc0e0"))},
}
_GRID = (
    "O/E(下は95%正確区間)。全国＝1、全国値のないリスクは支部＝1。"
    "▲多い・▼少ない: 区間が1を含まないもの(濃いほど1から遠い)。"
)
_STEPS = (0.1, 0.2)
"""O/E this far from 1 takes the next deeper shade."""
_RATE = {"estimate": Col("年齢調整率", "percent"), "lower": Col("95%信頼区間", "percent", upper="upper")}


def risk_gaps(checked: Checked, *, title: str) -> None:
    """Which standardised shares differ from the nation's? A panel per sex, a row per risk.

    `checked` is `risk_rates(...)` by sex after `check_risks`. The nation is an upright mark; a risk without says so.
    """
    checked = must_be_checked(checked)
    sexes = [sex for sex in ("M", "F") if len(checked.where(sex=sex))]
    labels = list(dict.fromkeys(checked.table["label"]))[::-1]
    alts = []
    with canvas(9.0, 1.5 + 0.36 * len(labels), title) as (figure, axes):
        figure.delaxes(axes)
        panels = figure.subplots(1, len(sexes), squeeze=False, sharey=True).ravel().tolist()
        for panel, sex in zip(panels, sexes, strict=True):
            part = checked.where(sex=sex)
            for row, state in zip(part.table.to_dicts(), part.states.to_dicts(), strict=True):
                y = labels.index(row["label"])
                _dot(panel, y, row, state, ("estimate", "lower", "upper"), STRONG, "o", "支部")
                if row["nation"] is None:
                    panel.text(0.99, y, NO_NATION, transform=panel.get_yaxis_transform(), **_SMALL)
                else:
                    panel.plot(row["nation"], y, "|", color="black", markersize=13, mew=2, label="全国")
            panel.set_title(SEX[sex], fontsize=10, loc="left")
            _rows(panel, labels)
            panel.xaxis.set_major_formatter(lambda value, _: number(value, "percent", 0))
            panel.set_xlim(left=0)
            alts.append(f"{SEX[sex]}で全国より高いのは{_listed(part, '高い')}、低いのは{_listed(part, '低い')}。")
        figure.supxlabel("年齢調整した割合（点）と95%信頼区間（線）", fontsize=10)
        _legend(figure, panels)
        finish(figure, checked, title=title, alt="".join(alts), columns=None)


def risk_years(
    checked: Checked, *, title: str, events: Sequence[Event] = (), breaks: Mapping[str, int] | None = None
) -> None:
    """How has each risk run? A panel per risk, a line per sex with its band; the nation dashed in the years it has.

    `checked` is `risk_rates(...)` by fiscal year and sex after `check_risks`; `events` (`definitions.calendar.events`)
    stand with their number. Masked years break the line, and so does a new version of a risk's definition: `breaks`
    (`risks.version_breaks`) names the risk and the first year of it.
    """
    _panels(checked, title, "fiscal_year", "年度", numbered(events), breaks or {})


def risk_ages(checked: Checked, *, title: str) -> None:
    """How does each risk rise with age? A panel per risk, a line per sex with its band, the nation dashed.

    `checked` is `risk_rates(..., by_age=True)` after `check_risks`; at one age there is nothing to standardise.
    """
    _panels(checked, title, "age_band", "年齢階級", (), {})


def _panels(checked: Checked, title: str, x: str, heading: str, marks: Numbered, breaks: Mapping[str, int]) -> None:
    checked = must_be_checked(checked)
    labels = list(dict.fromkeys(checked.table["label"]))
    places = sorted(set(checked.table[x]))
    down, alts = -(-len(labels) // _ACROSS), []
    with canvas(9.4, 0.9 + 1.9 * down, title) as (figure, axes):
        figure.delaxes(axes)
        grid = figure.subplots(down, _ACROSS, squeeze=False, sharex=True).ravel().tolist()
        for empty in grid[len(labels) :]:
            figure.delaxes(empty)
        for panel, label in zip(grid, labels, strict=False):
            for sex, colour in (("M", COLOURS[0]), ("F", STRONG)):
                part = checked.where(label=label, sex=sex).table.sort(x)
                for piece in _pieces(part, x, breaks.get(label)):
                    _line(panel, [places.index(value) for value in piece[x]], piece, colour, SEX[sex])
                ends = part.drop_nulls("estimate")["estimate"]
                if len(ends):
                    alts.append(f"{label}の{SEX[sex]}は{number(ends[0], 'percent')}から{number(ends[-1], 'percent')}。")
            if marks:
                draw_events(panel, marks, lambda month: in_years(month) - places[0], low=-0.5, high=len(places) - 0.5)
            heading_of = f"{label}（点線で定義が変わる）" if label in breaks else label
            if label in breaks:
                panel.axvline(places.index(breaks[label]) - 0.5, color="black", linewidth=1.4, linestyle=":")
            step = 1 + len(places) // 5
            ticks = range(len(places))[::step]
            panel.set_xticks(list(ticks), [str(places[at]) for at in ticks], fontsize=8)
            panel.set_ylim(bottom=0)
            panel.yaxis.set_major_formatter(lambda value, _: number(value, "percent", 0))
            panel.set_title(
                heading_of,
                fontsize=9.5,
                loc="left",
                pad=11 if marks else 6,
            )
        if marks:
            figure.supxlabel(SAID, fontsize=8.5, x=0.01, ha="left")
        _legend(figure, grid[: len(labels)])
        columns: dict[str, Col | str] = {"label": "リスク", "sex": "性別", x: heading, **_RATE}
        if x == "age_band":  # within one age band nothing is standardised
            columns["estimate"] = Col("割合", "percent")
        columns["nation"] = Col("全国", "percent", absent=NO_NATION)
        finish(figure, checked, title=title, alt="".join(alts), columns=columns)


def risk_table(
    checked: Checked, *, title: str, row: str, names: Mapping[str, str] | None = None, note: str = ""
) -> None:
    """Which groups carry more of which risk than expected? O/E with its interval in a grid, shaded where it excludes 1.

    `checked` is indirect `risk_rates(...)` with sexes together after `check_risks`; `row` the column of the groups.
    """
    checked = must_be_checked(checked)
    labels, meaning = list(dict.fromkeys(checked.table["label"])), dict(names or {})
    keys = checked.table[row].unique(maintain_order=True).to_list()
    pairs = zip(checked.table.to_dicts(), checked.states.to_dicts(), strict=True)
    cells = {(one[row], one["label"]): _cell(one, state) for one, state in pairs}
    head = "".join(f'<th scope="col">{escape(label)}</th>' for label in ("", *labels))
    lines = {str(key): "".join(cells[key, label] for label in labels) for key in keys}
    body = "".join(
        f'<tr><th scope="row">{escape(meaning.get(key, key))}</th>{line}</tr>' for key, line in lines.items()
    )
    notes = [_GRID, *([note] if note else []), *footnotes(checked, {"ratio": Col("O/E", "number")})]
    notes += [f"{SYNTHETIC}(実在の加入者ではない)"] if CONTEXT.synthetic and not checked.public else []
    foot = "".join(f'<tr><td colspan="{len(labels) + 1}">{escape(line)}</td></tr>' for line in notes)
    identity = fixed_id(title)
    style = f"#{identity} td small{{display:block;color:#444}} #{identity} thead th{{text-align:right}}"
    style += f"#{identity} .q{{color:#777;text-align:center}}" + "".join(
        f"#{identity} .{name}{{background:{colour}}}" for name, colour in _SHADES.items()
    )
    html = (
        f'<div id="{identity}" class="kenpo" lang="ja" style="overflow-x:auto;">{table_style()}'
        f"<style>{style}</style><table>"
        f"<caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody><tfoot>{foot}</tfoot></table></div>"
    )
    emit_html(html, f"<表: {title}>", log=checked.log)


def _cell(one: dict[str, Any], state: dict[str, str]) -> str:
    """One cell of the grid: the ratio, its interval under it; shaded, with an arrow, where the interval excludes 1."""
    if state["ratio"] in MASKED or one["ratio"] is None or one["judgement"] == UNKNOWN:
        return f'<td class="q">{MASK if state["ratio"] in MASKED else UNKNOWN}</td>'
    low, high = one["ratio_lower"], one["ratio_upper"]
    text = f"{number(one['ratio'], 'number')}<small>{number(low, 'number')}～{number(high, 'number')}</small>"
    if low <= 1 <= high:
        return f"<td>{text}</td>"
    deep = sum(abs(one["ratio"] - 1) >= step for step in _STEPS)
    return f'<td class="m{deep}">▲{text}</td>' if low > 1 else f'<td class="l{deep}">▼{text}</td>'


def card_figure(checked: Checked, *, title: str, name: str, branch: str = "支部") -> None:
    """How does a group stand in every risk? O/E with its exact interval, the group above its branch, 1 as expected.

    `checked` is `risks.health_card(...)` after `check_risks`; rows that may not be shown, or are of too few people,
    keep their place and say why.
    """
    checked = must_be_checked(checked)
    labels = list(dict.fromkeys(checked.table["label"]))[::-1]
    looks = {"group": (STRONG, "D", name, 0.16), "branch": (PLAIN, "o", branch, -0.16)}
    with canvas(8.4, 1.5 + 0.42 * len(labels), title) as (figure, axes):
        axes.axvline(1, color=".25", linewidth=1, linestyle="--")
        for row, state in zip(checked.table.to_dicts(), checked.states.to_dicts(), strict=True):
            colour, marker, side, shift = looks[row["side"]]
            y = labels.index(row["label"])
            if row["side"] == "group" and row["judgement"] == UNKNOWN:
                state = state | {"ratio": "few"}
            _dot(axes, y + shift, row, state, ("ratio", "ratio_lower", "ratio_upper"), colour, marker, side)
            if row["side"] == "group" and row["nation"] is None:
                axes.text(0.995, y, f"{NO_NATION}（支部＝1）", transform=axes.get_yaxis_transform(), **_SMALL)
        _rows(axes, labels)
        axes.set_xlabel("O/E（点。同じ性・年齢の全国の割合から期待される人数の何倍か）と95%正確区間（線）")
        _legend(figure, [axes])
        part = checked.where(side="group")
        said = [f"{r['label']}{number(r['ratio'], 'number')}" for r in part.table.to_dicts() if r["ratio"] is not None]
        finish(
            figure, checked, title=title, alt=f"{name}のO/E。{'、'.join(said) or '表示できる値なし'}。", columns=None
        )


_SMALL: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 8, "color": QUIET}


def _dot(
    axes: Axes,
    y: float,
    row: dict[str, Any],
    state: dict[str, str],
    names: tuple[str, str, str],
    colour: str,
    marker: str,
    label: str,
) -> None:
    value, low, high = names
    if state[value] == "few" or row[value] is None:
        text = MASK if state[value] in MASKED or state["events"] in MASKED else UNKNOWN
        axes.text(0.005, y, text, transform=axes.get_yaxis_transform(), **_SMALL | {"ha": "left"})
        return
    axes.plot([row[low], row[high]], [y, y], color=colour, linewidth=2)
    axes.plot(row[value], y, marker, color=colour, markersize=6, linestyle="", label=label)


def _line(axes: Axes, xs: Sequence[int], part: pl.DataFrame, colour: str, label: str) -> None:
    ys, low, high, nation = (
        part[name].cast(pl.Float64).fill_null(float("nan")).to_list()
        for name in ("estimate", "lower", "upper", "nation")
    )
    axes.fill_between(xs, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(xs, ys, color=colour, marker="o", markersize=3.5, linewidth=1.6, label=f"支部 {label}")
    axes.plot(xs, nation, color=colour, linestyle="--", marker="_", linewidth=1.2, label=f"全国 {label}")


def _pieces(part: pl.DataFrame, x: str, at: int | None) -> list[pl.DataFrame]:
    """The years before and from a new definition on: no line joins them."""
    sides = [part] if at is None else [part.filter(pl.col(x) < at), part.filter(pl.col(x) >= at)]
    return [side for side in sides if len(side)]


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels, fontsize=9.5)
    axes.set_ylim(-0.6, len(labels) - 0.4)
    axes.grid(visible=False, axis="y")


def _legend(figure: Any, panels: Sequence[Axes]) -> None:
    found: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        found |= {label: handle for handle, label in zip(handles, labels, strict=True) if label not in found}
    figure.legend(found.values(), found.keys(), loc="outside upper right", ncols=min(len(found), 6), frameon=False)


def _listed(part: Checked, word: str) -> str:
    names = [row["label"] for row in part.table.to_dicts() if row["judgement"] == word]
    return "、".join(names) or "なし"
