"""What does every design say about one programme? All of them on one analysis set, refused ones with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation import attrition, did, did_lost, discontinuity, improved, regression_to_mean, weighting
from kenpo_analytics.evaluation.analysis import AnalysisSet
from kenpo_analytics.evaluation.choices import Choice
from kenpo_analytics.evaluation.estimate import Estimate, unavailable
from kenpo_analytics.evaluation.falsify import triple
from kenpo_analytics.evaluation.landmark import IMMORTAL
from kenpo_analytics.evaluation.lines import MARGIN, Lines
from kenpo_analytics.evaluation.states import composite
from kenpo_analytics.evaluation.subsets import at_letter, first_letters, restricted
from kenpo_analytics.evaluation.trial import DESIGN as RANDOMISED
from kenpo_analytics.evaluation.trial import as_drawn

FLAGGED = 2020
"""Index checkups or outcomes of this year fall into the epidemic, when people stayed away from checkups."""
DEAD_BANDS = (3, 5, 10)
MIDDLING = 0.1
REPEATED = "再度の通知を含みます"
"""How the warning begins of designs in which people are not at their first-ever letter."""
WITHIN = ("iptw", "aipw", "ancova", "iptw_ipcw")
"""Designs within the eligible: a primary one compares people of the plan's years only, as sensitivity all years."""


@dataclass(frozen=True)
class Groups:
    """The parts of an analysis set that designs compare; `warning` where first-ever letters could not be picked.

    main: first-ever letters of the primary years and the years before, where FPG decides the letter; whole: the same
    whatever HbA1c; every: all years, repeated letters too, where FPG decides; eligible: first-ever eligible who could
    be sent a letter on its day (`subsets.at_letter`), of the primary years where the primary design is one of
    `WITHIN`, else of all programme years.
    """

    main: pl.DataFrame
    whole: pl.DataFrame
    every: pl.DataFrame
    eligible: pl.DataFrame
    warning: str | None = None


def compared(analysis: AnalysisSet, choice: Choice) -> Choice:
    """What of the choice do the data hold? Years before the programme without anybody are no longer among `before`.

    With a plan that is a departure from it, told as such.
    """
    held = set(analysis.people.filter(pl.col("era") == "before")["fiscal_year"])
    if not (none := [year for year in choice.before if year not in held]):
        return choice
    said = f"事業前の{'、'.join(f'{year}年度' for year in none)}の健診がデータにないため、比べていません"
    departures = (*choice.departures, said) if choice.protocol else choice.departures
    return replace(choice, before=tuple(year for year in choice.before if year in held), departures=departures)


def groups(analysis: AnalysisSet, choice: Choice) -> Groups:
    """Who is compared by which design?"""
    people, lines = composite(analysis.people, definitions=analysis.definitions), analysis.lines
    whole = people.filter(pl.col("fiscal_year").is_in([*choice.before, *choice.programme]))
    warning = None
    try:
        whole = first_letters(whole)
    except EstimateError as error:
        warning = f"{REPEATED}。{error.message}"
    later = people.filter(pl.col("era") == "programme", pl.col("fiscal_year").is_in(choice.years))
    own = choice.programme if choice.primary in WITHIN else choice.years
    eligible = first_letters(later).filter(pl.col("fiscal_year").is_in(own), "eligible")
    return Groups(
        restricted(whole, choice.rule, lines),
        whole,
        restricted(people, choice.rule, lines),
        at_letter(eligible),
        warning,
    )


def run_designs(analysis: AnalysisSet, choice: Choice, *, level: float = 0.95) -> list[Estimate]:
    """What does each design say? The naive ones first, then by what they compare, then those that are refused.

    Returns
    -------
    One `Estimate` per design, in the order of the page; `choice.primary` is among them.
    Designs that the data do not allow keep their place with the reason.
    """
    parts = groups(analysis, choice)
    found = [*_references(analysis, parts, choice, level)]
    if choice.primary == RANDOMISED or "assigned" in analysis.people.columns:
        people = analysis.people.filter(pl.col("fiscal_year").is_in(choice.programme))
        found.append(as_drawn(people, analysis.drawn, level=level))
    found += [*_bands(parts, choice, analysis.lines, level), *_jumps(parts, choice, analysis.lines, level)]
    within = [*_eligible(parts, level), *_shares(parts.eligible, level)]
    if choice.primary not in WITHIN and set(choice.years) != set(choice.programme):
        within = [replace(one, label=f"{one.label}({_span(choice.years)})") for one in within]
    found += [*within, *_refused(analysis)]
    if parts.warning is None:
        return found
    own = (did.DESIGN, discontinuity.DIFFERENCE)
    return [replace(one, warnings=(*one.warnings, parts.warning)) if one.design in own else one for one in found]


def _references(analysis: AnalysisSet, parts: Groups, choice: Choice, level: float) -> Iterator[Estimate]:
    mailed = analysis.people.filter(pl.col("fiscal_year").is_in([*choice.before, *choice.programme]))
    yield regression_to_mean.naive(mailed, level=level)
    yield regression_to_mean.pseudo_cohort(parts.whole, level=level, role="reference")


