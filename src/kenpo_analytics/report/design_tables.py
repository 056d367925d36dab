"""How are the results of an evaluation laid out? One place for the tables that two notebooks share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.errors import ParameterError
from kenpo_analytics.evaluation.states import LABELS
from kenpo_analytics.evaluation.trial_record import SHORT
from kenpo_analytics.report._emit import emit_html
from kenpo_analytics.report._format import Col
from kenpo_analytics.report.designs import COVARIATES, ERAS, SENT
from kenpo_analytics.report.record import _table
from kenpo_analytics.report.tables import show
from kenpo_analytics.report.texts import paragraph

GROUPS = {
    "before": "事業前の対象者", "sent": "送付あり", "not_sent": "送付なし(予定日に送れた人)",
    "gone": "予定日までに外れた人・予定の記録のない人",
}  # fmt: skip
LEFT_OUT = {
    "sent": "比べる: 送付した", "not_sent": "比べる: 辞退・住所不備・不達", "no_plan": "除く: 通知の予定の記録がない",
    "gone": "除く: 予定日までに資格喪失か新しい健診",
}  # fmt: skip
POWER = {"detectable": "この人数で検出できる最小の差", "needed": "この差の検出に要る人数"}
ITEMS = COVARIATES | {"persons": "人数(値の有無を問わない)", "age": "年度末年齢(歳)", "male": "男性の割合"}
FINE = ("%", "cm")
"""Units of HbA1c and height, whose effects two decimals would round to nothing."""
SUBGROUPS = {"sex": "性別", "age_group": "年齢", "bmi_group": "肥満", "repeat": "以前の通知"}
SUBGROUP_VALUES = {"F": "女", "M": "男", "true": "あり", "false": "なし", "True": "あり", "False": "なし"}


def _effect(digits: int = 2, label: str = "推定") -> dict[str, Col]:
    return {"estimate": Col(label, "index", digits), "lower": Col("95%信頼区間", "index", digits, upper="upper")}


def _contrast(one: str, other: str) -> dict[str, Any]:
    columns: dict[str, Any] = {"item": Col("項目", names=ITEMS)}
    for side, name in (("one", one), ("other", other)):
        columns |= {f"n_{side}": f"{name} 人数", f"mean_{side}": Col(f"{name} 平均", "number", 2),
                    f"sd_{side}": Col(f"{name} SD", "number", 2)}  # fmt: skip
    return columns | {"smd": Col("標準化差", "index", 2)}


_TABLES: dict[str, tuple[str, dict[str, Any], str]] = {
    "bands": ("帯ごとの人数・通知・値(差の差のもと)", {
        "era": Col("時期", names=ERAS), "band": "空腹時血糖の帯(mg/dL)", "n": "人数", "letters": "送付した人",
        "observed": "次回健診の値あり", "seen": Col("同 割合", "percent"),
        "days": Col("通知から次回健診(日、中央値)", "number", 0), "y0": Col("健診の平均", "number", 1),
        "change": Col("平均変化", "index", 2),
    }, "平均変化は単純な前後の差で、効果ではない。全員には送付していない分、差の差は届いた人の効果より小さく出る。"
       "値のある割合が群によって違うと、残った人の顔ぶれの違いが差に混ざる(7章の転換点)。通知から次回健診までの日数は、"
       "送らなかった人では送るはずだった日(同じ月の健診の中央値)から数える。"),
    "falsify": ("何も見つからないはずの比較", {
        "label": "もし見つかれば", "item": Col("項目", names=COVARIATES), **_effect(),
        "detectable": Col("見つけられた大きさ", "number", 2), "p": Col("p", "p"),
        "p_holm": Col("p(Holm補正)", "p"), "alarm": "判定", "reason": "評価しない理由",
    }, "0のはず。「警告」(同じ種類の中でHolm補正しp<0.05)の行があれば、差の差・差の不連続の前提が崩れている"
       "おそれがあり、それが主解析のときは効果を結論しない。"
       "「注意」は補正前のp<0.05。「―」は評価していない(問題がないという意味ではない)。"
       "前提どおりの合成の世界でも、4回に1回ほど「警告」が出た(docs/evaluation.md)。人数の偏りの行の値は比の対数、健診機関の行のpは2mg/dLを超えるずれかどうか。"
       "「見つけられた大きさ」より小さいずれは、あっても見逃すことが多い(検出力80%)。"),
    "bandwidths": ("差の不連続: 幅の影響", {
        "bandwidth": Col("幅(mg/dL)", "number", 0), **_effect(), "persons": "基準値以上の人数",
    }, "主な値は9。9を超える幅は保健指導の線(100)をまたぐ。「―」は片側の人数が足りず推定しない。"),
    "cutoffs": ("差の不連続: 偽の基準値", {
        "cutoff": Col("偽の基準値", "number", 1), "bandwidth": Col("幅", "number", 0), **_effect(),
        "reason": "推定しない理由",
    }, "何も変わらない値では0のはず。"),
    "controls": ("陰性対照(通知で動くはずのない結果)", {
        "label": "結果", "design": "設計", **_effect(3), "persons": "人数",
    }, "0のはず。0から外れれば、その設計の前提を疑う。"),
    "expected": ("平均への回帰: 見込まれる変化と実際の変化", {
        "what": "変化", **_effect(label="空腹時血糖の変化(mg/dL)"), "persons": "人数",
    }, "高い値で選ばれた人は、通知がなくても下がる。1・2行目と同じくらいの低下は、通知の効果とはいえない。"),
    "states": ("対象者の次回健診の状態: どうなったか、なぜ数えないか", {
        "group": Col("群", names=GROUPS), "label": "状態", "n": "人数(延べ)", "estimate": Col("割合", "percent"),
    }, "分母は基準に当たった人全員(全年度)。主解析は服薬の有無を問わず測定値を使い、所定の期間(3章)の値だけを数える。"
       "新たに服薬した人は、値によらず1つの状態とする。"),
    "moves": ("初めて通知を送った人の、前年と通知後の改善・悪化(空腹時血糖の区分。単純前後比較)", {
        "label": "結果", "n": "人数", "before": Col("通知の前年", "percent"), "after": Col("通知の後", "percent"),
        "estimate": Col("差(ポイント)", "points", 1), "lower": Col("95%信頼区間", "points", 1, upper="upper"),
        "p": Col("p", "p"),
    }, "同じ人の2年分の動き(McNemar検定、最後の行は3区分の分布のStuart–Maxwell検定)。高い値の年に選ばれた人なので、"
       "通知がなくても前年は悪化、翌年は改善が多くなる。参考値であり、通知の効果ではない。"),
    "evalue": ("E値: 測っていない要因で説明するには、どれほど強い関係が要るか", {
        "label": "設計", "point": Col("推定値を説明するE値", "number", 2),
        "limit": Col("区間を0に届かせるE値", "number", 2),
    }, "通知と次回健診の値の両方に、この倍率(リスク比)以上の関係をもつ未測定の要因があれば、結果を説明できる(平均の差は"
       "標準偏差で割り、リスク比 exp(0.91×差) とみなす)。区間のE値の1は、区間がすでに0を含む"
       "ことで、それ以上の情報はない。差の差では、時期で変わらない要因は打ち消されるため計算しない。"),
    "cost": ("費用と、あと何人", {
        "item": "項目", "estimate": Col("値", "number", 0), "lower": Col("95%信頼区間", "number", 0, upper="upper"),
        "letters": "送付した人(延べ)", "reason": "示さない理由",
    }, "改善した割合の差(標準化)から計算。差の区間が0を含むときは示さない。"),
    "tipping_primary": ("差の差の転換点: 対象の帯で次回健診のない人の値を動かす", {
        "delta": Col("動かす大きさ(mg/dL)", "index", 0), **_effect(), "excludes_zero": "区間が0を含まない",
    }, "0の行は、次回健診の有無が帯・時期・調整した項目だけで決まるとき(MAR)。差の差の結論が変わる大きさが、"
       "ありえない大きさかを読む。"),
    "cells": ("表1 差の差が比べる4つの群の背景(健診時。事業の年度と事業前)", {
        "group": "空腹時血糖の帯(mg/dL)", **_contrast("事業の年度", "事業前"),
    }, "次回健診のない人も含む。標準化差は(事業の年度-事業前)÷標準偏差。絶対値0.1を超えると、帯の人の顔ぶれが"
       "事業の前後で違うとみなすのが通例。差の差が前提とするのは、2つの帯で同じだけ動くことで、この差が0であることではない。"),
    "sent": ("表1 対象者の中の、送付あり・なしの背景(健診時)", _contrast("送付あり", "送付なし"),
             "送付なしは、予定日に送ることのできた人のうち、辞退・住所不備・不達。絶対値0.1を超えると、背景が違うとみなすのが通例。"
             "重み付けの後に残る差は6.3の図。"),
    "lost": ("対象者の中の、送付あり・なし別の次回健診の有無(欠測)", {
        "letter": Col("通知", names=SENT),
        "outcome_state": Col("次回健診", names=LABELS | {"observed": "値あり"}), "n": "人数", "denominator": "分母",
        "share": Col("割合", "percent"),
    }, "脱落の重み(IPTW×IPCW)のもと。期間の終わっていない人は除く。"),
    "draws": ("割付の一覧", {
        "draw": Col("回", "plain", 0), "day": "引いた日", "seed": "種", "persons": Col("割り付けた人", "count"),
        "again": "うち前の回でも割り付けた人", "digest": f"指紋(先頭{SHORT}文字)",
    }, "前の回でも割り付けた人は、最初の割付で数える。指紋が送付の前に控えたものと同じなら、その回の割付も日時も"
       "後から書き換えられていない。"),
    "arms": ("割り付けた群の人数", {
        "label": "群", "drawn": "割り付けた人", "late": "除く(割付前に通知か結果)",
        "without": "除く(評価できる健診なし)",
        "n": "比べる人", "letters": "うち送付", "observed": "次回の値あり", "mixed": "結果より前に通知",
    }, "割り付けどおりに数える(割り付けた人は、除く人と比べる人の計)。"
       "比べるのは、対象の健診があり、自分の割付より前に通知も次回健診もない人(どちらの群でも"
       "同じ)。「結果より前に通知」は、次回の値のある人のうち。遅らせる割付では、"
       "どちらの群の次回健診も、先に送る群の送付日から数える。後で送る群に「結果より前に通知」した人がいる分、"
       "送ることと送らないことの差ではなく、早く送ることと遅く送ることの差になる。"),
    "left_out": ("送付・不送付の比較に入る人と、除く人", {
        "state": Col("区分", names=LEFT_OUT), "n": "人数(延べ)",
    }, "通知の予定日に加入していて、その健診より新しい健診がなかった人だけを比べる。予定日までに外れた人は通知を"
       "受けようがなく、加えると「送付」が「在籍し続けたこと」を意味してしまう(不死時間の偏り)。"),
    "tipping": ("対象者の中の比較(副次)の転換点: 送付ありで次回健診のない人の値を動かす", {
        "delta": Col("動かす大きさ(mg/dL)", "index", 0), **_effect(), "excludes_zero": "区間が0を含まない",
    }, "0の行は、次回健診の有無が調整した項目だけで決まるとき(MAR)。これは差の差の転換点ではない。"),
    "weights": ("IPTW×IPCWの重み", {
        "mean": Col("平均", "number", 2), "largest": Col("最大", "number", 1), "persons": "人数",
        "effective": Col("有効な人数", "number", 0),
    }, "最大の重みが大きいほど、少数の人に推定が左右される。"),
    "residuals": ("残差の自己相関", {
        "lag": Col("ずらす月数", "plain", 0), "autocorrelation": Col("自己相関", "index", 2),
        "limit": Col("±の目安", "number", 2), "phi": Col("AR(1)の係数", "number", 2),
    }, "目安を超える自己相関が残るときは、区間が狭すぎるおそれがある。"),
    "dates": ("何も始まっていない月での水準の変化", {
        "month": Col("偽の開始月", "month"), **_effect(), "excludes_zero": "0を含まない",
    }, "0のはず。"),
    "strata": ("層ごとの結果", {
        "stratum": Col("層", names=SUBGROUP_VALUES), "exposed_events": "送付あり: 改善", "exposed": "送付あり",
        "share": Col("割合(あり)", "percent"),
        "control_events": "送付なし: 改善", "control": "送付なし", "share_control": Col("割合(なし)", "percent"),
        "estimate": Col("オッズ比", "number", 2), "lower": Col("95%信頼区間(正確)", "number", 2, upper="upper"),
    }, "オッズ比は条件付き最尤法。"),
    "misclassified": ("外国人の回収のオッズ(日本人を1とする): 氏名による判定が誤るとしたら", {
        "sensitivity": Col("感度(外国人のうちカタカナだけ)", "percent", 0),
        "specificity": Col("特異度(日本人のうちそうでない)", "percent", 0),
        "estimate": Col("共通オッズ比", "number", 2),
    }, "年度を層とするMantel–Haenszel法。感度・特異度は仮の値(仮定)で、回収したかどうかによらないとした。"
       "最後の行(100%・100%)が補正しない値。"),
    "power": ("次の通知を無作為に割り付けたときの検出力", {
        "question": Col("問い", names=POWER),
        "persons": Col("人数(両群)", "count"), "years": Col("今の通知で何年分", "number", 1),
        "effect": Col("差", "number", 2), "unit": "単位", "power": Col("検出力", "percent", 0),
    }, "人数は計画上の数(実在の人の集計ではない)。ばらつき、相関、次回健診の割合は、これまでの対象者による。両側5%。"),
    "subgroups": ("部分集団と交互作用", {
        "subgroup": Col("見方", names=SUBGROUPS), "value": Col("部分集団", names=SUBGROUP_VALUES), **_effect(),
        "persons": "人数", "p_interaction": Col("交互作用 p", "p"),
        "p_adjusted": Col("同(BH補正)", "p"),
    }, "部分集団の区間が0を含むかどうかではなく、交互作用の検定で違いを判断する。"),
}  # fmt: skip


OF_THE_OUTCOME = ("bandwidths", "cutoffs")


def diagnostic(name: str, shown: Mapping[str, Checked], *, title: str | None = None, digits: int = 1) -> None:
    """Show one of the tables of `disclosure.check_diagnostics`; where it could not be made, say that.

    `digits`: decimals of the outcome; its effects (`OF_THE_OUTCOME`) have one more.

    Raises
    ------
    ParameterError
        No table of this name is laid out.
    """
    if name not in _TABLES:
        raise ParameterError(f"診断の表ではありません: {name}", hint=f"使える名前: {', '.join(_TABLES)}")
    heading, columns, note = _TABLES[name]
    columns = columns | (_effect(digits + 1) if name in OF_THE_OUTCOME else {})
    if name == "cutoffs" and name in shown and (why := _same_reason(shown[name])):
        paragraph(f"{title or heading}: {len(shown[name])}通りとも推定していません({why})。")
        return
    if name not in shown or not len(shown[name]):
        paragraph(f"{title or heading}: 計算できるだけのデータがないため、示せません。")
        return
    kept = {key: col for key, col in columns.items() if not _empty(shown[name], key)}
    show(shown[name], title=title or heading, columns=kept, note=note)


def _same_reason(checked: Checked) -> str | None:
    """Six times the same refusal is one sentence."""
    reasons = {str(text).rstrip("。") for text in checked.table["reason"].to_list()}
    none = checked.table["estimate"].null_count() == len(checked.table)
    return reasons.pop() if none and len(reasons) == 1 else None


def _empty(checked: Checked, key: str) -> bool:
    """Texts that say nothing in any row take no column."""
    return key in ("reason", "item") and not any(checked.table[key].drop_nulls().to_list())


def diagnostics(shown: Mapping[str, Checked], *names: str, digits: int = 1) -> None:
    """Show those of these tables that could be made, and say nothing of the others."""
    for name in names:
        if name in shown:
            diagnostic(name, shown, digits=digits)


def design_table(
    checked: Checked, *, title: str, percent: bool = False, counted: str = "人数(延べ)", empty: str = ""
) -> None:
    """All designs in one table: role and answer, or that there is none (`assumptions` says what each rests on).

    `checked` comes from `disclosure.check_estimates` of a `Decision`'s rows; `percent` for differences of shares
    (all rest on the same assumption, which then stands under the table). `counted`: what is counted (months, debts).
    Without a design, `empty` is said instead.
    """
    if len(checked) == 0:
        paragraph(empty)
        return
    units = "、".join(checked.table["unit"].unique(maintain_order=True))
    style: tuple[Any, int] = ("points", 1) if percent else ("index", 3 if units in FINE else 2)
    columns: dict[str, Any] = {
        "label": "設計", "role_label": "位置づけ", "estimate": Col("推定", *style),
        "lower": Col("95%信頼区間", *style, upper="upper"), "persons": counted, "compared": f"比べた{counted}",
        "state_label": "可否",
    }  # fmt: skip
    if percent and "p_adjusted" in checked.table.columns:
        columns["p_adjusted"] = Col("p(BH補正)", "p")
    same = f"。前提: {checked.table['assumption'][0]}" if checked.table["assumption"].n_unique() == 1 else ""
    side = "。マイナスは通知のほうが低い" if units == "mg/dL" else ""
    units = f"単位は{'ポイント(割合の差)' if percent else units}{side}{same}"
    twice = "人数は、2つの年度で比べる人を2人と数える(延べ)。" if "延べ" in counted else ""
    near = "" if checked.public else f"{counted.split('(')[0]}は、ほかの行との差が小さいと伏せることがある。"
    show(checked, title=title, columns=columns, note=f"{units}。{twice}{near}")


def assumptions(checked: Checked, *, title: str = "設計ごとの前提と、推定しない理由") -> None:
    """What must hold for each design, and why did some give no answer? One row per assumption, its designs together."""
    wanted = ["estimand", "assumption", "label", "state_label", "reason", "warning"]
    rows = checked.table.select(name for name in wanted if name in checked.table.columns).to_dicts()
    shared: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        state = row["state_label"] + (f": {row['reason']}" if row["reason"] else "")
        state += f"。注意: {row['warning']}" if row.get("warning") else ""
        shared.setdefault((row.get("estimand") or "―", row["assumption"], state), []).append(row["label"])
    body = [(_several(labels), *texts) for texts, labels in shared.items()]
    emit_html(_table(title, ("設計", "何の効果か(estimand)", "前提", "可否と理由"), body), f"<表: {title}>")


def _several(labels: list[str]) -> str:
    return labels[0] if len(labels) == 1 else f"{labels[0]} など{len(labels)}設計"
