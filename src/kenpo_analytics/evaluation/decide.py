"""What may be concluded? All designs on one page, and one sentence that never claims more than the interval holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation.estimate import POWER_Z, ROLES, Estimate, as_rows
from kenpo_analytics.evaluation.protocol import Protocol, standing
from kenpo_analytics.evaluation.trial_arms import DESIGN as RANDOMISED
from kenpo_analytics.evaluation.trial_arms import of_versions, sides

STATES = {"estimated": "推定", "not_identified": "識別不能", "refused": "推定せず"}

APART = "ほかの設計は通知の効果を推定するもので、2つの版の差とは別の量のため、向きも区間も比べません。"
"""Why no other design stands beside the difference of two versions of a letter."""


@dataclass(frozen=True)
class Decision:
    """The verdict, its Japanese sentence, what it rests on (`basis`), the primary estimate, all designs (`rows`)."""

    verdict: str
    sentence: str
    basis: str
    primary: Estimate
    rows: pl.DataFrame


def decide(
    estimates: Sequence[Estimate],
    *,
    primary: str,
    protocol: Protocol | None = None,
    warnings: Sequence[str] = (),
    unchecked: Sequence[str] = (),
    departures: Sequence[str] = (),
    subject: str = "通知",
    outcome: str = "次回健診の空腹時血糖",
    people: str = "",
    outcomes_from: dt.date | None = None,
    before: Sequence[int] | None = None,
) -> Decision:
    """Which design carries the conclusion, and what is it?

    Parameters
    ----------
    estimates
        One per design, the naive one included; `primary` names the one that was declared.
    protocol
        The locked plan; without it the basis says 事後選択.
    warnings
        What diagnostics of the primary design warn of (a placebo year, a negative control, event-study years): with
        any, no effect is claimed.
    unchecked
        Assumptions without which the primary design says nothing and that the data could not check
        (`Checks.essential`): they stand in the sentence itself.
    departures
        Where the analysis does not follow its protocol (`Choice.departures`).
    subject, outcome, people
        What the sentence is about, in Japanese: the letters with their year, the outcome, and who was counted
        (already behind the disclosure gate: `report.people_seen`).
    outcomes_from
        The first day on which an outcome was known: a protocol declared later is called 事後選択.
    before
        The years before the programme that are compared (`Choice.before`; default: the protocol's).

    Returns
    -------
    Decision
        `verdict`: lower / higher (the primary interval leaves out zero, no diagnostic warns, no other defensible design
        points the other way), disagree (it does, but another design's interval lies wholly on the other side; a
        randomised primary is not overruled by designs without lots: the basis names them; the difference of two
        versions of a letter is another quantity than theirs and is set against none of them), warned
        (it does, but a diagnostic warns), not_shown (the interval holds zero), not_identified. `sentence` is for a
        reader of one paragraph; `basis` says by which design, under which plan, and what the others say.
    """
    chosen = next((one for one in estimates if one.design == primary), None)
    if chosen is None:
        raise EstimateError(
            f"主解析に決めた設計の推定がありません: {primary}", hint="protocol.toml の primary を確かめてください。"
        )
    chosen = replace(chosen, role="primary")
    all_of = [chosen if one.design == primary else one for one in estimates]
    against = opposed(chosen, all_of)
    told = [one for one in against if chosen.design == RANDOMISED != one.design]
    against = [one for one in against if one not in told]
    verdict = _verdict(chosen, against, warnings)
    said = _sentence(verdict, chosen, against, warnings, subject, outcome, people)
    if verdict != "not_identified":
        said += "".join(f"ただし、{text}。" for text in unchecked)
    basis = _basis(verdict, chosen, all_of, warnings)
    if told:
        names = "、".join(one.label for one in told)
        basis += (
            f"無作為割付によらない{names}の区間は逆の向きですが、比べる人の違いを除ききれないため、結論を変えません。"
        )
    basis += standing(protocol, outcomes_from=outcomes_from, before=before)
    basis += "".join(f"解析計画と違う点: {text}。" for text in departures)
    return Decision(verdict, said, basis, chosen, as_rows(all_of).with_columns(
        role_label=pl.col("role").replace_strict(ROLES, return_dtype=pl.String),
        state_label=pl.col("state").replace_strict(STATES, return_dtype=pl.String),
    ))  # fmt: skip


def opposed(chosen: Estimate, others: Sequence[Estimate]) -> list[Estimate]:
    """Which other defensible designs contradict the primary one, their whole interval on the other side?"""
    if not chosen.shows_effect or chosen.estimate is None or of_versions(chosen):
        return []
    side = chosen.estimate < chosen.null_value
    return [
        one
        for one in others
        if one is not chosen
        and one.role in ("sensitivity", "primary")
        and one.unit == chosen.unit
        and one.shows_effect
        and ((one.estimate or 0.0) < one.null_value) != side
    ]


def _verdict(chosen: Estimate, against: Sequence[Estimate], warnings: Sequence[str]) -> str:
    if chosen.state != "estimated" or chosen.estimate is None:
        return "not_identified"
    if not chosen.shows_effect:
        return "not_shown"
    if warnings or chosen.warnings:
        return "warned"
    if against:
        return "disagree"
    return "lower" if chosen.estimate < chosen.null_value else "higher"


def _sentence(
    verdict: str, chosen: Estimate, against: Sequence[Estimate], warnings: Sequence[str], subject: str, outcome: str,
    people: str,
) -> str:  # fmt: skip
    if verdict == "not_identified":
        return f"{subject}の効果は判断できません。{(chosen.reason or '').rstrip('。')}。"
    arms = sides(chosen)
    side = "" if chosen.null_value else "。マイナスが低下" if chosen.unit == "mg/dL" else "。マイナスが減少"
    if arms:
        side = f"。マイナスは{arms[0]}のほうが低いこと"
    effect = f"の、{arms[0]}と{arms[1]}の違い" if arms and of_versions(chosen) else ""
    shown = f"(差 {_number(chosen)}{side}{f'。{people}' if people else ''})。"
    if chosen.null_value:
        shown = shown.replace("(差 ", "(比 ", 1)
    if verdict == "not_shown":
        missing = f"{outcome}{effect}" if effect else f"{outcome}を下げる効果"
        return (
            f"{subject}について、{missing}は確認できませんでした{shown}"
            f"{'違い' if effect else '効果'}がないことを示すものでもありません。{_missed(chosen)}"
            + "".join(f"また、診断が警告を出しています({text})。" for text in (*warnings, *chosen.warnings))
        )
    if verdict == "warned":
        told = "、".join((*warnings, *chosen.warnings))
        return (
            f"{subject}について、{outcome}{effect or 'への効果'}があったとは結論しません{shown}"
            f"区間は効果なしを含みませんが、診断が前提の崩れを示しています({told})。"
        )
    if verdict == "disagree":
        names = "、".join(one.label for one in against)
        return (
            f"{subject}について、設計によって結論が食い違うため、{outcome}への効果を判断できません{shown}"
            f"一方、{names}の区間は逆の向きです。"
        )
    word = "低く" if verdict == "lower" else "高く"
    if arms:  # which of the two: by the lots "the letter lowered it" would not say whose
        return f"{subject}では、{arms[0]}の{outcome}は、{arms[1]}より{word[0]}いと推定されます{shown}"
    return f"{subject}によって、{outcome}は{word}なったと推定されます{shown}"


def _missed(chosen: Estimate) -> str:
    """How small an effect these people can easily hide: without it a wide interval reads like no effect."""
    if chosen.standard_error is None:
        return ""
    scale, unit = (100.0, "ポイント") if chosen.unit == "ポイント" else (1.0, chosen.unit)
    return f"この人数では、{POWER_Z * chosen.standard_error * scale:.1f}{unit}より小さい効果は見逃しやすくなります。"


def _basis(verdict: str, chosen: Estimate, all_of: Sequence[Estimate], warnings: Sequence[str]) -> str:
    """By which design, believing what, with which doubts, and what the other designs say."""
    said = f"主解析: {chosen.label}。"
    if verdict == "not_identified":
        return said
    if verdict == "not_shown":
        said += "区間は効果なしを含みます。"
    if verdict in ("lower", "higher"):
        said += f"前提: {chosen.assumption}。"
    if of_versions(chosen):
        return f"{said}{APART}"
    return said + _others(verdict, chosen, all_of)


def _others(verdict: str, chosen: Estimate, all_of: Sequence[Estimate]) -> str:
    """What the other designs say where that differs: they never carry the conclusion, and are never silent either."""
    others = [one for one in all_of if one is not chosen and one.role == "sensitivity" and one.unit == chosen.unit]
    others = [one for one in others if one.state == "estimated"]
    if verdict == "not_shown" and (apart := [one.label for one in others if one.shows_effect]):
        return f"ほかの設計のうち{'、'.join(apart)}の区間は効果なしを含みませんが、主解析ではないので根拠としません。"
    if verdict in ("lower", "higher") and (same := [one for one in others if not one.shows_effect]):
        return f"ほかの{len(others)}設計のうち{len(same)}設計では、区間が効果なしを含みます。"
    return ""


def _number(one: Estimate) -> str:
    """The estimate with its interval as the conclusion prints it: rounded once, here."""
    scale, digits = (100.0, 1) if one.unit == "ポイント" else (1.0, 2)
    sign = "+" if one.null_value == 0 else ""  # a ratio has no direction to show by a sign
    values = [f"{number * scale:{sign}.{digits}f}".replace("-", "−") for number in (one.estimate, one.lower, one.upper)]  # type: ignore[operator]
    return f"{values[0]}{one.unit}、{one.level:.0%}信頼区間 {values[1]}～{values[2]}"
