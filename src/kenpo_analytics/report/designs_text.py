"""How was it done, and how far does it reach? Methods and limits in words, from the designs that were really run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kenpo_analytics.definitions.words import RULES
from kenpo_analytics.disclosure import check_estimates
from kenpo_analytics.evaluation._matrix import UNEVEN
from kenpo_analytics.evaluation._wild import FEW_CLUSTERS
from kenpo_analytics.evaluation.attrition import CLIP
from kenpo_analytics.evaluation.did import DESIGN as DID
from kenpo_analytics.evaluation.discontinuity import DIFFERENCE
from kenpo_analytics.evaluation.estimate import as_rows
from kenpo_analytics.evaluation.trial_arms import DESIGN as RANDOMISED
from kenpo_analytics.evaluation.trial_arms import sides
from kenpo_analytics.evaluation.trial_record import KINDS
from kenpo_analytics.evaluation.weighting import CALIPER, TRIM
from kenpo_analytics.report.designs import COVARIATES
from kenpo_analytics.report.designs_primary import WITHIN, any_early, draw_text, ids_text

if TYPE_CHECKING:
    import datetime as dt

    from kenpo_analytics.disclosure import Checked
    from kenpo_analytics.evaluation.choices import Choice
    from kenpo_analytics.evaluation.diagnose import Checks
    from kenpo_analytics.evaluation.estimate import Estimate

_HOW = {
    "randomised": "無作為割付による比較は、割り付けたとおりの2群の次回健診の値を、"
    "{drawn}で調整した{fitted}で比べた"
    "(送付の有無によらない。どちらの群の次回健診も、同じ日から数えた: 割付の回と健診の月ごとの、{first}の"
    "送付日(送らなかった人は予定日)の中央値。割付より前の通知は使わない)",
    "naive": "通知を送った人の次回健診までの平均変化(単純前後比較の1つ。t分布)は、平均への回帰を含むため"
    "参考値とした",
    "pseudo_cohort": "事業前に同じ基準で選んだ人との差(共分散分析)は、平均への回帰を除くが、年度による違いを"
    "除かないため参考値とした",
    "did_ancova": "差の差は、基準値の上の帯({high})と下の帯({low})の次回健診の値を、事業の前後で比べた"
    "(帯ごとの健診値の傾きと{covariates}で調整。頑健標準誤差。届いたかどうかによらない)",
    "did_ipcw": "帯と時期の4群ごとに、在籍と受診の2つのロジスティック回帰で次回健診のある確率を求め"
    "({clip:g}未満は{clip:g}とし)、"
    "その逆数で重み付けした差の差で、次回健診のない人を補った",
    "did_triple": "空腹時血糖で通知が決まらない人の差の差を引いた(差の差の差)",
    "did_institution": "健診機関・事業所ごとの相関は感度分析で考慮した"
    "(まとまりが{clusters}未満ならワイルドクラスターブートストラップ)",
    "did_per_letter": "差の差を送付割合の差で割り、実際に送った人での効果とした(送付割合は既知とみなす)",
    "rdd": "不連続は、基準値の前後{width}mg/dLの局所線形回帰(三角カーネル)による。"
    "結果票の判定と重なるため、通知だけの効果ではない",
    "diff_in_disc": "差の不連続は、その段差から事業前の段差を引いた",
    "ancova": "対象者の中で、送付あり・なしを共分散分析で比べた",
    "iptw": "対象者の中の比較は、通知の予定日に加入し新しい健診のない人に限り、送付の確率(ロジスティック回帰)の"
    "逆数で重み付けした(確率が{trim:.0%}～{rest:.0%}の人。調整した項目: {within})",
    "aipw": "二重頑健推定(AIPW)を加えた",
    "match": "送付の確率の近い人を1対1で組にして比べた"
    "(キャリパーは、送付の確率のロジットの群内標準偏差の{caliper:g}倍)",
    "iptw_ipcw": "次回健診のない人を、資格喪失と未受診に分けた確率の逆数で補った(IPTW×IPCW)",
    "share_improved_gcomp": "改善・悪化の割合は、対象者の中のリスク差(標準化、逆確率重み付け)で示した"
    "(割合そのものの差の差は、効果がなくても0にならないため用いない)",
}  # fmt: skip
LABELS = {"did_ancova": "差の差", "diff_in_disc": "差の不連続", "iptw": "IPTW", "aipw": "AIPW", "ancova": "共分散分析",
          "iptw_ipcw": "IPTW×IPCW", "randomised": "無作為割付"}  # fmt: skip
_CHECKED = {
    "years": "年次図", "falsify": "何も見つからないはずの比較(種類ごとにHolm補正)",
    "tipping_primary": "差の差の転換点分析(多重代入{imputations}回)",
    "bandwidths": "幅の影響",
    "cutoffs": "偽の基準値",
    "balance": "標準化差",
    "overlap": "傾向スコアの重なり", "tipping": "対象者の中の比較の転換点分析(多重代入{imputations}回)",
    "controls": "陰性対照",
    "subgroups": "交互作用の検定(Benjamini–Hochberg補正)",
}  # fmt: skip


def methods(
    estimates: Sequence[Estimate],
    choice: Choice,
    checks: Checks,
    *,
    outcome: str = "次回健診の空腹時血糖",
    exploring: Collection[str] | None = None,
) -> str:
    """Which methods were used? Only those that gave an estimate, and the checks that could be made.

    `exploring`: on a page that only tries out (06), the checks that it shows: no others are named, nothing is primary.
    """
    run = {one.design for one in estimates if one.state == "estimated"}
    high, low = (f"{band[0]:g}～{band[1]:g}mg/dL" for band in (choice.high, choice.low))
    days, months = choice.window
    window = (
        "次回健診は、通知の日(送った人は送付日(なければ予定日)、送らなかった人は予定日、予定もない人は同じ月の健診の人の通知の日の"
        f"中央値)から{days}日以上あとで、健診から{months}か月以内の最初の健診とし、それより前の健診だけの人は数えない。"
    )
    used = {"high": high, "low": low, "width": f"{choice.bandwidth:g}"} | _adjusted(estimates)
    said = [text.format(**used) for name, text in _HOW.items() if name in run]
    missing = (
        "調整する項目の値がない人は、平均で埋めて欠測の印を項目に加えた。年度による欠測の割合の違いが"
        f"{UNEVEN:.0%}を超える項目は用いない。"
    )
    primary = next((one for one in estimates if one.design == choice.primary), None)
    first = (
        f"本評価は{'無作為割付試験' if _drawn(primary) else '後ろ向き観察研究'}である。主要評価項目は{outcome}、"
        f"主解析は{primary.label if primary else choice.primary}"
        f"({_compared(choice)}。通知の基準は「{RULES[choice.rule]}」)とした。"
    )
    if exploring is not None:
        first = (
            f"このページは探索で、主解析を置かない。比べる値は{outcome}、対象は{_listed(choice.years)}の健診にもとづく通知"
            f"(通知の基準は「{RULES[choice.rule]}」。事業前の年度は{_listed(choice.before) or 'なし'})とした。"
        )
    elif primary is not None and primary.state != "estimated":
        first += f"ただし、主解析は推定できなかった({(primary.reason or '').rstrip('。')})。"
    named = {name: text for name, text in _CHECKED.items() if exploring is None or name in exploring}
    looked = [text.format(imputations=checks.imputations) for name, text in named.items() if _gave(checks, name)]
    last = f"前提の確認として{'、'.join(looked)}を調べた。" if looked else ""
    level = next((one.level for one in estimates if one.state == "estimated"), 0.95)
    last += f"区間は{level:.0%}信頼区間、検定は両側。"
    last += "結論は主解析だけによる。" if exploring is None else "どの設計からも結論は述べない。"
    return f"{first}{window}{'。'.join(said)}。{missing}{last}"


def _compared(choice: Choice) -> str:
    """Who is compared with whom by the primary design, in which years? Only the bands and the jump look before."""
    years = f"{_listed(choice.programme)}の健診"
    if choice.primary == RANDOMISED:
        return f"{years}。割り付けた2群を比べる"
    if choice.primary in WITHIN:
        return f"{years}。通知の対象者の中で、送付し届いた人と届かなかった人を比べる"
    return f"{years}を、事業前の{_listed(choice.before)}と比べる" if choice.before else f"{years}。事業前の年度はない"


def _drawn(primary: Estimate | None) -> bool:
    return primary is not None and primary.design == RANDOMISED and primary.state == "estimated"


def _adjusted(estimates: Sequence[Estimate]) -> dict[str, Any]:
    """What each model was really adjusted for, and the limits that its weights were kept within."""
    held = {one.design: one.diagnostics for one in estimates if one.state == "estimated"}
    drawn = held.get(RANDOMISED, {})
    tables = {
        "covariates": held.get("did_ancova", {}).get("adjusted"),
        "within": held.get("iptw", {}).get("balance"),
        "drawn": drawn.get("adjusted"),
    }
    words = {**COVARIATES, "stratum": "割付の層", "draw": "割付の回"}
    names = {
        key: "なし" if table is None else "、".join(words.get(name, name) for name in table["covariate"])
        for key, table in tables.items()
    }
    arms = drawn["arms"]["assigned"] if "arms" in drawn else ()
    names["fitted"] = next((one.method for one in estimates if one.design == RANDOMISED), "")
    names["first"] = "先に送る群" if KINDS["delay"][0] in arms else "両群"
    return {**names, "clip": CLIP, "trim": TRIM, "rest": 1 - TRIM, "caliper": CALIPER, "clusters": FEW_CLUSTERS}


def _gave(checks: Checks, name: str) -> bool:
    """Did the check give at least one number?"""
    table = checks.tables.get(name)
    return table is not None and ("estimate" not in table.columns or table["estimate"].count() > 0)


def limits(estimates: Sequence[Estimate], choice: Choice, checks: Checks, *, exploring: bool = False) -> str:
    """What may not be concluded? From what was run, what was refused, and what could not be checked.

    `exploring`: on a page that only tries out (06) nothing is primary.
    """
    return "\n".join(f"- {line}。" for line in _limits(estimates, choice, checks, exploring))


def _limits(estimates: Sequence[Estimate], choice: Choice, checks: Checks, exploring: bool) -> Iterator[str]:
    run = {one.design: one for one in estimates if one.state == "estimated"}
    others = "主解析のほかの設計は" if _drawn(run.get(choice.primary)) and not exploring else ""
    others = "無作為割付による比較のほかの設計は" if not others and RANDOMISED in run else others
    yield f"{others}無作為割付ではないため、測っていない要因(生活習慣、職場の取組など)による違いが残りえます"
    yield from applies_to(choice)
    if primary := run.get(choice.primary):
        yield f"{primary.label if exploring else '主解析'}の前提: {primary.assumption}。データだけでは確かめきれません"
    if RANDOMISED in run and any_early(run[RANDOMISED]):
        yield (
            "割付より前に通知を送っていた人と結果が得られていた人は、両群とも無作為割付による比較から除きました"
            "(くじより前の事実なので、除いても群の間に偏りは生じません。人数は「割り付けた群の人数」の表)"
        )
    if {"rdd", "diff_in_disc"} & set(run):
        yield "不連続による推定は、基準値ちょうどの付近の人についてだけの値です"
    if {"iptw", "aipw", "match", "ancova"} & set(run):
        yield "対象者の中の比較は、送付されなかった理由(事業所の辞退、住所の不備など)が値と関係しないことを前提とします"
    if "did_every" in run and len(choice.years) > len(choice.programme):
        yield "全年度をまとめた値は、再度の通知を受けた人を含むため、初めての通知の効果とは違う量です"
    if "iptw_ipcw" in run:
        yield "次回健診を受けない理由がその値そのものに関係するとき、重み付けでは直せません(転換点の表を参照)"
    without: dict[str, list[str]] = {}
    for one in estimates:
        if one.state != "estimated" and one.reason:
            without.setdefault(one.reason.rstrip("。"), []).append(one.label)
    for reason, labels in without.items():
        yield f"{labels[0]}{f' など{len(labels)}設計' if len(labels) > 1 else ''}: {reason}"
    yield from (text.rstrip("。") for text in (*checks.unchecked, *choice.departures))


def applies_to(choice: Choice) -> list[str]:
    """Is what was evaluated still what is sent? One sentence where year or rule have changed since, else none."""
    if choice.latest is None or choice.latest[0] in choice.programme:
        return []
    year, rule = choice.latest
    changed = f"基準も「{RULES[choice.rule]}」から「{RULES[rule]}」に変わっており、" if rule != choice.rule else ""
    return [
        f"評価したのは{_listed(choice.programme)}の健診にもとづく通知である。{changed}今の通知({year}年度の健診)の効果が同じとは限らない"
    ]


def people_seen(shown: Mapping[str, Checked], primary: str, estimates: Sequence[Estimate]) -> str:
    """How many people were seen again, and how many were they compared with? Each counts once for every year compared.

    What is masked in the tables of arms, bands or designs is not told; empty where the primary design has no answer.
    """
    one = next((one for one in estimates if one.design == primary), None)
    if one is None or one.state != "estimated":
        return ""
    if (primary == RANDOMISED and (told := _arms_seen(shown))) or (primary == DID and (told := _bands_seen(shown))):
        return told
    rows = check_estimates(as_rows(estimates), by=["design"], main={"design": primary}).table.to_dicts()
    row = next(row for row in rows if row["design"] == primary)
    if row["persons"] is None or row["compared"] is None:
        return "比べた人数は、わずかな人数が分かるため秘匿"
    arms = sides(one)
    first, second = arms or _SIDES[primary]
    twice = "" if arms else "(延べ)"  # nobody is in both arms, or twice in one
    return f"次回の値がある人は、{first}{row['persons']:,}人と{second}{row['compared']:,}人{twice}"


_SIDES = {
    DID: ("対象", "下の帯と事業前の3群の計"),
    DIFFERENCE: ("事業の年度の基準値以上", "基準値未満と事業前の計"),
    **dict.fromkeys(WITHIN, ("送付し届いた", "届かなかった")),
}


def _arms_seen(shown: Mapping[str, Checked]) -> str:
    rows = shown["arms"].table.to_dicts() if "arms" in shown else []
    if not rows or any(row[name] is None for row in rows for name in ("n", "observed")):
        return ""
    return "、".join(f"{row['label']}群{row['n']:,}人のうち次回の値がある{row['observed']:,}人" for row in rows)


def _bands_seen(shown: Mapping[str, Checked]) -> str:
    rows = shown["bands"].table.to_dicts() if "bands" in shown else []
    if len(rows) != 4 or any(row[name] is None for row in rows for name in ("n", "observed")):
        return ""
    ours = next(row for row in rows if row["era"] == "programme" and row["high"])
    others = sum(row["observed"] for row in rows) - ours["observed"]
    sent = "" if ours["letters"] is None else f"(送付は{ours['letters'] / ours['n']:.0%})"
    seen = f"対象{ours['n']:,}人{sent}のうち次回の値がある{ours['observed']:,}人"
    return f"{seen}と、下の帯と事業前の3群の計{others:,}人(延べ)"


def protocol_text(
    choice: Choice,
    *,
    outcomes_from: dt.date | None = None,
    exploring: bool = False,
    draws: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Which plan does the page follow (`exploring`: none), when was it made, and where does it depart from it?

    `draws`: the records of the lots (`choices.find_draws`), printed with day, fingerprint and ids.
    """
    from kenpo_analytics.evaluation.protocol import standing

    follows = standing(choice.protocol, outcomes_from=outcomes_from, before=choice.before)
    said = [f"解析計画: {'探索のため、解析計画には従いません(事後選択)。' if exploring else follows}"]
    if plan := choice.protocol:
        said.append(f"- 解析計画のestimand: {plan.estimand}")
    if plan or draws:
        said.append(f"- {ids_text(plan, draws)}")
    if draws:
        said.append(f"- {draw_text(draws)}")
    said += [
        ("- 主解析: なし" if exploring else f"- 主解析: {LABELS.get(choice.primary, choice.primary)}")
        + f"、年度: {_listed(choice.programme)}(事業前 {_listed(choice.before) or 'なし'})",
        f"- 帯: 上 {choice.high[0]:g}～{choice.high[1]:g}、下 {choice.low[0]:g}～{choice.low[1]:g}mg/dL、"
        f"不連続の幅 {choice.bandwidth:g}mg/dL、通知の基準「{RULES[choice.rule]}」",
        f"- {'' if exploring else '感度分析で'}まとめる年度: {_listed(choice.years)}",
        *(f"- 解析計画との違い: {text}" for text in choice.departures),
    ]
    return f"{said[0]}\n\n" + "\n".join(said[1:])


def _listed(years: Sequence[int]) -> str:
    return "、".join(f"{year}年度" for year in years)
