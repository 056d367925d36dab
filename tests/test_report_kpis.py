"""Small multiples of KPIs: no line crosses a break or joins part of a year to a whole one; provisional is hollow."""

from __future__ import annotations

import math
from typing import Any

import pytest

import kenpo_analytics as ka
from kenpo_analytics import disclosure, kpi, report
from kenpo_analytics.definitions.calendar import events
from kenpo_analytics.report import kpis as room
from tests.test_kpi_status import NEW, OLD, rows, table

HISTORY = kpi.plan_history()


@pytest.fixture
def panels(monkeypatch) -> dict[str, Any]:
    """The panels of the figure that was drawn last, by their title."""
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(
        room, "finish", lambda figure, *_, **__: drawn.update({a.get_title("left"): a for a in figure.axes})
    )
    return drawn


def curves(axes: Any) -> list[list[tuple[float, float]]]:
    """Every line that joins two points or more: the points it joins."""
    lines = [
        line
        for line in axes.get_lines()
        if line.get_linestyle() not in ("None", "") and line.get_label() != "定義の変更"
    ]
    points = [[(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)] for line in lines]
    return [line for line in points if len(line) > 1]


def test_no_line_of_the_history_joins_two_versions_or_part_of_a_year(panels):
    report.kpi_history(ka.check_public(HISTORY, source="test"), title="x")
    assert len(panels) == 17
    whole = HISTORY.filter(~HISTORY["part_year"])
    for name, axes in panels.items():
        of = whole.filter(whole["short"].is_in([name, name.rpartition("(")[0]]))  # the unit follows the name
        for line in curves(axes):
            versions = [
                {
                    row["definition_version"]
                    for row in of.iter_rows(named=True)
                    if row["fiscal_year"] == x and y in (row["mie"], row["nation"])
                }
                for x, y in line
            ]
            assert set.intersection(*versions), (name, line)  # one version holds all the points that are joined
    broken = [name for name, axes in panels.items() if any(li.get_label() == "定義の変更" for li in axes.get_lines())]
    assert broken == ["査定率", "返納金回収率(金額)", "未治療者の10か月以内受診"]
    upright = [li for li in panels["査定率"].get_lines() if li.get_label() == "定義の変更"]
    assert [li.get_xdata()[0] for li in upright] == [2023.5]
    hollow = [li for li in panels["生活習慣病予防健診"].get_lines() if li.get_label() == "三重(年度途中)"]
    assert [(li.get_xdata().tolist(), li.get_ydata().tolist(), li.get_markerfacecolor()) for li in hollow] == [
        ([2024], [0.293], "white")
    ]


def drawn(values: dict[int, tuple], kpi_id: str = "checkup_rate_insured") -> None:
    held = table(rows(kpi_id, values))
    asked = {"month": 202512, "branch": "24"}
    series = disclosure.check_kpi(kpi.monthly_series(held, **asked), by=("kpi_id", "month", "definition_version"))
    lands = disclosure.check_kpi(kpi.landing(held, **asked).rows)
    report.kpi_months(series, title="x", targets=disclosure.check_kpi(kpi.status(held, **asked)), landing=lands)


def test_a_line_per_fiscal_year_and_provisional_months_hollow(panels):
    drawn({
        202502: (500, 1000), 202503: (550, 1000), 202504: (50, 1000), 202505: (5, 1000), 202506: (150, 1000),
        202507: (180, 1000, NEW, "provisional"),
    })  # fmt: skip
    (axes,) = panels.values()
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines["過去の年度"].get_xdata()) == [11, 12] and list(lines["今年度"].get_xdata()) == [1, 2, 3]
    now = list(lines["今年度"].get_ydata())
    assert now[0] == 0.05 and math.isnan(now[1]) and now[2] == 0.15  # 5 people: masked, and the line is broken there
    late = lines["速報"]
    assert (list(late.get_xdata()), list(late.get_ydata())) == ([3, 4], [0.15, 0.18])
    assert late.get_markerfacecolor() == "white" and lines["目標"].get_ydata()[0] == 0.695


def test_a_year_under_another_version_is_dotted_and_apart(panels):
    drawn(
        {202310: (10, 100, OLD), 202311: (11, 100, OLD), 202410: (30, 100), 202411: (35, 100)}, "untreated_visit_rate"
    )
    (axes,) = panels.values()
    old = next(line for line in axes.get_lines() if line.get_label() == "定義の版が違う年度")
    assert old.get_linestyle() == ":" and len(old.get_xdata()) == 2
    assert all(len(line) == 2 for line in curves(axes))


