"""What is a parameter called in the reader's words, and what does an empty one mean? The only list of both."""

from __future__ import annotations

import re

from kenpo_analytics.definitions.words import LEVELS, RULES

LATEST = "自動(使える最新の年度)"
ALL = "すべて"
NONE = "なし"
LABELS: dict[str, tuple[str, str]] = {
    "month": ("基準月", ""),
    "branch": ("支部", ""),
    "fiscal_year": ("年度", LATEST),
    "reference_year": ("比べる年度", ""),
    "level": ("勧奨の水準", ""),
    "programme": ("通知", ""),
    "programme_years": ("通知の年度", "使える年度すべて"),
    "before_years": ("事業前の年度", NONE),
    "protocol": ("解析計画", "protocol.toml(あれば)"),
    "assignment": ("無作為割付のフォルダ", NONE),
    "programme_cost_yen": ("通知の費用(円)", "示さない"),
    "rule": ("通知の基準", "当時の基準(最初の年度)"),
    "high": ("上の帯(mg/dL)", NONE),
    "low": ("下の帯(mg/dL)", NONE),
    "bandwidth": ("不連続の幅(mg/dL)", ""),
    "outcome": ("次回健診の結果", ""),
    "strata": ("層別", ""),
    "series": ("月次の指標", ""),
    "series_start": ("その事業の開始月", ""),
    "series_control": ("月次の指標の対照の支部", NONE),
    "visit_programme": ("受診を見る通知", ""),
    "visit_year": ("その健診の年度", ""),
    "debts_from": ("債権の案内を始めた年度", ""),
    "group": ("グループ", ALL),
    "population": ("対象者", ""),
    "industry": ("健康度カルテの業態", ""),
    "town_risk": ("市町村別に示すリスク", ""),
    "workplace": ("健康度カルテの事業所", "自動(その業態で受診者の最も多い事業所)"),
    "raised": ("上げてみる指標", "すべて(1つずつ)"),
    "points": ("上げる幅(ポイント)", ""),
}
"""Name -> label, and what its empty value (no text, no list, year or cost 0) means; "" where it has none."""
CHOICES: dict[str, dict[str, str]] = {
    "level": LEVELS,
    "rule": RULES,
    "outcome": {"fpg": "空腹時血糖", "hba1c": "HbA1c", "height": "身長"},
    "strata": {"age_group": "年齢階級", "sex": "性別", "bmi_group": "BMIの区分"},
    "population": {"insured": "被保険者", "dependent": "被扶養者", "employer": "事業者健診"},
}


def label(name: str) -> str:
    """What is a parameter called? Its own name where nobody gave it another."""
    return LABELS.get(name, (name, ""))[0]


def value(given: object, name: str) -> str:
    """What was a parameter set to, and what does it mean to have left it empty? A chosen word stands with its code."""
    if given in ("", []) or (type(given) is int and given == 0 and empty(name)):
        return empty(name) or "指定なし"
    if isinstance(given, bool):
        return "はい" if given else "いいえ"
    if isinstance(given, list):
        return " ".join(map(str, given))
    text = str(given)
    if name == "month" and re.fullmatch(r"\d{4}-\d{2}", text):
        return f"{text[:4]}年{int(text[5:])}月"
    said = CHOICES.get(name, {}).get(text)
    return f"{said}({text})" if said else text


def empty(name: str) -> str:
    """What does it mean to leave a parameter empty? Nothing where it cannot be left empty."""
    return LABELS.get(name, ("", ""))[1]