def _bands(parts: Groups, choice: Choice, lines: Lines, level: float) -> Iterator[Estimate]:
    bands: dict[str, Any] = {"high": choice.high, "low": choice.low, "level": level}
    yield did.did(parts.main, **bands)
    yield did.per_letter(parts.main, **bands)
    yield did_lost.did_ipcw(parts.main, **bands)
    yield triple(parts.whole, choice.rule, lines=lines, **bands)

    def variant(frame: pl.DataFrame, name: str, label: str, **other: Any) -> Estimate:
        return did.did(frame, **{**bands, **other}, design=f"did_{name}", label=f"差の差: {label}")

    middle = (choice.low[0] + choice.low[1] + 1) / 2
    yield variant(parts.main, "near", f"下の帯を{middle:g}～{choice.low[1]:g}に狭める", low=(middle, choice.low[1]))
    wide = choice.low[0] - MARGIN
    yield variant(parts.main, "wide", f"下の帯を{wide:g}～{choice.low[1]:g}に広げる({lines.guidance:g}の線をまたぐ)",
                  low=(wide, choice.low[1]))  # fmt: skip
    for column, word in (("institution", "健診機関"), ("workplace_id", "事業所")):
        if column in parts.main.columns:
            yield variant(parts.main, column, f"{word}ごとの相関を考慮", cluster=column)
    yield variant(parts.every, "every", f"全年度をまとめ、再度の通知を含む({_span(choice.years)})")
    if FLAGGED in choice.years or FLAGGED - 1 in choice.years:
        calm = parts.every.filter(~pl.col("fiscal_year").is_in([FLAGGED - 1, FLAGGED]))
        yield variant(calm, "calm", f"全年度から{FLAGGED - 1}・{FLAGGED}年度の健診を除く(感染症流行期)")
    untreated = parts.main.filter(~pl.col("started").fill_null(False))
    yield variant(untreated, "untreated", "服薬を始めた人を除く(結果で人を選ぶため偏る。参考)", role="reference")


def _span(years: Sequence[int]) -> str:
    return f"{min(years)}～{max(years)}年度" if len(years) > 1 else f"{years[0]}年度"


def _jumps(parts: Groups, choice: Choice, lines: Lines, level: float) -> Iterator[Estimate]:
    options: dict[str, Any] = {"cutoff": lines.cutoff, "bandwidth": choice.bandwidth, "level": level}
    yield discontinuity.rdd(parts.main, role="diagnostic", **options)
    yield discontinuity.diff_in_disc(parts.main, **options)
    sides = f"{lines.cutoff - 0.5:g}・{lines.cutoff + 0.5:g}"
    yield discontinuity.diff_in_disc(
        parts.main, donut=1.0, design="diff_in_disc_donut", **options,
        label=f"差の不連続: 基準値のすぐ両側({sides})の人を除く",
    )  # fmt: skip
    yield discontinuity.diff_in_disc(
        parts.every, design="diff_in_disc_every", **options,
        label=f"差の不連続: 全年度をまとめ、再度の通知を含む({_span(choice.years)})",
    )  # fmt: skip


def _eligible(parts: Groups, level: float) -> Iterator[Estimate]:
    roles = {"crude": "reference"}
    for design in weighting.LABELS:
        yield weighting.within_eligible(
            parts.eligible, design=design, level=level, role=roles.get(design, "sensitivity")  # type: ignore[arg-type]
        )  # fmt: skip
    yield _trimmed(parts.eligible, level)
    yield attrition.iptw_ipcw(parts.eligible, level=level)


def _trimmed(eligible: pl.DataFrame, level: float) -> Estimate:
    """IPTW among people of a middling probability only; where that leaves nobody out it would be IPTW once more."""
    one = weighting.within_eligible(eligible, design="iptw", level=level, trim=MIDDLING)
    design, label = "iptw_trim", f"対象者内のIPTW: 送付の確率が{MIDDLING:.0%}～{1 - MIDDLING:.0%}の人だけ"
    if one.state == "estimated" and not one.diagnostics["trimmed"]["trimmed"].sum():
        reason = "この範囲の外の人がいないため、IPTWと同じです"
        return unavailable(design, label, one.estimand, one.assumption, reason=reason)
    return replace(one, design=design, label=label)


def _shares(eligible: pl.DataFrame, level: float) -> Iterator[Estimate]:
    for outcome in ("improved", "worsened"):
        for method in improved.METHODS:
            yield improved.share_difference(eligible, outcome, method=method, level=level)
    yield improved.share_difference(eligible, "composite", level=level)
    change = pl.col("y1") - pl.col("y0")
    for band in DEAD_BANDS:
        moved = eligible.with_columns(improved=change < -band, worsened=change > band)
        for outcome, word in (("improved", "下がった"), ("worsened", "上がった")):
            one = improved.share_difference(moved, outcome, level=level)
            label = f"空腹時血糖が{band}mg/dLを超えて{word}人の割合の差"
            yield replace(one, design=f"{one.design}_{band}", label=label, estimand=label, role="sensitivity")


def _refused(analysis: AnalysisSet) -> Iterator[Estimate]:
    names = (
        "iptw_ineligible",
        "対象外の人との重み付け比較",
        weighting.ESTIMAND,
        "対象者と対象外の人に重なりがある(ない)",
    )
    try:
        weighting.prepare(analysis.people)
    except EstimateError as error:
        yield unavailable(*names, reason=error.message)
    landmark = "通知の有無は、健診の時点で決まっている(決まっていない)"
    yield unavailable("letter_curve", "健診の月からの、通知の有無別の比較", "通知の有無による受診や値の違い", landmark,
                      reason=IMMORTAL)  # fmt: skip