def test_an_event_stands_on_the_line_of_its_own_year_and_breaks_are_no_event_line(panels):
    held = table(rows("out_of_hours_first", {m: (8 + m % 3, 1000) for m in (202405, 202406, 202407, 202505, 202506)}))
    asked = {"month": 202512, "branch": "24"}
    series = disclosure.check_kpi(kpi.monthly_series(held, **asked), by=("kpi_id", "month", "definition_version"))
    happened = events(["out_of_hours_first", "untreated_visit_rate"], first=202405, last=202512)
    assert [event.id for event in happened] == ["fee_2024"]
    report.kpi_months(series, title="x", targets=disclosure.check_kpi(kpi.status(held, **asked)), events=happened)
    (axes,) = panels.values()
    ((words, at),) = [(text.get_text(), text.xy) for text in axes.texts]
    assert (words, at) == ("1", (3, pytest.approx(8 + 202406 % 3)))  # June 2024, not June 2025


def test_uprights_of_the_history_keep_to_the_kpi_they_concern(panels):
    every = events(dict.fromkeys(HISTORY["kpi_id"]), first=202004, last=202510)
    report.kpi_history(ka.check_public(HISTORY, source="test"), title="x", events=every)
    number = {event.id: str(n) for n, event in enumerate(every, 1)}
    shown = {name: [text.get_text() for text in axes.texts] for name, axes in panels.items()}
    assert shown["ジェネリック(数量)"] == [number["covid"], number["fee_2022"], number["selected_drugs"]]
    assert shown["一者応札"] == [number["covid"]]
    assert number["definition_assessment_rate"] in shown["査定率"]
    assert number["definition_assessment_rate"] not in shown["未治療者の10か月以内受診"]


def test_the_legend_covers_neither_title_nor_panels(monkeypatch):
    """Every figure as it is drawn: its legend against the title, the source line and the months under the panels."""
    drawn: list[Any] = []
    monkeypatch.setattr(room, "finish", lambda figure, *_, **__: drawn.append(figure))
    values = {m: (m % 100, 100) for m in range(202404, 202413)}
    held = table([*rows("checkup_rate_insured", values | {202504: (5, 100)}), *rows("single_bid_rate", values)])
    asked = {"month": 202512, "branch": "24"}
    series = disclosure.check_kpi(kpi.monthly_series(held, **asked), by=("kpi_id", "month", "definition_version"))
    report.kpi_months(
        series, title="長い題名のKPIの月別の推移", targets=disclosure.check_kpi(kpi.status(held, **asked))
    )
    report.kpi_history(ka.check_public(HISTORY, source="test"), title="三重支部の計画のKPI(公表値)")
    drawn[1].supxlabel("出典：test", x=0.99, ha="right", fontsize=7.5)
    for figure in drawn:
        figure.canvas.draw()
        (legend,) = figure.legends
        box = legend.get_window_extent()
        others = [figure._suptitle, *([figure._supxlabel] if figure._supxlabel else [])]
        assert not any(box.overlaps(text.get_window_extent()) for text in others)
        assert not any(box.overlaps(axes.get_tightbbox()) for axes in figure.axes)


def test_a_month_alone_is_a_dot_and_ticks_are_words_or_whole(panels):
    values = {m: (month, 1000) for m, month in ((202405, 20), (202410, 60), (202411, 80), (202503, 200))}
    drawn(values | {202505: (30, 1000)}, "guidance_rate_insured")
    (axes,) = panels.values()
    past = next(line for line in axes.get_lines() if line.get_label() == "過去の年度")
    assert [past.get_xdata()[at] for at in past.get_markevery()] == [2, 12] and past.get_marker() == "."
    panels.clear()
    drawn({202504: (0, None), 202505: (1, None)}, "biosimilar_programme")
    (axes,) = panels.values()
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["未実施", "実施"] and "(" not in next(iter(panels))
    panels.clear()
    drawn({202504: (1, None), 202505: (2, None)}, "sns_posts")
    (axes,) = panels.values()
    assert all(value == int(value) for value in axes.get_yticks())
