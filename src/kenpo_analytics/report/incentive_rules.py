"""By which formula were the points counted? Sentences, headings and units made from the rules in force."""

from __future__ import annotations

from kenpo_analytics.definitions.branch_codes import BRANCHES
from kenpo_analytics.kpi.weights import COMPONENT_NAMES, Indicator, Rules
from kenpo_analytics.report._format import Col

_SD = {"population": f"分母は支部数の{len(BRANCHES)}", "sample": f"分母は支部数－1の{len(BRANCHES) - 1}"}
_RISE = {
    "room": (
        "伸びしろ(100－前年度の値)のうち、伸びた割合です({})。前年度が高い支部ほど、同じ1ポイントが大きく数えられます。"
    ),
    "points": "前年度の値からの差(ポイント)です({})。前年度の高さによらず、同じ1ポイントは同じに数えられます。",
}
_NUMBER = "分子の人数の、前年度からの増減の割合です。"
_HEADINGS = {"room": "上昇幅(伸びしろに対する%)", "points": "上昇幅(ポイント)"}
ASSUMED = "仮定"


def incentive_method(rules: Rules | None, *, why: str = "") -> str:
    """By which formula are points counted? A list for 3 方法: deviation, points, shares, how a rise is measured.

    Without rules (before the programme) a sentence that says `why`.
    """
    if rules is None:
        return f"得点の計算式はありません({why})。"
    used = [name for name in COMPONENT_NAMES if any(item.weights[name] for item in rules.indicators)]
    words = "・".join(COMPONENT_NAMES[name] for name in used)
    whole = sum(item.base for item in rules.indicators)
    said = [
        f"偏差値: 指標の構成要素({words})ごとに、{len(BRANCHES)}支部の平均を50、標準偏差({_SD[rules.sd]}。"
        f"{_status(rules, 'incentive.sd')})を10とする値 50＋10×(値－平均)÷標準偏差 を求めます。",
        "得点: 構成要素の偏差値を配分の割合で平均し、素点÷50を掛けます。合計点は"
        f"{len(rules.indicators)}指標の得点の和で、{len(BRANCHES)}支部の平均は{whole:g}点です。",
        f"素点と配分: {'、'.join(map(_shares, rules.indicators))}。確かさ(仮定か)は9にあります。",
    ]
    if "rise" in used:
        said.append(f"上昇幅: {_RISE[rules.rise].format(_status(rules, 'incentive.rise'))}")
    if "number" in used:
        said.append(f"件数上昇率: {_NUMBER}")
    return "\n".join(f"- {line}" for line in said)


def incentive_columns(rules: Rules | None, *names: str) -> dict[str, Col]:
    """Which of these columns have the rules, under which heading and unit? Those of no component or formula drop out.

    base, room, and of each component its value (rise, number) and its deviation (level_deviation …).
    """
    if rules is None:
        return {}
    weighed = {name for name in COMPONENT_NAMES if any(item.weights[name] for item in rules.indicators)}
    shown = {"base": Col("素点", "number", 0 if all(item.base % 1 == 0 for item in rules.indicators) else 1)}
    if "rise" in weighed:
        shown["rise"] = Col(_HEADINGS[rules.rise], "number", 1, absent="使わない")
        if rules.rise == "room":
            shown["room"] = Col("伸びしろ(100－前年度)", "percent", absent="使わない")
    if "number" in weighed:
        shown["number"] = Col("件数上昇率(%)", "number", 1, absent="使わない")
    for name in weighed:
        shown[f"{name}_deviation"] = Col(f"{COMPONENT_NAMES[name]}の偏差値", "number", 1, absent="使わない")
    return {name: shown[name] for name in names if name in shown}


def assumed_text(rules: Rules) -> str:
    """How many of the definitions behind the points rest on no public document? A sentence of the 要約."""
    assumed = sum(row.status == ASSUMED for row in rules.used)
    doubt = (
        f"配分と得点の計算式の定義{len(rules.used)}のうち{assumed}は公表資料で確かめられていない仮定で、"
        if assumed
        else ""
    )
    return f"{doubt}点数は制度の正式な得点ではありません。"


def _status(rules: Rules, id_: str) -> str:
    return next(row.status for row in rules.used if row.id == id_)


def _shares(item: Indicator) -> str:
    parts = [f"{COMPONENT_NAMES[name]}{100 * weight:g}%" for name, weight in item.weights.items() if weight]
    return f"{item.label} {item.base:g}点({'・'.join(parts)})"
