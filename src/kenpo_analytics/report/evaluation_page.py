"""What does the evaluation's page say around its designs? Rule, windows, letters, table 1, losses and the headline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kenpo_analytics.definitions.words import RULES
from kenpo_analytics.disclosure import Checked
from kenpo_analytics.evaluation.trial_arms import sides
from kenpo_analytics.report._format import Col
from kenpo_analytics.report.design_tables import diagnostic
from kenpo_analytics.report.designs_results import tipping_text, verdict_words
from kenpo_analytics.report.tables import show, value
from kenpo_analytics.report.texts import paragraph

if TYPE_CHECKING:
    from kenpo_analytics.definitions import Definitions
    from kenpo_analytics.evaluation.choices import Choice
    from kenpo_analytics.evaluation.decide import Decision
    from kenpo_analytics.evaluation.estimate import Estimate
    from kenpo_analytics.evaluation.protocol import Protocol
    from kenpo_analytics.evaluation.two_years import Pair

_PEOPLE = Col("人数", "count", unit="人")
_ITEMS = {
    "persons": "対象者", "sex": "性別", "age": "年度末年齢(歳)", "fpg": "空腹時血糖(mg/dL)", "hba1c": "HbA1c(%)",
    "bmi": "BMI(kg/m2)", "waist": "腹囲(cm)", "sbp": "収縮期血圧(mmHg)", "dbp": "拡張期血圧(mmHg)",
    "ldl": "LDL(mg/dL)", "hdl": "HDL(mg/dL)", "tg": "中性脂肪(mg/dL)", "smoking": "喫煙",
}  # fmt: skip
_LEVELS = {
    "all": "全員", "mean": "平均", "missing": "欠測", "M": "男", "F": "女", "yes": "吸う", "past": "やめた",
    "no": "吸わない",
}  # fmt: skip


def effect_headline(primary: Checked, decision: Decision, choice: Choice) -> dict[str, tuple[Checked, Col]]:
    """The primary estimate for the run's index, with its verdict in words beside it. `primary`: its one row."""
    years = "、".join(map(str, choice.programme))
    arms = sides(decision.primary)
    what = f"割付の差({arms[0]}－{arms[1]}。" if arms else "効果("
    label = f"{years}年度の通知の{what}主解析、空腹時血糖。{verdict_words(decision.verdict, decision.primary)})"
    return {"通知の効果(主解析、空腹時血糖)": (primary, Col(label, "index", digits=2, unit="mg/dL"))}


def plan_name(plan: Protocol | None) -> str:
    """By which fingerprint is the plan known? Without a plan that is said."""
    return plan.digest if plan else "なし(事後選択)"


def cohort_text(flows: Mapping[str, Checked], rule: str, fiscal_year: int, definitions: Definitions) -> str:
    """By which values and rule are people picked, how many by either rule, and whose values could not be used?

    `flows`: name of the cohort -> its checked flow.
    """
    used = definitions.number
    fpg = f"空腹時血糖{used('prediabetes.fpg.lower'):g}以上{used('prediabetes.fpg.upper'):g}未満(mg/dL)"
    hba1c = f"HbA1c {used('prediabetes.hba1c.lower'):.1f}以上{used('prediabetes.hba1c.upper'):.1f}未満(%)"
    counts = [
        f"- {name}: 「または」で{value(flow, 'remaining', key='in_or')}人、"
        f"「及び」で{value(flow, 'remaining', key='in_and')}人"
        for name, flow in flows.items()
    ]
    unused = [f"{name} {value(flow, 'remaining', _PEOPLE, key='implausible')}" for name, flow in flows.items()]
    return (
        f"この報告で用いる基準: {fpg}「{RULES[rule]}」{hba1c}({fiscal_year}年度の健診にもとづく通知の基準)。\n\n"
        + "\n".join(counts)
        + "\n\n想定範囲の外にある検査値(単位の誤りなど)は使いません。"
        + f"使わなかった値のある人(対象の健診を受けた人のうち): {'、'.join(unused)}。"
    )


