"""Who has how many incentive points, and where is the line? In words, and as stacked bars of the 47 branches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from kenpo_analytics.definitions.branch_codes import BRANCHES
from kenpo_analytics.disclosure import Checked
from kenpo_analytics.kpi.incentive_doubts import gaps_sentence
from kenpo_analytics.months import fiscal_year_ja
from kenpo_analytics.report._emit import must_be_checked
from kenpo_analytics.report._format import MASK, Col, number
from kenpo_analytics.report._rows import rows_of
from kenpo_analytics.report.areas import branch_names
from kenpo_analytics.report.incentive_rules import assumed_text
from kenpo_analytics.report.ranking import _mark, _name_rows, _ordered, _picked, _place
from kenpo_analytics.report.style import COLOURS, STRONG, canvas, finish
from kenpo_analytics.report.tables import value
from kenpo_analytics.report.texts import conclusion

if TYPE_CHECKING:
    from kenpo_analytics.disclosure.incentive import CheckedIncentive
    from kenpo_analytics.kpi.incentive_page import IncentivePage

_SHADES = (COLOURS[0], COLOURS[5], COLOURS[2], COLOURS[4], COLOURS[3])


def incentive_bars(rows: Checked | None, totals: Checked | None, *, title: str, highlight: str) -> None:
    """Who has how many points, of which indicator? A bar per branch, from the most points down, and the line to beat.

    `rows` and `totals` are `Score.rows` and `Score.totals` after their checks. Each branch is named with its place and
    its interval; the dashed upright stands at the points of the last place within the top. No score, no figure.
    """
    if rows is None or totals is None:
        return
    rows, totals = must_be_checked(rows), must_be_checked(totals)
    limits = ("rank_lower", "rank_upper")
    ordered = _ordered(rows_of(totals, "area", ("points", "rank", *limits), branch_names()), "points")
    labels = dict(zip(rows.table["indicator"], rows.table["label"], strict=True))
    parts = {(row["area"], row["indicator"]): row["points"] for row in rows.table.to_dicts()}
    line, top = totals.table["line"][0], totals.table["top"][0]
    with canvas(7.6, 1.9 + 0.19 * len(ordered), title) as (figure, axes):
        for shade, (key, label) in enumerate(labels.items()):
            left = [sum(parts[row.key, name] or 0 for name in list(labels)[:shade]) for row in ordered]
            width = [(parts[row.key, key] or 0) if row.has("points") else 0 for row in ordered]
            axes.barh(range(len(ordered)), width, left=left, height=0.74, color=_SHADES[shade], label=label)
        for at, row in enumerate(ordered):
            if not row.has("points"):
                _mark(axes, at, row.mark)
            elif row.key == highlight:
                axes.plot(row["points"] + 4, at, "<", color=STRONG, markersize=8)
        said = f"{top}位の点 {MASK if line is None else number(line, 'number', 1)}"
        if line is not None:
            axes.axvline(line, color=COLOURS[6], linewidth=1.3, linestyle="--", label=said)
        _name_rows(axes, [_place(r, "rank", limits) for r in ordered], [r.key == highlight for r in ordered], size=8.5)
        axes.set_xlabel("合計点(点)。支部名の後は順位(1位が最も高い)と、その95%区間")
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
        shown: dict[str, Col | str] = {
            "area": "支部",
            "points": Col("合計点", "number", 1),
            "rank": Col("順位", "count"),
        }
        shown |= {"rank_lower": Col("順位の95%区間", "count", upper="rank_upper")}
        picked = _picked(ordered, highlight, "points", "number", "rank")
        alt = f"{len(ordered)}支部の合計点の積み上げ横棒。{said}。{picked}"
        finish(figure, totals, title=title, alt=alt, columns=shown)


def incentive_conclusion(page: IncentivePage, shown: CheckedIncentive) -> None:
    """The 要約 of page 09: points and place with their interval or why there are none, and the years passed over.

    `shown` is `page` after `disclosure.check_incentive_page`.
    """
    year = fiscal_year_ja(page.fiscal_year)
    passed = "・".join(fiscal_year_ja(one) for one in page.gaps["fiscal_year"].unique(maintain_order=True))
    label = f"インセンティブの順位({year}{f'。{passed}は47支部がそろわず計算できない' if passed else ''})"
    if shown.place.table["estimate"][0] is None:
        label += ": 計算できない" if shown.mine is None else ": 示さない"
    if shown.mine is None or page.rules is None:
        text = _no_score(shown.needs, page.why)
    else:
        text = gaps_sentence(page.gaps, fiscal_year=page.fiscal_year) + _standing(shown.mine, year)
        text += assumed_text(page.rules)
    conclusion(text, headline={"インセンティブの順位": (shown.place, Col(label, "plain", 0, "位"))}, adjusted=True)


def _no_score(needs: Checked, why: str) -> str:
    others = (needs.table["branches"] < len(BRANCHES)).sum() - 1
    more = f"47支部がそろわない表はほかに{others}あります。" if others > 0 else ""
    return f"得点と順位は計算できません({why}。{more}要る表は2にあります)。"


def _standing(mine: Checked, year: str) -> str:
    row = mine.table.row(0, named=True)
    if row["points"] is None:
        return f"{year}の合計点と順位は、少ない人数の集団のある支部があり、秘匿のため示しません。"
    said = f"{year}の合計点は{value(mine, 'points', Col('点', 'number', 1))}点"
    if row["rank"] is None:
        return f"{said}で、{row['reason']}ため、順位は示しません。"
    rank, low, high, top = (value(mine, name) for name in ("rank", "rank_lower", "rank_upper", "top"))
    gap, share = value(mine, "gap", Col("差", "index", 1)), value(mine, "p_top", Col("割合", "percent", 0))
    return (
        f"{said}で、47支部中{rank}位(順位の95%区間 {low}～{high}位)です。{top}位の点との差は{gap}点、"
        f"同じ大きさの集団で引き直したときに上位{top}に入る割合は{share}です。"
    )


def missing_text(page: IncentivePage, shown: CheckedIncentive) -> str:
    """Which of the tables that the score needs lack a branch? A sentence, then a line per table (欠測・脱落)."""
    needs = shown.needs
    if not needs:
        said = f"要る表はありません({page.why})。"
    else:
        few = needs.table.filter(pl.col("branches") < len(BRANCHES)).to_dicts()
        lost = "\n".join(f"- {_lacking(row)}" for row in few)
        whole = "要る表は、すべて47支部がそろっています。"
        said = f"47支部がそろわない表が{len(few)}あります。\n\n{lost}" if few else whole
    return said + ("\n\n計算しなかった年度の表は2にあります。" if len(page.gaps) else "")


def _lacking(row: dict) -> str:
    when = f"{row['month'] // 100}年{row['month'] % 100}月"
    return f"{row['label']} {when}: {row['branches']}支部(ない支部 {row['missing']})"
