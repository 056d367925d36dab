"""What is evaluated? The years, rule, bands and primary design of a page, its plan (解析計画) and its lots (割付)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.definitions.words import RULES
from kenpo_analytics.errors import EstimateError, ParameterError
from kenpo_analytics.evaluation import did
from kenpo_analytics.evaluation.letters import LEAFLET, mixture, programmes_of, rules_sent
from kenpo_analytics.evaluation.lines import LINES, Lines
from kenpo_analytics.evaluation.protocol import FILE, Protocol, read_protocol, why_not_bands
from kenpo_analytics.evaluation.trial_record import Draws, read_draws
from kenpo_analytics.months import fiscal_year_of_date, parse_fiscal_year
from kenpo_analytics.tables import CHECKUPS


@dataclass(frozen=True)
class Choice:
    """Which evaluation is made: the protocol's, or without one the default (事後選択).

    `programme` are the years of the primary analysis, `years` all that are pooled for the other designs, `before` those
    without letters; `departures` say in Japanese where the page does not follow its protocol.
    """

    programme: tuple[int, ...]
    years: tuple[int, ...]
    before: tuple[int, ...]
    rule: str
    primary: str = did.DESIGN
    high: tuple[float, float] = LINES.high
    low: tuple[float, float] = LINES.low
    bandwidth: float = LINES.bandwidth
    protocol: Protocol | None = None
    departures: tuple[str, ...] = ()
    window: tuple[int, int] = (90, 18)  # outcome: days after the letter from which, months after the index until which
    latest: tuple[int, str] | None = None  # last fiscal year with letters, and its rule: what is sent today


def find_protocol(folder: str | Path, name: str = "") -> Protocol | None:
    """Which plan was declared for this data folder? `name` in it, else its protocol.toml, else None (事後選択)."""
    path = Path(folder) / (name or FILE)
    return read_protocol(path) if name or path.is_file() else None


def find_draws(folder: str | Path, name: str, *, programme: str = LEAFLET) -> Draws:
    """Who was drawn into which arm, and how? The folder `name` of this data folder (`kenpo randomise`).

    A folder with one draw, or with a folder for every draw of a mailing that goes out month by month. Nothing is drawn
    without a name.

    Raises
    ------
    EstimateError
        As `read_draws`; the lots are of another programme than the letters that are evaluated.
    """
    return read_draws(Path(folder) / name, programme=programme) if name else Draws()


MIXED = "基準が混ざるため評価に用いない"


def letter_years(mailings: Any, checkups: Any, *, programme: str = LEAFLET) -> pl.DataFrame:
    """For checkups of which fiscal years were letters sent, and by which rule? `fiscal_year`, `letters`, `rule`.

    `rule` is "and" or "or"; null where the letters of a year do not say a rule; and where letters of two rules were
    sent, in Japanese how many of each (`mixture`). Only years of one rule are evaluated.

    Raises
    ------
    EstimateError
        No letter of this programme is on file, or none that says its rule.
    """
    if programme not in (can := programmes_of(mailings, ruled=True)):
        why = (
            f"事業「{programme}」の通知には、抽出の基準(mailings の rule)の記録がなく、対象者を決められません"
            if programme in programmes_of(mailings)
            else f"通知(mailings)に、事業「{programme}」の記録がありません"
        )
        raise EstimateError(why, hint=f"評価できる事業(基準の記録がある): {'、'.join(can) or 'なし'}")
    sent = rules_sent(mailings, checkups, programme=programme)
    rows = [(year, part["letters"].sum(), _told(part)) for (year,), part in sent.group_by("fiscal_year")]
    schema = {"fiscal_year": pl.Int32, "letters": pl.Int64, "rule": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("fiscal_year")


def _told(of_year: pl.DataFrame) -> str | None:
    rules = of_year["rule"].drop_nulls().to_list()
    if len(rules) > 1:
        return f"{mixture(of_year)}: {MIXED}"
    return rules[0] if rules else None


def choose(
    found: pl.DataFrame,
    *,
    last: int,
    before: Sequence[int],
    years: Sequence[int] = (),
    rule: str = "",
    protocol: Protocol | None = None,
    letters: str = LEAFLET,
    definitions: Definitions | None = None,
) -> Choice:
    """Which years, rule, bands and primary design are used? The protocol's; else the first year with letters.

    Parameters
    ----------
    found
        Result of `letter_years`.
    last
        Latest fiscal year whose outcome window has closed.
    before, years
        Years without letters (`years_before`); years to pool (default: all usable ones of one rule). A protocol's own
        years win for the primary analysis.
    rule
        Without a protocol: only years whose letters went by this rule ("and" / "or"; "": that of the first of `years`).
    letters
        The programme's name in mailings; a protocol of another programme is refused.

    Raises
    ------
    EstimateError
        No usable year; none of the protocol's years is usable; the protocol is of another programme, or of another
        rule than the letters of its years.
    ParameterError
        One of `years` is not usable, or of another rule than the rest; no such `rule`, or no usable year went by it.
    """
    used = definitions or define()
    if rule not in ("", *RULES):
        raise ParameterError(f"rule=「{rule}」はありません。", hint='"and"(及び)、"or"(または)か、空(当時の基準)です。')
    window = (int(used.number("next_checkup.letter_days")), int(used.number("next_checkup.max_months")))
    told = {year: rule for year, rule in found.select("fiscal_year", "rule").iter_rows() if rule is not None}
    rules = {year: rule for year, rule in told.items() if rule in RULES}
    mixed = {year: rule for year, rule in told.items() if rule not in RULES}
    latest = (max(rules), rules[max(rules)]) if rules else None
    usable = [year for year in rules if year <= last]
    if not usable:
        hint = "基準月を後にしてください。" if rules else "通知(mailings)に当時の抽出の基準(rule)の記録が要ります。"
        raise EstimateError("次回健診の期間が終わった、基準の分かる通知のある年度がありません", hint=hint)
    if protocol is not None:
        _refuse(protocol, rules, mixed, last, letters)
    asked = list(years) or [year for year in usable if rules[year] == rule] or usable
    wanted, rule = rule, protocol.rule if protocol else rule or rules.get(min(asked), "")
    _refuse_years(years, {year: rules[year] for year in usable}, mixed, rule)
    if wanted and not protocol and not any(rules[year] == rule for year in asked):
        raise ParameterError(
            f"rule=「{rule}」({RULES[rule]})で通知が送られ、次回健診の期間が終わった年度がありません。",
            hint=f"年度ごとの通知の基準: {_by_rule({**rules, **dict.fromkeys(mixed, '混在')}, last)}",
        )
    pooled = tuple(sorted(year for year in asked if rules[year] == rule))
    if protocol is None:
        lines = Lines.of(used)
        bands: dict[str, Any] = {"high": lines.high, "low": lines.low, "bandwidth": lines.bandwidth}
        return Choice(pooled[:1], pooled, tuple(before), rule, window=window, latest=latest, **bands)
    declared = tuple(year for year in protocol.years if year <= last and year in rules)
    departures = tuple(_departures(protocol, rules, before, last, window))
    return Choice(
        declared, tuple(sorted({*pooled, *declared})), protocol.before, rule, protocol.primary,
        protocol.high, protocol.low, protocol.bandwidth, protocol, departures, window, latest,
    )  # fmt: skip


def years_before(years: Sequence[int], checkups: Any, found: pl.DataFrame) -> tuple[int, ...]:
    """Do the years asked for lie before the letters (`found`: `letter_years`) and have checkups? They, or an error.

    Where the data have no checkup at all from before the letters, the years stay: the page then says 識別不能.

    Raises
    ------
    DateError, ParameterError
        No fiscal year; not before the first year with letters; no checkup in it, though there are years that have.
    """
    asked, mailed = tuple(parse_fiscal_year(year) for year in years), found["fiscal_year"].to_list()
    first = min(mailed, default=9999)
    if late := [year for year in asked if year >= first]:
        raise ParameterError(
            f"事業前の年度として指定された{_years(late)}は、通知のある最初の年度({first}年度)より前ではありません。",
            hint=f"{first}年度より前の年度を指定してください。",
        )
    days = frames.enter(checkups, CHECKUPS, ["checkup_date"])
    held = frames.collect(days.select(fiscal_year_of_date(nw.col("checkup_date")).alias("year")).unique())
    there = sorted(year for year in held["year"].drop_nulls() if year < first)
    if there and (none := [year for year in asked if year not in there]):
        raise ParameterError(
            f"事業前の年度として指定された{_years(none)}の健診が、データにありません。",
            hint=f"健診のある事業前の年度: {_years(there)}",
        )
    return asked


def explore(choice: Choice, *, high: Sequence[float], low: Sequence[float], bandwidth: float) -> Choice:
    """What if bands and bandwidth were these? For trying out (06), never for a plan.

    Raises
    ------
    ParameterError
        Bands or bandwidth that cannot be (`protocol.why_not_bands`).
    """
    if wrong := why_not_bands(low, high, bandwidth):
        raise ParameterError(f"帯か幅の指定が違います: {wrong[0]}。", hint=wrong[1])
    bands: dict[str, Any] = {"high": tuple(high), "low": tuple(low), "bandwidth": float(bandwidth)}
    return replace(choice, **bands)


def _refuse_years(years: Sequence[int], usable: Mapping[int, str], mixed: Mapping[int, str], rule: str) -> None:
    """Years that were asked for by name are never left out unsaid."""
    if both := [year for year in years if year in mixed]:
        raise ParameterError(
            f"指定された{_years(both)}の通知は、1つの基準で送られていません({mixed[both[0]]})。",
            hint=f"評価できる年度: {_years(sorted(usable))}",
        )
    if none := [year for year in years if year not in usable]:
        raise ParameterError(
            f"指定された{_years(none)}は、通知(当時の基準を含む)の記録がないか、次回健診の期間が終わっていません。",
            hint=f"評価できる年度: {_years(sorted(usable))}",
        )
    if other := [year for year in years if usable[year] != rule]:
        raise ParameterError(
            f"指定された{_years(other)}の通知の基準は、用いる基準({RULES[rule]})と違うため、評価できません。",
            hint=f"「{RULES[rule]}」で通知を送った、評価できる年度: "
            + _years([year for year, own in sorted(usable.items()) if own == rule]),
        )


def _by_rule(rules: Mapping[int, str], last: int) -> str:
    late = {year: "(期間が終わっていない)" for year in rules if year > last}
    return "、".join(f"{year}年度は{RULES.get(rule, rule)}{late.get(year, '')}" for year, rule in sorted(rules.items()))


def _years(years: Sequence[int]) -> str:
    return "、".join(f"{year}年度" for year in years) or "なし"


def _refuse(protocol: Protocol, rules: Mapping[int, str], mixed: Mapping[int, str], last: int, letters: str) -> None:
    """Another evaluation than the declared one would carry its fingerprint: none is made."""
    if protocol.programme != letters:
        raise EstimateError(
            f"解析計画の事業({protocol.programme})は、評価する通知({letters})と違います",
            hint="protocol.toml の programme を確かめてください。",
        )
    if both := [year for year in protocol.years if year in mixed]:
        raise EstimateError(
            f"解析計画の{_years(both)}の通知は、1つの基準で送られていません({mixed[both[0]]})",
            hint="通知の基準が1つの年度だけを評価する計画にしてください。",
        )
    if not any(year in rules and year <= last for year in protocol.years):
        years = "、".join(map(str, protocol.years))
        raise EstimateError(
            f"解析計画の年度({years}年度)は、通知がないか次回健診の期間が終わっていないため、評価できません",
            hint="基準月を後にしてください。別の年度で代えることはしません。",
        )
    if other := [year for year in protocol.years if year <= last and rules.get(year, protocol.rule) != protocol.rule]:
        raise EstimateError(  # by the plan's rule nobody, or only some, of those compared were sent a letter
            f"解析計画の基準({RULES[protocol.rule]})は、{_years(other)}の通知の基準と違うため、評価できません",
            hint="protocol.toml の rule か years を確かめてください。",
        )


def _departures(
    protocol: Protocol, rules: Mapping[int, str], before: Sequence[int], last: int, window: tuple[int, int]
) -> Iterator[str]:
    if late := [year for year in protocol.years if year > last]:
        yield f"{'、'.join(map(str, late))}年度は次回健診の期間が終わっていないため、まだ含めていません"
    if none := [year for year in protocol.years if year <= last and year not in rules]:
        yield f"{'、'.join(map(str, none))}年度の通知の記録(当時の基準を含む)がないため、含めていません"
    if before and tuple(sorted(before)) != tuple(sorted(protocol.before)):
        yield "指定された事業前の年度ではなく、解析計画の年度を使いました"
    if window != protocol.window:
        yield (
            f"次回健診とみなす期間が解析計画(通知から{protocol.window[0]}日以上、健診から{protocol.window[1]}か月以内)と"
            f"違います(用いた値は{window[0]}日、{window[1]}か月)"
        )
