"""What a page says hangs on the declared primary design and on the record of the draw, not on the usual ones."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import nbformat
import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.disclosure import check_diagnostics
from kenpo_analytics.evaluation import analysis, choices, suite, trial
from kenpo_analytics.evaluation.attrition import iptw_ipcw
from kenpo_analytics.evaluation.choices import Choice
from kenpo_analytics.evaluation.decide import decide
from kenpo_analytics.evaluation.diagnose import Checks, diagnose, first_outcome
from kenpo_analytics.evaluation.estimate import Estimate, unavailable
from kenpo_analytics.evaluation.protocol import DESIGNS
from kenpo_analytics.evaluation.suite import run_designs
from kenpo_analytics.report import designs_primary as said
from kenpo_analytics.report import designs_text, record
from kenpo_analytics.report.dag import NODES, dag_figure
from kenpo_analytics.report.designs_results import where_from
from kenpo_analytics.runs.verify import verify
from tests.notebook_page import NOTEBOOKS, Page
from tests.trial_world import FACTS, data_with_a_trial

CHOICE = Choice((2018,), (2018,), (2017,), "and")
OWN = {
    "did_ancova": ("対象の帯にいたこと", "上下の帯 × 事業の前後"),
    "diff_in_disc": ("基準値ちょうどの人", "事業前の段差を引きます"),
    "randomised": ("先に送る群に割り付けたこと", "くじで決めた2群"),
} | dict.fromkeys(("ancova", "iptw", "aipw", "iptw_ipcw"), ("送付し届いたこと", "届かなかった人を、背景をそろえて"))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return data_with_a_trial(tmp_path_factory.mktemp("trial") / "data")


@pytest.fixture(scope="module")
def made(data: Path) -> analysis.AnalysisSet:
    tables = ka.load(data, month="2025-10")
    return analysis.analysis_set(
        tables.checkups, tables.members, tables.mailings, programme=[2018], before=[2017], data_through=202503,
        assignment=choices.find_draws(data, "trial").assignment,
    )  # fmt: skip


@pytest.fixture(scope="module")
def designs(made: analysis.AnalysisSet) -> list:
    return run_designs(made, replace(CHOICE, primary="randomised"))


def test_every_design_that_can_be_primary_is_tried_here() -> None:
    assert set(OWN) == set(DESIGNS)


@pytest.mark.parametrize("name", DESIGNS)
def test_purpose_and_main_section_are_those_of_the_primary_design(designs, name: str) -> None:
    primary = next(one for one in designs if one.design == name)
    estimand, how = OWN[name]
    lines = said.purpose_text(primary).splitlines()
    (main,) = [line for line in lines if line.startswith("- 主なestimand")]
    assert primary.label in main and estimand in main
    within = name in said.WITHIN
    assert any(line.startswith("- 対象者の中の比較(感度分析") for line in lines) != within
    assert any(line.startswith("- 差の差(感度分析") for line in lines) == (name != "did_ancova")
    text = said.primary_text(primary, 6.0)
    assert how in text and ("主解析のものではありません" in text) == (name != "did_ancova")
    assert said.bands_name(replace(CHOICE, primary=name)) == ("主解析" if name == "did_ancova" else "差の差(感度分析)")
    assert bool(said.next_trial(replace(CHOICE, primary=name))) == (name != "randomised")


def test_the_arms_are_named_in_subject_and_sign(designs) -> None:
    primary = next(one for one in designs if one.design == "randomised")
    choice = replace(CHOICE, primary="randomised")
    assert said.side_text(primary) == "マイナスは、先に送る群のほうが後で送る群より次回健診の値が低いこと。"
    assert said.subject_text(choice, [FACTS]) == "2018年度の健診にもとづく通知の割付(先に送る群と後で送る群の差)"
    assert said.subject_text(CHOICE, [FACTS]) == said.subject_text(choice) == "2018年度の健診にもとづく通知"
    other = next(one for one in designs if one.design == "iptw")
    assert said.side_text(other) == "マイナスは、通知のほうが次回健診の値が低いこと。"


def test_only_the_difference_in_differences_counts_four_groups(made, designs) -> None:
    """The sentence of another design must not borrow them, nor the trend of the bands."""
    shown = check_diagnostics({"bands": designs_of(designs, "did_ancova").diagnostics["bands"]})
    for name in DESIGNS:
        told = designs_text.people_seen(shown, name, designs)
        assert ("3群" in told) == (name == "did_ancova")
    checks = diagnose(made, replace(CHOICE, primary="diff_in_disc"), designs, imputations=2)
    assert any("基準値での段差" in text for text in checks.essential)
    assert not any("平行な推移" in text for text in checks.essential)


def designs_of(designs: list, name: str):
    return next(one for one in designs if one.design == name)


def test_what_cannot_be_estimated_is_said_where_the_design_is_told(made) -> None:
    without = replace(made, people=made.people.drop("assigned"))
    found = run_designs(without, replace(CHOICE, primary="randomised"))
    primary = decide(found, primary="randomised").primary
    assert "推定できません(割付の記録が解析する表にない" in said.primary_text(primary, 6.0)


def test_the_draw_is_a_sensitivity_analysis_where_another_design_is_primary(made) -> None:
    """06, and 02 with another plan: lots that were given are evaluated and their arms counted."""
    found = run_designs(made, CHOICE)
    (one,) = [one for one in found if one.design == "randomised"]
    assert (one.state, one.role) == ("estimated", "sensitivity")
    assert one.lower < 0 < one.upper  # the sample's letters know nothing of these lots
    checks = diagnose(made, CHOICE, found, imputations=2)
    assert "arms" in checks.tables
    assert designs_text.limits(found, CHOICE, checks).startswith(
        "- 無作為割付による比較のほかの設計は無作為割付ではない"
    )


def test_the_record_is_printed_as_it_stands(data: Path) -> None:
    told = trial.read_record(data / "trial")
    text = designs_text.protocol_text(CHOICE, exploring=True, draws=[told])
    assert "2018年12月28日に引いた" in text and told["digest"][:16] in text and told["digest"] not in text
    assert "種 20181228" in text and "(delay)" in text and "層: sex" in text
    assert "倫理審査: 倫理-2018-012(割付の記録)、登録: 未取得(割付の記録)" in text and "未記入" not in text
    plan = choices.find_protocol(data)
    follows = replace(CHOICE, protocol=replace(plan, ethics_id="E-1"))
    both = designs_text.protocol_text(follows, draws=[told])
    assert "倫理審査: E-1(解析計画)、倫理-2018-012(割付の記録)" in both
    assert "倫理審査: E-1、登録: 未記入" in designs_text.protocol_text(follows)
    assert "倫理審査" not in designs_text.protocol_text(CHOICE)
    assert "まとまり(事業所)ごと" in said.draw_text([{**told, "unit": "workplace_id", "strata": []}])


def test_no_arrow_points_at_a_letter_that_lots_decide(monkeypatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("kenpo_analytics.report.dag.emit", lambda parts, alt: shown.append(alt))
    monkeypatch.setattr("kenpo_analytics.report.dag.paragraph", shown.append)
    dag_figure()
    dag_figure(drawn=True)
    usual, note, drawn, other = shown
    assert "健診の値(基準の判定)→通知" in usual and "差の差" in note
    assert "→通知の割付(くじ)" not in drawn and "通知の割付(くじ)→次回健診の空腹時血糖" in drawn and "くじ" in other


def test_no_words_of_a_cell_hold_for_one_primary_design_only() -> None:
    """Sections 1, 4 and 5 are written from the plan: a markdown cell would say it of every plan."""
    for name in ("02_prediabetes_evaluation", "06_evaluation_lab"):
        cells = [cell.source for cell in Page(name).notebook.cells if cell.cell_type == "markdown"]
        for wrong in ("主なestimand", "主解析の4つの群", "差の差(DiD)", "下の帯の人の動きを引き"):
            assert not any(wrong in cell for cell in cells)
    page = Page("02_prediabetes_evaluation")
    assert "事業の時期に通知の対象の帯にいたこと" in page.text("- 目的")
    assert page.text("差の差(DiD)").count("6.0") == 2 and "主解析のものではありません" not in page.text("差の差(DiD)")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "late"), [("02_prediabetes_evaluation", False), ("06_evaluation_lab", True)])
def test_a_page_on_a_draw_says_when_it_was_drawn_and_what_it_compares(tmp_path, monkeypatch, name, late) -> None:
    from nbclient import NotebookClient

    data = data_with_a_trial(tmp_path / "data", **({"drawn_at": "2026-11-23T09:00:00+09:00"} if late else {}))
    monkeypatch.setenv("KENPO_DATA", str(data))
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = cell.source.replace('assignment: str = ""', 'assignment: str = "trial"')
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    assert verify(tmp_path / f"{name}.ipynb").outputs > 20
    outputs = [o["data"] for c in notebook.cells for o in c.get("outputs", []) if "data" in o]
    texts = "\n".join(o.get("text/plain", "") for o in outputs)
    told = json.loads((data / "trial" / "record.json").read_text(encoding="utf-8"))
    assert told["digest"][:16] in texts and "登録: 未取得(割付の記録)" in texts and "種 20181228" in texts
    assert told["digest"] in "".join(o.get("text/html", "") for o in outputs)  # 9 再現情報
    assert ("2026年11月23日に引いた" if late else "2018年12月28日に引いた") in texts
    assert ("<表: 割り付けた群の人数>" in texts) == (not late)
    if late:
        assert "割付より前に送った通知か得られた結果がある" in "".join(o.get("text/html", "") for o in outputs)
    else:
        assert "先に送る群に割り付けたこと" in texts and "本評価は無作為割付試験である" in texts
        assert next(line for line in texts.splitlines() if line.startswith("要約: ")).count(
            "先に送る群と後で送る群の差"
        )


# --- the methods name what was compared, in each state ----------------------------------------------------------------

AIM = "主要評価項目は次回健診の空腹時血糖、主解析は"
RULE = "通知の基準は「及び」)とした。"
WITHIN = "通知の対象者の中で、送付し届いた人と届かなかった人を比べる"


@pytest.mark.parametrize(
    ("name", "before", "compared"),
    [
        ("did_ancova", (2017,), "2018年度の健診を、事業前の2017年度と比べる"),
        ("diff_in_disc", (2017,), "2018年度の健診を、事業前の2017年度と比べる"),
        ("diff_in_disc", (), "2018年度の健診。事業前の年度はない"),
        ("randomised", (2017,), "2018年度の健診。割り付けた2群を比べる"),
        *((name, (2017,), f"2018年度の健診。{WITHIN}") for name in said.WITHIN),
    ],
)  # fmt: skip
def test_the_methods_begin_with_what_the_primary_design_compares(name, before, compared) -> None:
    one = Estimate(name, "設計", "効果", "前提", estimate=-1.0, lower=-2.0, upper=0.5)
    choice = replace(CHOICE, primary=name, before=before)
    text = designs_text.methods([one], choice, Checks({}, (), ()))
    kind = "無作為割付試験" if name == "randomised" else "後ろ向き観察研究"
    assert text.startswith(f"本評価は{kind}である。{AIM}設計({compared}。{RULE}次回健診は")


def test_a_primary_design_without_an_answer_is_no_trial_and_no_comparison_with_years_before() -> None:
    one = unavailable("randomised", "無作為割付による比較", "効果", "前提", reason="割付の記録がありません。")
    text = designs_text.methods([one], replace(CHOICE, primary="randomised"), Checks({}, (), ()))
    assert text.startswith(
        f"本評価は後ろ向き観察研究である。{AIM}無作為割付による比較(2018年度の健診。割り付けた2群を比べる。{RULE}"
        "ただし、主解析は推定できなかった(割付の記録がありません)。次回健診は"
    )
    assert "2017" not in text


def test_years_before_that_the_data_lack_are_none_of_those_compared(made, data) -> None:
    assert suite.compared(made, CHOICE) is CHOICE
    alone = replace(made, people=made.people.filter(era="programme"))
    free = suite.compared(alone, CHOICE)
    assert (free.before, free.departures) == ((), ())
    plan = replace(choices.find_protocol(data), declared_on=dt.date(2018, 4, 1))
    held = suite.compared(alone, replace(CHOICE, protocol=plan))
    told = "事業前の2017年度の健診がデータにないため、比べていません"
    assert (held.before, held.departures) == ((), (told,))
    found = run_designs(alone, held)
    checks = diagnose(alone, held, found, imputations=2)
    day = first_outcome(alone, held)
    one = decide(found, primary="did_ancova", protocol=plan, before=held.before, departures=held.departures,
                 outcomes_from=day)  # fmt: skip
    assert one.verdict == "not_identified" and one.basis.endswith(f"解析計画と違う点: {told}。")
    texts = [designs_text.methods(found, held, checks), designs_text.protocol_text(held, outcomes_from=day), one.basis]
    texts += [said.one_year_text(held), designs_text.limits(found, held, checks)]
    assert not any(wrong in text for text in texts for wrong in ("事業前の年度の結果", "と比べる。", "1年度だけ"))
    assert "(事業前 なし)" in texts[1] and "第三者による確認なし)。" in texts[1]


def test_where_the_four_groups_come_from_or_why_there_are_none(designs) -> None:
    assert where_from(None) == "差の差を推定できないため、そのもとになる4つの群の平均変化はありません。"
    bands = designs_of(designs, "did_ancova").diagnostics["bands"]
    assert where_from(check_diagnostics({"bands": bands})["bands"]).startswith("110～125")
    few = check_diagnostics({"bands": bands.with_columns(n=pl.lit(5), observed=pl.lit(4), letters=pl.lit(4))})
    assert where_from(few["bands"]) == "差の差のもとになる4つの群の平均変化は、人数が足りないため示せません。"


def in_units(made: analysis.AnalysisSet, size: int, draws: int = 1) -> analysis.AnalysisSet:
    """The people of the programme, drawn by whole groups of ids; without strata."""
    unit = (pl.col("person_id").rank("dense").cast(pl.Int64) - 1) // size
    people = made.people.filter(pl.col("era") == "programme", pl.col("eligible"))
    return replace(made, people=people.with_columns(
        unit=unit, stratum=pl.format("{}回目・全員", unit % draws), drawn_on=dt.date(2018, 4, 1),
        assigned=pl.when(unit // draws % 2 == 0).then(pl.lit("now")).otherwise(pl.lit("later")),
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("size", "draws", "how"), [(2, 1, "頑健標準誤差"), (8, 2, "ワイルドクラスターブートストラップ")]
)
def test_whole_groups_are_told_with_their_number_and_have_no_strata(made, size: int, draws: int, how: str) -> None:
    drawn = in_units(made, size, draws)
    one = trial.as_drawn(drawn.people, {})
    seen = drawn.people.filter(pl.col("y1").is_not_null())
    count = seen["unit"].n_unique()
    assert one.state == "estimated" and one.method == f"共分散分析、{how}(割付のまとまり{count}つの中の相関を考慮)"
    assert (count < 42) == (how != "頑健標準誤差")
    text = designs_text.methods([one], replace(CHOICE, primary="randomised"), Checks({}, (), ()))
    assert f"で調整した{one.method}で比べた(送付の有無によらない" in text
    assert "割付の層" not in text and ("割付の回で調整" in text) == (draws > 1)
    assert f"(割付のまとまり{count}つの中の相関を考慮)。" in said.primary_note(one)


def test_lots_for_each_person_speak_of_no_groups(designs) -> None:
    one = designs_of(designs, "randomised")
    text = designs_text.methods([one], replace(CHOICE, primary="randomised"), Checks({}, (), ()))
    assert "割付の層で調整した共分散分析、頑健標準誤差で比べた" in text and "まとまり" not in text
    assert one.method == "共分散分析、頑健標準誤差"
    units = [{**FACTS, "unit": "workplace_id", "strata": [], "drawn_at": f"2018-12-{day}T09:00:00+09:00"}
             for day in (20, 28)]  # fmt: skip
    assert "、まとまり(事業所)ごと)" in said.draw_text(units)
    assert said.draw_text(units).endswith("くじは回ごとに引かれたため、回で調整する")


# --- how many people the sentence counts ------------------------------------------------------------------------------

COUNTED = {
    "did_ancova": "次回の値がある人は、対象{}人と下の帯と事業前の3群の計{}人(延べ)",
    "diff_in_disc": "次回の値がある人は、事業の年度の基準値以上{}人と基準値未満と事業前の計{}人(延べ)",
    "randomised": "次回の値がある人は、先に送る群{}人と後で送る群{}人",
    **dict.fromkeys(said.WITHIN, "次回の値がある人は、送付し届いた{}人と届かなかった{}人(延べ)"),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_every_primary_design_says_how_many_people_it_compared(designs, name: str) -> None:
    one = replace(designs_of(designs, name), state="estimated", estimate=-1.0, persons=1200, compared=340)
    assert designs_text.people_seen({}, name, [one]) == COUNTED[name].format("1,200", "340")
    few = replace(one, compared=9, diagnostics={})
    hidden = replace(one, persons=9, compared=9, diagnostics={})
    for masked in (few, hidden):
        text = designs_text.people_seen({}, name, [masked])
        assert text == "比べた人数は、わずかな人数が分かるため秘匿"
    assert designs_text.people_seen({}, name, [replace(one, state="refused")]) == ""
    assert designs_text.people_seen({}, name, []) == ""


def test_the_counts_of_sentence_bands_and_estimate_are_one(designs) -> None:
    one = designs_of(designs, "did_ancova")
    bands = one.diagnostics["bands"]
    ours = bands.filter(pl.col("high"), era="programme").row(0, named=True)
    assert (one.persons, one.compared) == (ours["observed"], bands["observed"].sum() - ours["observed"])
    text = designs_text.people_seen(check_diagnostics({"bands": bands}), "did_ancova", designs)
    assert text == (
        f"対象{ours['n']:,}人(送付は{ours['letters'] / ours['n']:.0%})のうち次回の値がある{one.persons:,}人と、"
        f"下の帯と事業前の3群の計{one.compared:,}人(延べ)"
    )


# --- repeated letters, approvals, balance -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["did_ancova", "diff_in_disc"])
def test_letters_that_are_not_the_first_are_told_where_the_estimand_is(designs, name: str) -> None:
    one = replace(designs_of(designs, name), warnings=())
    twice = replace(one, warnings=(f"{suite.REPEATED}。事業前の年度には、さらに前の年度の健診がないため",))
    first, again = (
        "初めての通知を主とします",
        "再度の通知を含みます(初めて通知を受ける人を、事業の前後で同じ基準で選べないため)",
    )
    for told, inside, outside in ((one, first, again), (twice, again, first)):
        (line,) = [line for line in said.purpose_text(told).splitlines() if line.startswith("- 主なestimand")]
        assert f"treatment policy)。{inside}。estimandは" in line and outside not in line


def test_years_whose_first_letters_cannot_be_picked_warn_by_the_same_words(made) -> None:
    people = made.people.with_columns(
        repeat=pl.col("era") == "programme",
        earlier_eligible=pl.when(pl.col("era") == "programme").then(pl.lit(False)),
    )
    found = run_designs(replace(made, people=people), CHOICE)
    for name in ("did_ancova", "diff_in_disc"):
        one = designs_of(found, name)
        assert one.warnings[-1].startswith("再度の通知を含みます。事業前の年度には")
        assert "再度の通知を含みます(初めて" in said.purpose_text(one)


def test_the_approval_in_the_table_of_the_run_is_that_of_section_one(data: Path, monkeypatch) -> None:
    plan = replace(choices.find_protocol(data), ethics_id="倫理-2026-999")
    empty = "未記入(解析計画 protocol.toml の ethics_id に書く)"
    assert said.approval(plan, []) == "倫理-2026-999"
    assert said.approval(plan, [FACTS]) == "倫理-2026-999(解析計画)、倫理-2018-012(割付の記録)"
    assert said.approval(None, []) == said.approval(replace(plan, ethics_id=""), []) == empty
    shown: list[str] = []
    monkeypatch.setattr(record, "emit_html", lambda html, text: shown.append(html))
    record.reproduction({}, ethics=said.approval(plan, []))
    record.reproduction({}, ethics="A", funding="B", conflicts="C")
    record.reproduction({})
    ask = "を書き足すと表示される"
    cell = "は、この表を出すセルの report.reproduction(…) に "
    assert "倫理-2026-999" in shown[0] and "資金・利益相反" + cell in shown[0] and "倫理審査" + cell not in shown[0]
    assert ask in shown[0].replace(" を書", "を書") and "書き足す" not in shown[1]
    assert "倫理審査・資金・利益相反" + cell in shown[2]


def test_weights_for_the_lost_are_held_to_the_same_balance(made) -> None:
    eligible = suite.groups(made, replace(CHOICE, primary="iptw_ipcw")).eligible
    one = iptw_ipcw(eligible)
    left = one.diagnostics["balance"].filter(pl.col("smd_after").abs() > 0.1).height
    told = f"調整の後も、背景の差(標準化差)が0.1を超える項目が{left}つ残ります"
    assert left > 0 and one.warnings == (told,)
    decision = decide([replace(one, warnings=(told,), estimate=-2.0, lower=-3.0, upper=-1.0)], primary="iptw_ipcw")
    assert decision.verdict == "warned" and told in decision.sentence


def test_every_arrow_of_the_diagram_ends_outside_every_box(monkeypatch) -> None:
    """A head behind a box cannot be seen; a gap of some points before it floats."""
    figures: list = []
    monkeypatch.setattr("kenpo_analytics.report.dag.png", lambda figure: figures.append(figure) or b"")
    monkeypatch.setattr("kenpo_analytics.report.dag.emit", lambda parts, alt: drawn(figures[-1]))
    monkeypatch.setattr("kenpo_analytics.report.dag.paragraph", lambda text: None)

    def drawn(figure) -> None:
        figure.canvas.draw()
        texts = figure.axes[0].texts
        boxes = [one.get_bbox_patch().get_window_extent() for one in texts if one.get_text()]
        arrows = [one.arrow_patch for one in texts if not one.get_text()]
        assert len(boxes) == len(NODES) and len(arrows) > 14
        for arrow in arrows:
            for x, y in arrow.get_path().vertices[[0, -1]]:
                assert not any(box.x0 + 1 < x < box.x1 - 1 and box.y0 + 1 < y < box.y1 - 1 for box in boxes)
            assert arrow.patchB is not None and arrow.shrinkB <= 2

    dag_figure()
    dag_figure(drawn=True)