def letter_names(definitions: Definitions) -> dict[str, str]:
    """What are the states of `evaluation.letters` called? With the days from which a checkup comes after a letter."""
    days = f"{definitions.number('next_checkup.letter_days'):g}"
    return {
        "in_time": f"送付し、次回健診が{days}日以上あと",
        "late": f"送付したが、次回健診が{days}日未満のあとか送付より前",
        "sent_unseen": "送付したが、所定の期間に次回健診なし",
        "not_delivered": "届かず(不達、または事業所の辞退・住所不備で不送付)",
        "no_record": "通知の記録なし",
    }


def windows_text(definitions: Definitions) -> str:
    """Which window, dead bands and days after a letter were used? A list, from the definitions in force."""
    used = definitions.number
    months = f"{used('next_checkup.min_months'):g}～{used('next_checkup.max_months'):g}か月"
    return (
        "用いた値(用いた定義による):\n\n"
        f"- 次回健診とみなす期間: 健診から{months}\n"
        f"- 変化とみなさない幅: 空腹時血糖 ±{used('next_checkup.dead_band.fpg'):g}mg/dL、"
        f"HbA1c ±{used('next_checkup.dead_band.hba1c'):.1f}%\n"
        f"- 通知の後とみなす次回健診: 送付から{used('next_checkup.letter_days'):g}日以上あと"
    )


def baseline_tables(table_one: Checked, pair: Pair) -> None:
    """Show table 1 of the cohorts (`check_table_one`): counts and shares, then means with their spread."""
    both = "と".join(pair.years)
    shares: dict[str, Any] = {"variable": Col("項目", names=_ITEMS), "level": Col("区分", names=_LEVELS)}
    means: dict[str, Any] = {"variable": Col("項目", names=_ITEMS)}
    for group, year in pair.years.items():
        shares[f"n_{group}"] = Col(f"{year}年度 人数", "count")
        shares[f"share_{group}"] = Col(f"{year}年度 割合", "percent")
        means[f"n_{group}"] = Col(f"{year}年度 人数", "count")
        means[f"mean_{group}"] = Col(f"{year}年度 平均", "number", 2)
        means[f"sd_{group}"] = Col(f"{year}年度 SD", "number", 2)
    show(
        table_one.where(variable=["persons", "sex", "smoking"]),
        title="表1 対象者の特性(人数と割合)",
        columns=shares | {"smd": Col("標準化差", "number", digits=2)},
        note=f"{both}。割合の分母は回答・値のある人、欠測の割合の分母は全員。標準化差は2群の分布の距離(符号なし)。",
    )
    show(
        table_one.where(level="mean"),
        title="表1 対象者の特性(平均)",
        columns=means | {"smd": Col("標準化差", "index", digits=2)},
        note=f"{both}。人数は値のある人(欠測は7章)、SDは標準偏差。標準化差は(事業-事業前)÷標準偏差。"
        "絶対値0.1を超えると両群に違いがあるとみなすのが通例です。",
    )


def missing_table(table_one: Checked, pair: Pair) -> None:
    """Show how many of each cohort lack which value at the index checkup."""
    counts = {f"n_{group}": f"{group} 人数" for group in pair.years}
    show(
        table_one.where(level="missing").select(["variable", *counts]),
        title="対象となった健診の欠測",
        columns={"variable": Col("項目", names=_ITEMS), **counts},
    )


def lost_tables(shown: Mapping[str, Checked]) -> None:
    """Show what became of everybody, the weights for the lost, and from which shift on the answer would change."""
    for name in ("states", "lost", "weights", "tipping_primary"):
        diagnostic(name, shown)
    paragraph(tipping_text(shown["tipping_primary"]) if "tipping_primary" in shown else "")
    diagnostic("tipping", shown)


def lab_summary(estimates: Sequence[Estimate], unit: str) -> str:
    """How many designs of this unit gave an answer, and how many leave out 0? And that nothing follows from it."""
    same = [one for one in estimates if one.unit == unit]
    return (
        f"探索: {len(same)}通りの設計のうち、推定できたのは{sum(one.state == 'estimated' for one in same)}通り、"
        f"そのうち95%信頼区間が0を含まないのは{sum(one.shows_effect for one in same)}通りです。"
        "多くの設計を並べると、効果がなくても区間が0を外れるものが出ます。"
        "このページから効果の有無を述べることはできません。"
    )
