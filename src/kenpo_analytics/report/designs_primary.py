"""What is asked, and what carries the answer? The sentences of a page that hang on the declared primary design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kenpo_analytics.evaluation.did import DESIGN as DID
from kenpo_analytics.evaluation.discontinuity import DIFFERENCE
from kenpo_analytics.evaluation.suite import REPEATED
from kenpo_analytics.evaluation.trial import ARMS, KINDS
from kenpo_analytics.evaluation.trial import DESIGN as RANDOMISED
from kenpo_analytics.evaluation.trial_arms import of_versions, sides
from kenpo_analytics.evaluation.trial_record import SHORT, day_text
from kenpo_analytics.report.record import EMPTY

if TYPE_CHECKING:
    from kenpo_analytics.evaluation.choices import Choice
    from kenpo_analytics.evaluation.estimate import Estimate
    from kenpo_analytics.evaluation.protocol import Protocol

WITHIN = ("ancova", "iptw", "aipw", "iptw_ipcw")
"""Primary designs that compare people who were sent a letter with others who were not."""
UNITS = {"workplace_id": "事業所", "institution": "健診機関", "municipality": "市町村"}
"""What whole groups are called that lots were drawn for (`trial.assign`, unit)."""
_POLICY = "薬を始めたかによりません(治療方針どおりの効果、treatment policy)"
_READ = f"読んだか、{_POLICY}"
_FIRST = "初めての通知を主とします"
_REPEATED = "再度の通知を含みます(初めて通知を受ける人を、事業の前後で同じ基準で選べないため)"
_REACH = {
    DID: f"実際に送ったか(割合は5.1)、届いたか、{_READ}。{_FIRST}",
    DIFFERENCE: f"基準値から離れた人での効果ではありません。実際に送ったか、届いたか、{_READ}。{_FIRST}",
    RANDOMISED: f"割り付けた全員を割り付けどおりに数え、実際に送ったか、届いたか、{_READ}",
    **dict.fromkeys(WITHIN, f"{_READ}。{_FIRST}"),
}
_BY_FPG = (
    "空腹時血糖だけで通知の有無が決まる人に限ります(「及び」の年度はHbA1c {hba1c}以上、「または」の年度は{hba1c}未満)。"
)
_MADE = {
    DID: "差の差(DiD): 基準値の上下の帯 × 事業の前後。予備群の下限に届かない帯の人の動きを引き、"
    "年度による違いを除きます。" + _BY_FPG,
    DIFFERENCE: "差の不連続: 基準値のすぐ上とすぐ下の人の次回健診の値の段差から、事業前の段差を引きます"
    "(図と幅の影響は6.2)。" + _BY_FPG,
    RANDOMISED: "くじで決めた2群を、割り付けどおりに比べます。基準値の上下や事業の前後は使いません。",
    **dict.fromkeys(
        WITHIN,
        "対象者の中で、送付し届いた人と、辞退・住所の不備・不達で届かなかった人を、背景をそろえて比べます"
        "(比べる人、背景、重なりは6.3)。",
    ),
}
_OTHER = (
    "この節の帯ごとの人数、平均変化、年次図は、感度分析である差の差(基準値の上下の帯 × 事業の前後)のもので、"
    "主解析のものではありません。"
)


def purpose_text(primary: Estimate) -> str:
    """What is asked, and of whom? The primary design's estimand and the other quantities of the page."""
    within = "対象者の中の比較({}。別の量で、まとめる全年度): 送付し届いたことの効果。"
    within += "事業所の辞退・住所の不備・不達で届かなかった人と比べます。"
    aim = "予備群への通知(リーフレット)が、次回健診の空腹時血糖を下げたか"
    if (arms := sides(primary)) and of_versions(primary):
        aim = f"予備群への通知(リーフレット)の2つの版({arms[0]}と{arms[1]})で、次回健診の空腹時血糖が違うか"
    lines = [
        f"目的: {aim}を推定します。",
        f"主なestimand(主解析: {primary.label}): {_plain(primary.estimand)}。{_reach(primary)}。"
        f"{'自分の割付より前に通知か結果のあった人は、どちらの群でも除きます。' if any_early(primary) else ''}"
        "estimandは「だれへの、何の効果を推定するか」です。",
    ]
    if primary.design not in WITHIN:
        lines.append(within.format("感度分析"))
    if primary.design != DID:
        lines.append("差の差(感度分析。別の量): 事業の時期に通知の対象の帯にいたことの効果。")
    lines += [
        "副次: 改善・悪化した人の割合の差、糖尿病型または新たな服薬を悪化とみる複合評価。",
        "主解析は1つで、解析計画(protocol.toml)で決めます。計画がないときは、事後選択と明記します。",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _reach(primary: Estimate) -> str:
    """Of which letters is it the effect? First-ever ones, unless those could not be picked in both eras."""
    text = _REACH[primary.design]
    return text.replace(_FIRST, _REPEATED) if any(REPEATED in said for said in primary.warnings) else text


def any_early(one: Estimate) -> bool:
    """Was anybody left out of a comparison of lots for a letter or an outcome before them?"""
    arms = one.diagnostics.get("arms")
    return arms is not None and "late" in arms.columns and bool(arms["late"].sum())


def _plain(estimand: str) -> str:
    """Without the remark in brackets that the next sentence spells out."""
    return estimand.removesuffix("(実際に送ったかによらない)")


def primary_text(primary: Estimate, hba1c: float) -> str:
    """How does the primary design compare, and whose are the tables around it? `hba1c`: where the letter begins."""
    made = _MADE[primary.design].format(hba1c=f"{hba1c:.1f}")
    if primary.state != "estimated":
        made += f"ただし、この報告では推定できません({(primary.reason or '').rstrip('。')})。"
    return made if primary.design == DID else f"{made}\n\n{_OTHER}"


def side_text(primary: Estimate) -> str:
    """What does a minus sign of the primary estimate mean?"""
    if (arms := sides(primary)) is None:
        return "マイナスは、通知のほうが次回健診の値が低いこと。"
    return f"マイナスは、{arms[0]}のほうが{arms[1]}より次回健診の値が低いこと。"


def carried_by_lots(primary: Estimate) -> bool:
    """Is the answer that of lots (無作為割付), and was there one?"""
    return primary.design == RANDOMISED and primary.state == "estimated"


def primary_note(primary: Estimate) -> str:
    """What stands under the primary estimate: its sign, the years of the figure below, how the interval was made."""
    interval = f"区間: {primary.method}。" if primary.method else ""
    return f"{side_text(primary)}年次図は再度の通知を含む全年度、主解析は計画の年度だけ。{interval}"


def one_year_text(choice: Choice) -> str:
    """What can a figure not tell with one year before the programme? Empty with more years, or none."""
    if len(choice.before) != 1:
        return ""
    return "年次図の事業前は1年度だけのため、事業の前から平行に動いていたかは読めません。"


def bands_name(choice: Choice) -> str:
    """What are the people of both bands on this page: the primary analysis', or a sensitivity analysis'?"""
    return "主解析" if choice.primary == DID else "差の差(感度分析)"


def subject_text(choice: Choice, draws: Sequence[Mapping[str, Any]] = ()) -> str:
    """What is the conclusion about? The letters with their year, and the arms where lots carry it."""
    years = "、".join(str(year) for year in choice.programme)
    said = f"{years}年度の健診にもとづく通知"
    if choice.primary != RANDOMISED or not draws:
        return said
    first, second = (ARMS[arm] for arm in KINDS[draws[0]["kind"]])
    return f"{said}の割付({first}群と{second}群の差)"


def next_trial(choice: Choice) -> str:
    """What would need no assumptions? One sentence, empty where the page already is such a trial."""
    if choice.primary == RANDOMISED:
        return ""
    return (
        "次の通知を無作為に割り付ける(先に送る・後で送る、または2種類のリーフレット)と、前提の要らない比較ができます。"
        "検出力の表は06の8章、割付は `kenpo randomise` です。"
    )


def ids_text(plan: Protocol | None, draws: Sequence[Mapping[str, Any]]) -> str:
    """Who approved, and where is it registered? As plan and records say, with the source where there is a record."""
    words = (("倫理審査", "ethics_id"), ("登録", "registration_id"))
    return "、".join(f"{word}: {_id_told(plan, draws, name)}" for word, name in words)


def approval(plan: Protocol | None, draws: Sequence[Mapping[str, Any]]) -> str:
    """Who approved, for the table of the run (`report.reproduction`, ethics)? As section 1 says it."""
    told = _id_told(plan, draws, "ethics_id")
    return f"{EMPTY}(解析計画 protocol.toml の ethics_id に書く)" if told == EMPTY else told


def _id_told(plan: Protocol | None, draws: Sequence[Mapping[str, Any]], name: str) -> str:
    held = [(getattr(plan, name, ""), "解析計画"), *((told.get(name, ""), "割付の記録") for told in draws)]
    told = [f"{value}({source})" if draws else value for value, source in dict.fromkeys(held) if value]
    return "、".join(told) or EMPTY


def draw_text(draws: Sequence[Mapping[str, Any]]) -> str:
    """How and when was it drawn, and by which fingerprint can a reader tell? `draws`: `trial.read_record` of each."""
    draw, arms = draws[0], "・".join(ARMS[arm] for arm in KINDS[draws[0]["kind"]])
    how = f"まとまり({UNITS.get(draw['unit'], draw['unit'])})ごと" if draw["unit"] else "1人ずつ"
    strata = {"、".join(told["strata"]) for told in draws} - {""}
    how += f"、層: {' / '.join(sorted(strata))}" if strata else ""
    if len(draws) > 1:
        return (
            f"割付の記録: {day_text(draw)}から{day_text(draws[-1])}までに{len(draws)}回引いた"
            f"{arms}({draw['kind']})の割付(事業 {draw['programme']}、{how})。"
            "回ごとの日・種・人数・指紋は「割付の一覧」の表にある。2回以上引かれた人は最初の割付で数え、くじは回ごとに引かれたため、"
            f"{'回で調整する' if draw['unit'] else '層には回を含める'}"
        )
    return (
        f"割付の記録: {day_text(draw)}に引いた{arms}({draw['kind']})の割付"
        f"(事業 {draw['programme']}、種 {draw['seed']}、{how})。指紋 {draw['digest'][:SHORT]}(先頭{SHORT}文字。"
        "送付の前に控えたものと同じなら、割付も日時も後から書き換えられていない)"
    )
