"""What was decided before anybody looked? The protocol (解析計画) of an evaluation, locked by its fingerprint."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kenpo_analytics.definitions.toml_text import why_not_toml
from kenpo_analytics.errors import DefinitionError
from kenpo_analytics.evaluation.lines import LINES
from kenpo_analytics.tables import CHECKUPS

FILE = "protocol.toml"
DESIGNS = ("did_ancova", "diff_in_disc", "iptw", "aipw", "ancova", "iptw_ipcw", "randomised")
POST_HOC = "事後選択"
DAYS = 30
"""Of a month, at least: an outcome window that opens after it has closed holds nobody."""
_BANDS = "例: high = [110, 125]、low = [100, 109]"


@dataclass(frozen=True)
class Protocol:
    """A declared evaluation: programme, years, rule, estimand, the one primary design, its windows, and its day.

    `declared_on` is the day that the file names; `digest` its content's fingerprint, printed in every report. A report
    without a protocol says 事後選択 (chosen after looking).
    """

    programme: str
    rule: str
    before: tuple[int, ...]
    years: tuple[int, ...]
    estimand: str
    primary: str
    high: tuple[float, float]
    low: tuple[float, float]
    bandwidth: float
    declared_on: dt.date
    window: tuple[int, int] = (90, 18)  # days after the letter from which, months after the index until which
    ethics_id: str = ""
    registration_id: str = ""
    digest: str = ""


_KEYS: dict[str, type | tuple[type, ...]] = {
    "programme": str,
    "rule": str,
    "before": list,
    "years": list,
    "estimand": str,
    "primary": str,
    "high": list,
    "low": list,
    "bandwidth": (int, float),
    "declared_on": dt.date,
    "window": list,
    "ethics_id": str,
    "registration_id": str,
}
_OPTIONAL = ("window", "ethics_id", "registration_id")


def read_protocol(path: str | Path) -> Protocol:
    """Which evaluation was declared? Read before any outcome is loaded.

    Raises
    ------
    DefinitionError
        No such file, not TOML, a missing or unknown key, a design that does not exist, years before that are not
        before, bands, bandwidth or window that cannot be.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise DefinitionError(f"解析計画を読めません: {path}", hint="場所を確かめてください。") from error
    try:
        held = tomllib.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason, hint = why_not_toml(raw, error)
        raise DefinitionError(f"解析計画の書き方に誤りがあります: {reason}", hint=hint) from error
    _refuse(held)
    found = Protocol(
        programme=held["programme"],
        rule=held["rule"],
        before=tuple(held["before"]),
        years=tuple(held["years"]),
        estimand=held["estimand"],
        primary=held["primary"],
        high=(float(held["high"][0]), float(held["high"][1])),
        low=(float(held["low"][0]), float(held["low"][1])),
        bandwidth=float(held["bandwidth"]),
        declared_on=held["declared_on"],
        window=tuple(held.get("window", (90, 18))),
        ethics_id=held.get("ethics_id", ""),
        registration_id=held.get("registration_id", ""),
    )
    return replace(found, digest=fingerprint(found))


