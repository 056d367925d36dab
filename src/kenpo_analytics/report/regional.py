"""What is said of the index? Places of 47, the funnel, the size of both sources, and the change since last year."""

from __future__ import annotations

from collections.abc import Sequence

from kenpo_analytics.definitions.calendar import Event
from kenpo_analytics.disclosure import Checked
from kenpo_analytics.report._format import MASK, Col
from kenpo_analytics.report.tables import value, value_interval

_MONTHS = Col("延べ加入月数", "count", unit="か月")


def place_of_47(row: Checked) -> tuple[str, str]:
    """Which place has a branch, and between which may it truly stand? "47支部中37位" and "順位の95%区間 29～44位"."""
    low, high = (value(row, name) for name in ("rank_lower", "rank_upper"))
    return f"47支部中{value(row, 'rank')}位", f"順位の95%区間 {low}～{high}位"


def index_summary(first: Checked, again: Checked, *, fiscal_year: int) -> str:
    """How does the branch stand in first and in return visits? One judged row each, after `check_index`."""
    return (
        f"{fiscal_year}年度の時間外受診の地域差指数－1は、初診が{_standing(first)}、再診が{_standing(again)}でした"
        "(0が全国、1位が最も低い)。年齢構成をならした全国との差を述べるもので、差の原因を示すものではありません。"
        "通常みられる範囲の中とは、同じ規模の支部どうしのふだんのばらつきの中にあることで、問題がないことを意味しません。"
    )


def _standing(row: Checked) -> str:
    rank, between = place_of_47(row)
    return f"{value_interval(row, 'index')}で{rank}({between})、{_inside(row)}"


def _inside(row: Checked) -> str:
    found = row.table.row(0, named=True)
    if any(found[name] is None for name in ("estimate", "funnel_lower", "funnel_upper")):
        return f"通常みられる範囲の中かどうかは{MASK}"
    within = found["funnel_lower"] <= found["estimate"] <= found["funnel_upper"]
    apart = value(row, "funnel_z", Col("隔たり", "number"))
    return f"通常みられる範囲の{'中' if within else '外'}(ファネル、平均から標準偏差の{apart}倍)"


def sizes_text(ledger: Checked, strata: Checked, *, synthetic: bool) -> str:
    """How large is the branch in its own ledger (`ledger_size`) and in the table of the 47 branches?"""
    why = (
        "見本データの層別集計は全国の実際の規模に合わせて作られ、加入者台帳はその一部の人数で作られているため、2つの大きさが違います。"
        if synthetic
        else "2つが大きく違うときは、層別集計の年度と、加入者台帳に含まれる加入者の範囲を確かめてください。"
    )
    return (
        f"加入者台帳から数えた加入者は{value(ledger, 'members')}人(延べ{value(ledger, 'denominator', _MONTHS)})で、"
        "上の表と市町村の値はこれによります。支部の値に用いた47支部の層別集計では、"
        f"この支部は延べ{value(strata, 'denominator', _MONTHS)}です。{why}"
    )


def change_text(total: Checked, *, events: Sequence[Event], months: tuple[int, int]) -> str:
    """Has anything changed since the year before? Nothing is said where there is no such year.

    `total`: the row of all visits of `change_by_kind`; `months` the first and last of this year. A revision of the fees
    (改定) among `events` in the two years is named: it changes what is counted.
    """
    if not len(total):
        return ""
    low, high = total.table.select("lower", "upper").row(0)
    if low is None:
        said = "前年度から変わったかどうかは判断できません。"
    elif low <= 0 <= high:
        said = "区間が0を含むため、前年度から変わったとはいえません。"
    else:
        said = "区間は0を含みません。"
    revised = [event.label for event in events if months[0] - 100 <= event.month <= months[1] and "改定" in event.short]
    beside = (
        f"この2年度の間に{'、'.join(revised)}があり、その前の月のコードは仮定です。"
        "変化には改定による数え方の違いが含まれることがあります。"
    )
    return (
        f"全体の変化(寄与の合計)は{value_interval(total, Col('変化', 'index', 4))}です"
        f"(前年度を0とした年齢調整済みの増減の割合)。{said}{beside if revised else ''}"
    )
