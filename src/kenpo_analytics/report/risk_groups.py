"""How do groups stand in the risks? Towns, health cards and the decrease of targets, each with its tables."""

from __future__ import annotations

import polars as pl

from kenpo_analytics.disclosure import Checked, check, check_decrease
from kenpo_analytics.report._format import Col
from kenpo_analytics.report.areas import municipality_names
from kenpo_analytics.report.ranking import interval_plot
from kenpo_analytics.report.risk_texts import TOO_FEW, aligned_note, decrease_note
from kenpo_analytics.report.risks import card_figure, risk_table
from kenpo_analytics.report.tables import show
from kenpo_analytics.report.texts import paragraph


def risk_industries(industries: Checked | None, *, fiscal_year: int) -> None:
    """Which industries carry more of which risk than expected? The grid, or why there is none."""
    if industries is None:
        return paragraph(TOO_FEW)
    risk_table(industries, title=f"業態別のO/E({fiscal_year}年度、性・年齢をそろえた比)", row="industry")


def risk_towns(towns: Checked | None, *, risk: str, fiscal_year: int, expected_from: str) -> None:
    """Which municipalities carry more of a risk than expected? Dots of one risk, the grid of all, or why there is none.

    `expected_from`: whose rates are expected (全国, 支部).
    """
    if towns is None:
        return paragraph(TOO_FEW)
    one = towns.where(risk=risk)
    interval_plot(
        one,
        title=f"市町村別の{one.table['label'][0]}のO/E({fiscal_year}年度)",
        label="municipality",
        estimate="ratio",
        lower="ratio_lower",
        upper="ratio_upper",
        measure="O/E",
        reference=1,
        reference_label=expected_from,
        names=municipality_names(),
        numbers=False,
    )
    title = f"市町村別のO/E({fiscal_year}年度、性・年齢をそろえた比、三重支部加入者に限る)"
    risk_table(towns, title=title, row="municipality", names=municipality_names())


def risk_card(card: Checked | None, *, name: str, fiscal_year: int) -> None:
    """How does a group stand in every risk? The figure and its numbers, or why there is none."""
    if card is None:
        return paragraph(TOO_FEW)
    title = f"健康度カルテ: {name}({fiscal_year}年度)"
    card_figure(card, title=title, name=name)
    show(
        card.where(side="group"),
        title=f"{title}の数値",
        columns={
            "label": "リスク",
            "events": "該当(人)",
            "denominator": Col("判定できた人", "count"),
            "rate": Col("粗い割合", "percent"),
            "expected": Col("期待される人数", "number", 1),
            "ratio": Col("O/E", "number"),
            "ratio_lower": Col("95%正確区間", "number", upper="ratio_upper"),
            "judgement": "判定",
        },
        note="判定は全国との比較。全国値のないリスクのO/Eは支部の割合による。",
    )


def decrease_tables(
    found: tuple[pl.DataFrame, pl.DataFrame] | None, targets: pl.DataFrame, *, fiscal_year: int
) -> list[Checked]:
    """Which share of last year's targets is none this year? The tables of `decrease_of_year` and `target_levels`.

    Gives the checked tables back for the masking log; says why, and gives none, where there is no such year.
    """
    if found is None:
        paragraph("特定保健指導の表、または前年度の階層化の値がないため、対象者減少率は示しません。")
        return []
    rows, by_one = found
    decrease, aligned = check_decrease(rows), check_decrease(by_one)
    levels = check(targets, counts=["n"], by=["level"], totals={"level": None})
    before: dict[str, Col | str] = {"group": "前年度の特定保健指導"}
    shares: dict[str, Col | str] = {
        "estimate": Col("減少率", "percent"),
        "lower": Col("95%信頼区間", "percent", upper="upper"),
        "estimate_other": Col("服薬の扱いを変えた減少率", "percent"),
    }
    people: dict[str, Col | str] = {
        "targets": "前年度の対象者",
        "decreased": "対象でなくなった",
        "started_drugs": "服薬で対象外",
        "still": "引き続き対象",
        "not_judged": "今年度の健診なし・判定不能",
    }
    title = f"{fiscal_year - 1}年度の対象者の{fiscal_year}年度の状態と減少率"
    show(decrease, title=title, columns=before | people | shares, note=decrease_note(rows))
    show(
        levels,
        title=f"{fiscal_year - 1}年度の対象者の区分",
        columns={"level": "区分", "n": "対象者"},
        note="判定不能の対象者: 対象であることは決まるが、欠けている検査値や回答によって積極的支援か動機付け支援かが"
        "決まらない人。このため対象者は積極的支援と動機付け支援の和より多い。",
    )
    title = f"階層化の版をそろえた減少率({fiscal_year}年度の版を両年度に当てる)"
    show(aligned, title=title, columns=before | shares, note=aligned_note(rows))
    paragraph(
        "対象者は検査値が高いために選ばれた人で、何もしなくても翌年は平均に近づきます。利用した人と利用していない人の差も、"
        "自分で利用を選んだことの影響を含み、特定保健指導の効果ではありません。"
    )
    return [decrease, aligned, levels]