def _refuse(held: Mapping[str, Any]) -> None:
    if unknown := sorted(set(held) - set(_KEYS)):
        raise DefinitionError(
            f"解析計画に使われない名前があります: {', '.join(unknown)}", hint=f"使える名前: {', '.join(_KEYS)}"
        )
    if missing := [name for name in _KEYS if name not in held and name not in _OPTIONAL]:
        raise DefinitionError(
            f"解析計画に次の項目がありません: {', '.join(missing)}", hint="docs/evaluation.md の例を見てください。"
        )
    if wrong := [n for n, kind in _KEYS.items() if n in held and (not isinstance(held[n], kind) or held[n] is True)]:
        raise DefinitionError(f"解析計画の値の型が違います: {', '.join(wrong)}")
    if isinstance(held["declared_on"], dt.datetime):
        raise DefinitionError("declared_on は時刻のない日付です", hint="例: declared_on = 2026-04-01")
    for name in ("before", "years", "window"):
        if any(not isinstance(value, int) or isinstance(value, bool) for value in held.get(name, [])):
            raise DefinitionError(f"{name} は整数の並びです", hint="例: years = [2018]、window = [90, 18]")
    if not held["years"] or max(held["before"], default=0) >= min(held["years"]):
        raise DefinitionError(
            "years は空にできず、before はそれより前の年度です", hint="例: before = [2017]、years = [2018]"
        )
    window = held.get("window", [90, 18])
    if len(window) != 2 or min(window) < 1 or window[0] >= window[1] * DAYS:
        raise DefinitionError(
            "window は [通知後の日数, 健診後の月数] で、どちらも1以上、日数は月数の期間より短くします",
            hint="例: window = [90, 18]",
        )
    if held["primary"] not in DESIGNS:
        raise DefinitionError(
            f"主解析の設計の名前が違います: 「{held['primary']}」", hint=f"使える名前: {', '.join(DESIGNS)}"
        )
    if held["rule"] not in ("and", "or"):
        raise DefinitionError(f"抽出の基準は and か or です: 「{held['rule']}」")
    if why := why_not_bands(held["low"], held["high"], held["bandwidth"]):
        raise DefinitionError(f"帯か幅の指定が違います: {why[0]}", hint=why[1])


def why_not_bands(low: Any, high: Any, bandwidth: Any) -> tuple[str, str] | None:
    """Why can nobody be compared by these bands of FPG and this bandwidth? A Japanese reason and a hint, or None."""
    declared = next(column for column in CHECKUPS.columns if column.name == "fpg")
    least, most = float(declared.low or 0), float(declared.high or math.inf)
    pairs = all(isinstance(band, list | tuple) and len(band) == 2 for band in (low, high))
    if not pairs or not all(_number(value) for value in (*low, *high)):
        return "high と low は [下限, 上限] の2つの数です", _BANDS
    if not least <= low[0] < low[1] < high[0] < high[1] <= most:
        return (
            f"下限は上限より小さく、low は high より下で、{least:g}～{most:g}mg/dL(値の想定範囲)の中にしてください",
            _BANDS,
        )
    if not _number(bandwidth) or not 0 < bandwidth <= LINES.cutoff - least:
        return f"bandwidth は0より大きく{LINES.cutoff - least:g}以下の数(mg/dL)です", "例: bandwidth = 9"
    return None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def fingerprint(protocol: Protocol) -> str:
    """Which 12 characters stand for this protocol? Its values, not its layout: a comment changes nothing."""
    values = {name: str(value) for name, value in asdict(protocol).items() if name != "digest"}
    return hashlib.sha256(json.dumps(values, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:12]


def standing(
    protocol: Protocol | None, *, outcomes_from: dt.date | None = None, before: Sequence[int] | None = None
) -> str:
    """How must the report call its choice of design? One Japanese sentence.

    `outcomes_from`: the earliest day on which outcomes could be known; a protocol declared later was chosen with
    outcomes at hand and is called so. The day is what the file says: nobody else confirms it. `before`: the years
    before the programme that were really compared (default: the plan's).
    """
    if protocol is None:
        return f"解析計画(protocol.toml)がないため、設計は結果を見られる状態で選ばれました({POST_HOC})。"
    day = f"{protocol.declared_on.year}年{protocol.declared_on.month}月{protocol.declared_on.day}日"
    if outcomes_from is not None and protocol.declared_on > outcomes_from:
        return f"解析計画(指紋 {protocol.digest})は{day}付けで、最初の結果が得られた日より後です({POST_HOC})。"
    if outcomes_from is None:
        return (
            f"設計は解析計画(指紋 {protocol.digest})によります。計画書に記された日付は{day}です(第三者による確認なし)。"
        )
    return (
        f"設計は解析計画(指紋 {protocol.digest})によります。計画書に記された日付は{day}で、事業の年度の最初の結果"
        f"({outcomes_from.year}年{outcomes_from.month}月{outcomes_from.day}日)より前です(第三者による確認なし)。"
        + (
            "事業前の年度の結果には、それより前に得られたものがあります。"
            if (protocol.before if before is None else before)
            else ""
        )
    )
