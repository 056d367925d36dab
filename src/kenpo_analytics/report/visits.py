"""What is said of people who should see a doctor? The purpose and the summary of the follow-up page."""

from __future__ import annotations

from kenpo_analytics.definitions.words import LEVELS
from kenpo_analytics.disclosure import Checked
from kenpo_analytics.report._format import Col
from kenpo_analytics.report.tables import value, value_interval

_PEOPLE = Col("人数", "count", unit="人")


def level_name(level: str) -> str:
    """What is a level of `untreated` called? Another word comes back as it is: `untreated` refuses it."""
    return LEVELS.get(level, level)


def visit_purpose(window: str) -> str:
    """What is the follow-up for? Says so where the branch's own definition is not the window of the KPI."""
    first, last = window.split("-")
    own = "" if window == "0-10" else f"(用いた定義により{first}～{last}か月で集計)"
    return f"KPI「健診受診月から10か月以内に医療機関を受診した者の割合」{own}"


def visit_summary(main: Checked, *, fiscal_year: int, level: str) -> str:
    """Who was followed, how many saw a doctor, and who is still open? `main`: the one row of the main window."""
    months = str(main.table["window"].item()).split("-")[1]
    return (
        f"{fiscal_year}年度の健診で{level_name(level)}の値以上だった未治療者のうち、健診受診月から{months}か月の期間が終わり"
        f"レセプトの到着も完了した{value(main, 'persons', _PEOPLE)}を分母とすると、"
        f"期間内に受診した人は{value(main, 'events', _PEOPLE)}、{value_interval(main, 'percent')}でした。"
        f"期間がまだ終わっていないために分母に含めなかった人は{value(main, 'not_mature', _PEOPLE)}です。"
        "受診の有無を述べるもので、勧奨の効果を示すものではありません。"
    )
