"""How is it shown? Numbers are read back from the page; marks differ; nothing unchecked or unstamped gets out."""

from __future__ import annotations

import base64
import subprocess
import sys

import polars as pl
import pytest
from bs4 import BeautifulSoup

from kenpo_analytics import report
from kenpo_analytics.definitions import define
from kenpo_analytics.disclosure import (
    check,
    check_diagnostics,
    check_estimates,
    check_flow,
    check_public,
    is_stamped,
    municipal_population,
)
from kenpo_analytics.errors import DisclosureError, ParameterError
from kenpo_analytics.report import _emit, style
from kenpo_analytics.report._format import MARKS, number
from kenpo_analytics.report.areas import GEO_CREDIT, outlines

FIGURES = (
    report.interval_plot, report.bar_rank, report.before_after, report.lines, report.stacked_contributions,
    report.municipality_map, report.prefecture_map, report.flow_figure, report.funnel_plot,
)  # fmt: skip


@pytest.fixture(autouse=True)
def not_synthetic(monkeypatch):
    monkeypatch.setattr(_emit.CONTEXT, "synthetic", False)


@pytest.fixture
def shown(monkeypatch):
    """Everything a report displays, as notebook outputs."""
    outputs: list[dict] = []

    def display(data, *, raw, metadata):
        assert raw is True
        outputs.append({"output_type": "display_data", "data": data, "metadata": metadata})

    monkeypatch.setattr("IPython.display.display", display)
    return outputs


@pytest.fixture
def drawn(monkeypatch):
    """The texts of every figure, instead of a picture of them."""
    texts: list[str] = []

    def png(figure, dpi=None):
        from matplotlib.text import Text

        texts.extend(item.get_text() for item in figure.findobj(Text))
        return original(figure)

    original = style.png
    monkeypatch.setattr(style, "png", png)
    return texts


def page(html: str) -> list[list[str]]:
    """The rows of the table on the page, headings first."""
    soup = BeautifulSoup(html, "html.parser")
    return [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in soup.select("thead tr, tbody tr")]


def areas(**more):
    table = pl.DataFrame(
        {
            "branch": ["01", "24", "47"],
            "persons": [12345, 400, 7],
            "estimate": [0.12345, -0.0456, 0.777777],
            "lower": [0.1, -0.06, 0.7],
            "upper": [0.15, -0.03, 0.8],
            "rank": [2, 1, 3],
        }
    )
    rates = dict.fromkeys(("estimate", "lower", "upper", "rank"), "persons")
    return check(table, counts=["persons"], rates=rates, **more)


def towns(value=0.777777):
    codes = list(municipal_population())
    table = pl.DataFrame(
        {
            "municipality": codes,
            "persons": [5] + [300] * 28,
            "estimate": [value] + [0.01 * i - 0.1 for i in range(28)],
        }
    )
    return check(table, counts=["persons"], rates={"estimate": "persons"}, municipality="municipality")


def groups():
    table = pl.DataFrame(
        {
            "group": ["対象", "対象", "比較", "比較"],
            "time": ["前", "後", "前", "後"],
            "estimate": [115.0, 112.0, 115.0, 113.0],
            "lower": [114.0, 111.0, 114.0, 112.0],
            "upper": [116.0, 113.0, 116.0, 114.0],
            "persons": [100, 90, 80, 70],
        }
    )
    return check(table, counts=["persons"], rates=dict.fromkeys(("estimate", "lower", "upper"), "persons"))


# --- tables ----------------------------------------------------------------------------------------------------------


def test_show_takes_nothing_but_a_checked_result():
    frame = pl.DataFrame({"n": [300]})
    for thing in (frame, frame.to_pandas(), {"n": 300}, None):
        with pytest.raises(DisclosureError, match="秘匿処理を通っていない"):
            report.show(thing, title="表")


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.__name__)
def test_figures_take_nothing_but_a_checked_result(figure):
    arguments = {"x": "m"} if figure is report.lines else {}
    with pytest.raises(DisclosureError, match="秘匿処理を通っていない"):
        figure(pl.DataFrame({"m": [1]}), title="図", **arguments)


def test_numbers_are_read_back_from_the_page():
    columns = {
        "branch": "支部",
        "persons": "実人数",
        "estimate": report.Col("指数－1", "index"),
        "lower": report.Col("95%信頼区間", "percent", upper="upper"),
    }
    assert page(report.table_html(areas(), title="支部別", columns=columns)) == [
        ["支部", "実人数", "指数－1", "95%信頼区間"],
        ["北海道", "12,345", "+0.123", "(10.0% ～ 15.0%)"],
        ["三重", "400", "−0.046", "(−6.0% ～ −3.0%)"],
        ["沖縄", "秘匿", "秘匿", "秘匿"],
    ]


def test_masked_numbers_are_nowhere_in_what_is_shown(shown):
    report.show(areas(), title="支部別")
    report.bar_rank(areas(), title="棒", highlight="24")
    report.interval_plot(areas(), title="点", label="branch")
    report.municipality_map(towns(), title="地図")
    text = repr([{k: v for k, v in out["data"].items() if k != "image/png"} | out["metadata"] for out in shown])
    assert "0.78" not in text and "0.77" not in text and "0.7" not in text


def test_every_state_reads_differently():
    states = ["missing", "not_applicable", "incomplete", "not_evaluated"]
    table = pl.DataFrame({"行": list("abcdef"), "n": [0, 3, *[None] * 4], "why": ["missing", "missing", *states]})
    html = report.table_html(check(table, counts=["n"], reasons={"n": "why"}), title="状態")
    words = [row[1] for row in page(html)[1:]]
    assert words == ["0", "秘匿", "欠測", "―", "未確定", "未評価"]
    assert len(set(words)) == 6 and MARKS["masked"] == "秘匿"
    foot = BeautifulSoup(html, "html.parser").tfoot.get_text()
    assert "秘匿：10人未満" in foot and "0は表示" in foot and "―：該当しない" in foot and "0は表示" in foot


def test_a_table_without_rows_says_why_and_an_empty_text_nothing(shown):
    full = check(pl.DataFrame({"area": ["24"], "n": [50]}), counts=["n"])
    report.show(full, title="表", empty="該当なし")
    report.show(full.where(area="25"), title="表", empty="該当なし")
    report.show(None, title="表", empty="表がありません。")
    report.show(None, title="表", empty="")
    assert [o["data"]["text/plain"] for o in shown] == ["<表: 表>", "該当なし", "表がありません。"]
    with pytest.raises(DisclosureError, match="秘匿処理"):
        report.show(None, title="表")
    with pytest.raises(DisclosureError, match="秘匿処理"):
        report.show(pl.DataFrame({"n": [1]}), title="表", empty="該当なし")


def test_footnotes_name_only_marks_that_appear_and_the_rule_for_towns():
    assert "秘匿" not in report.table_html(check(pl.DataFrame({"n": [30]}), counts=["n"]), title="t")
    assert "人口25,000人未満の市町村は20人未満" in report.table_html(towns(), title="t")


def test_a_table_is_accessible_and_the_same_in_every_run():
    html = report.table_html(areas(), title="支部 <別>")
    soup = BeautifulSoup(html, "html.parser")
    assert soup.caption.get_text() == "支部 <別>"
    assert {cell["scope"] for cell in soup.select("thead th")} == {"col"}
    assert [cell["scope"] for cell in soup.select("tbody th")] == ["row"] * 3
    assert soup.div["lang"] == "ja"
    assert html == report.table_html(areas(), title="支部 <別>")
    assert soup.div["id"].startswith("kenpo-")


def test_the_style_of_tables_comes_once_in_a_page(shown):
    alone = report.table_html(areas(), title="支部別")
    report.heading("題", synthetic=False)
    below = report.table_html(areas(), title="支部別")
    assert alone.count("<style>") == shown[0]["data"]["text/html"].count("<style>") == 1 and "<style>" not in below
    assert 'class="kenpo"' in below and ".kenpo table{" in shown[0]["data"]["text/html"]


def test_public_figures_name_their_source_and_are_not_called_synthetic(shown):
    _emit.CONTEXT.synthetic = True
    html = report.table_html(check_public(pl.DataFrame({"n": [3]}), source="NDBオープンデータ 第10回"), title="公表値")
    assert "出典：NDBオープンデータ 第10回" in html and "合成データ" not in html and page(html)[1] == ["3"]
    assert "合成データ" in report.table_html(areas(), title="支部別")


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (1234567, "count", "1,234,567"), (0.12345, "percent", "12.3%"), (0.0456, "index", "+0.046"),
        (-0.01234, "points", "−1.23"), (0.0123, "points", "+1.23"), (-0.00001, "points", "0.00"),
        (-0.0456, "index", "−0.046"), (-0.0001, "index", "0.000"), (0.0, "index", "0.000"), (3.14159, "number", "3.14"),
        (2024, "year", "2024年度"), (202410, "month", "2024年10月"), (2024, "plain", "2024"),
        (float("inf"), "number", "∞"),
    ],
)  # fmt: skip
def test_numbers_are_rounded_in_one_place(value, kind, text):
    assert number(value, kind) == text


def test_sentences_take_checked_numbers():
    assert report.value(areas(), "rank", branch="24") == "1"
    assert report.value(areas(), "estimate", "index", branch="47") == "秘匿"
    expected = "−0.046(95%信頼区間 −0.060 ～ −0.030)"
    assert report.value_interval(areas(), "index", branch="24") == expected
    assert report.value_interval(areas(), "index", branch="47") == "秘匿"
    with pytest.raises(ParameterError, match="1行に決まりません"):
        report.value(areas(), "rank")


# --- figures ---------------------------------------------------------------------------------------------------------


def every_figure():
    report.bar_rank(areas(), title="支部別", highlight="24", rank_direction="小さい順")
    report.interval_plot(areas(), title="区間", label="branch", style="index", highlight="24", reference=0)
    report.municipality_map(towns(), title="市町村別", highlight="24208")
    nation = pl.DataFrame({"area": list(report.branch_names()), "estimate": [0.08 + 0.001 * i for i in range(47)]})
    report.prefecture_map(check_public(nation, source="公表資料"), title="都道府県別", style="percent", centre=None)
    report.before_after(groups(), title="平均")
    curve = pl.DataFrame({"m": [0, 1, 2], "estimate": [0.0, 0.1, None], "n": [50, 50, None]})
    reasons = dict.fromkeys(("estimate", "n"), "incomplete")
    curve = check(curve, counts=["n"], rates={"estimate": "n"}, plain=["m"], reasons=reasons)
    report.lines(curve, title="累積", x="m", lower=None, upper=None)
    parts = pl.DataFrame(
        {
            "age_band": ["00-04", "00-04", "05-09", "05-09"],
            "visit_type": ["first", "return"] * 2,
            "contribution": [0.02, -0.005, 0.01, 0.03],
            "n": [50, 60, 3, 70],
        }
    )
    report.stacked_contributions(check(parts, counts=["n"], rates={"contribution": "n"}), title="寄与")
    flow = pl.DataFrame(
        {
            "kind": ["start", "exclude", "exclude", "end"],
            "label": ["読み込んだ行", "服薬中", "年齢", "対象者"],
            "unit": ["行", "人", "人", "人"],
            "excluded": [0, 300, None, 0],
            "remaining": [1000, 700, 700, 700],
        }
    )
    report.flow_figure(check_flow(flow), title="フロー")


def test_every_figure_is_stamped_small_described_and_the_same_twice(shown):
    every_figure()
    first = list(shown)
    assert len(first) == 16 and all(is_stamped(output) for output in first)
    for picture, numbers in zip(first[::2], first[1::2], strict=True):
        raw = base64.b64decode(picture["data"]["image/png"])
        assert raw.startswith(b"\x89PNG") and len(raw) < 120_000
        assert b"tEXt" not in raw and b"tIME" not in raw
        assert len(picture["metadata"]["image/png"]["alt"]) > 15
        assert picture["data"]["text/plain"].startswith("<図: ")
        assert numbers["data"]["text/html"].startswith("<details")
    shown.clear()
    every_figure()
    assert [output["data"] for output in shown] == [output["data"] for output in first]


def test_alternative_text_tells_the_numbers(shown):
    report.bar_rank(areas(), title="支部別", highlight="24")
    alt = shown[0]["metadata"]["image/png"]["alt"]
    assert alt == (
        "支部別。3項目の地域差指数－1の横棒。最大は北海道の+0.123、最小は三重の−0.046。表示しない項目1。"
        "強調した三重は−0.046（1位）。"
    )


def test_no_figure_shows_itself_unchecked(shown):
    import matplotlib.pyplot as plt

    every_figure()
    assert plt.get_fignums() == []


def test_watermark_credit_and_titles_are_printed_on_the_figure(shown, drawn):
    report.municipality_map(towns(), title="市町村別")
    assert GEO_CREDIT in drawn and "市町村別（三重支部加入者に限る）" in drawn and "合成データ" not in drawn
    assert any("名張市\n" in text for text in drawn) and "津市\n秘匿" in drawn
    drawn.clear()
    _emit.CONTEXT.synthetic = True
    report.before_after(groups(), title="平均")
    assert "合成データ" in drawn and "平均（単純前後比較）" in drawn
    drawn.clear()
    public = check_public(pl.DataFrame({"area": ["24", "01"], "estimate": [0.1, 0.2]}), source="公表資料A")
    report.prefecture_map(public, title="県")
    assert f"{GEO_CREDIT}\n出典：公表資料A" in drawn and "合成データ" not in drawn


def test_flow_figure_writes_every_step(shown, drawn):
    every_figure()
    assert {"読み込んだ行\n1,000 行", "除外 300 人\n服薬中", "除外 未評価\n年齢", "対象者\n700 人"} <= set(drawn)


def test_contributions_with_a_masked_part_have_no_sum(shown):
    every_figure()
    alt = next(o["metadata"]["image/png"]["alt"] for o in shown if "寄与" in o["data"]["text/plain"])
    assert "最大は00-04の+0.015" in alt and "合計は" not in alt


def test_a_map_needs_one_row_per_area_and_known_codes():
    double = check(pl.DataFrame({"municipality": ["24201"] * 2, "n": [50, 60]}), counts=["n"])
    with pytest.raises(ParameterError, match="1地域1行"):
        report.municipality_map(double, title="t", value="n")
    other = check(pl.DataFrame({"municipality": ["津市"], "n": [50]}), counts=["n"])
    with pytest.raises(ParameterError, match="合う行がありません"):
        report.municipality_map(other, title="t", value="n")


def test_outlines_cover_every_municipality_and_prefecture():
    assert set(outlines("mie_municipalities", "municipality")) == set(municipal_population())
    assert set(outlines("prefectures", "prefecture")) == {f"{code:02d}" for code in range(1, 48)}
    names = report.branch_names()
    assert (names["26"], names["27"], names["13"], names["01"], names["24"]) == (
        "京都",
        "大阪",
        "東京",
        "北海道",
        "三重",
    )
    assert report.municipality_names()["24303"] == "木曽岬町"


# --- font and theme --------------------------------------------------------------------------------------------------


def test_a_character_that_the_font_lacks_is_an_error(shown):
    with pytest.raises(UserWarning, match=r"Glyph .* missing"):
        report.before_after(groups(), title="𠮷田")
    assert shown == []
    report.before_after(groups(), title="髙﨑①㈱〜−℃‐―")
    assert len(shown) == 2


def test_a_theme_set_by_the_analyst_does_not_take_the_font_away(shown):
    import matplotlib
    import seaborn

    with matplotlib.rc_context():
        seaborn.set_theme()
        report.before_after(groups(), title="日本語の題")
        report.setup()
        assert matplotlib.rcParams["font.family"] == [style.FONT]
        seaborn.set_theme()
        report.setup()
        assert matplotlib.rcParams["font.family"] == [style.FONT]
    assert len(shown) == 2


def test_our_theme_is_seaborns_whitegrid():
    import seaborn

    theirs = seaborn.axes_style("whitegrid")
    assert {name: theirs[name] for name in style.WHITEGRID} == style.WHITEGRID
    assert set(theirs) - set(style.WHITEGRID) == {"font.family", "font.sans-serif", "image.cmap"}


def test_importing_the_report_loads_no_plotting():
    heavy = ("matplotlib", "seaborn", "great_tables", "scipy", "pandas")
    code = f"import sys, kenpo_analytics.report; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- texts -----------------------------------------------------------------------------------------------------------


def test_heading_says_what_is_used_and_whether_it_is_synthetic(shown):
    report.heading(
        "時間外受診", synthetic=True, month="2025-10", branch="24", fiscal_years=[2023, 2024], used_months="2024年4月～"
    )
    text = BeautifulSoup(shown[0]["data"]["text/html"], "html.parser").get_text("\n")
    assert "時間外受診" in shown[0]["data"]["text/plain"]  # on the page the title is the notebook's own heading
    for part in ("合成データ：実在の", "2025年10月", "三重支部", "2023年度、2024年度", "2024年4月～"):
        assert part in text
    assert is_stamped(shown[0]) and _emit.CONTEXT.synthetic
    report.heading("公表値", synthetic=False)
    assert "合成データ" not in repr(shown[1]) and not _emit.CONTEXT.synthetic
    with pytest.raises(ParameterError, match="合成データかどうか"):
        report.heading("題")
    with pytest.raises(ParameterError, match="支部「三重」は JIS"):
        report.heading("題", synthetic=True, branch="三重")


def test_conclusion_carries_headline_figures_for_the_manifest(shown):
    row = areas().where(branch="24")
    report.conclusion("三重は低い。", headline={"index": (row, report.Col("指数－1", "percent"))})
    assert is_stamped(shown[0]) and "三重は低い。" in shown[0]["data"]["text/html"]
    assert shown[0]["metadata"]["kenpo"]["headline"]["index"] == {
        "estimate": -0.0456, "lower": -0.06, "upper": -0.03, "persons": 400,
        "label": "指数－1", "unit": "%", "digits": 1, "scale": 100, "order": 0,
    }  # fmt: skip
    report.conclusion("差。", headline={"gap": (row, report.Col("全国との差", "points"))})
    gap = shown[1]["metadata"]["kenpo"]["headline"]["gap"]
    assert (gap["unit"], gap["digits"], gap["scale"]) == ("ポイント", 2, 100)
    masked = areas().where(branch="47")
    report.conclusion("沖縄。", headline={"index": (masked, report.Col("指数－1", "index"))})
    assert shown[2]["metadata"]["kenpo"]["headline"]["index"]["estimate"] is None
    with pytest.raises(DisclosureError):
        report.conclusion("x", headline={"index": (pl.DataFrame({"estimate": [1]}), report.Col("x"))})


def test_text_is_escaped_and_lists_are_lists(shown):
    report.paragraph("a < b\n\n- 一\n- 二")
    soup = BeautifulSoup(shown[0]["data"]["text/html"], "html.parser")
    assert soup.p.get_text() == "a < b" and [item.get_text() for item in soup.find_all("li")] == ["一", "二"]


def test_definitions_mark_assumptions_and_overrides(shown):
    base = define()
    assumed, first = base.assumptions()[0], next(row for row in base.rows if not isinstance(row.value, str))
    changed = define(overrides={first.id: 99.0}).overrides()
    report.definitions_table([assumed, *changed])
    rows = page(shown[0]["data"]["text/html"])
    assert rows[0] == ["定義", "値", "有効期間", "時計", "状態", "出典"]
    assert rows[1][4] == "【仮定】" and rows[2][4] == "【支部設定】" and "99" in rows[2][1]


def test_a_value_of_its_time_stands_beside_todays_definition(shown):
    rows = define().versions("prediabetes.rule")
    report.definitions_table(rows, used={"prediabetes.rule": "and"}, note="当時の基準。")
    html = shown[0]["data"]["text/html"]
    assert page(html)[1][1] == "rule = or → この報告では and"
    assert BeautifulSoup(html, "html.parser").tfoot.get_text().endswith("当時の基準。")


def test_reproduction_says_where_to_fill_in_what_is_open(shown):
    report.reproduction({})
    report.reproduction({}, ethics="承認 1", funding="なし", conflicts="なし")
    foots = [BeautifulSoup(output["data"]["text/html"], "html.parser").tfoot for output in shown]
    assert "ethics=" in foots[0].get_text() and "conflicts=" in foots[0].get_text() and foots[1] is None


def test_a_value_set_once_is_told_once(shown):
    """A definition with two validity periods (上位23支部, then 15) has two rows, of one value that the branch set."""
    own = define(overrides={"incentive.top": 10, "prediabetes.rule": "and"})
    assert len(own.overrides()) >= 3
    report.reproduction({}, definitions=own)
    told = [row[1:] for row in page(shown[0]["data"]["text/html"]) if row[0] == "定義の支部設定"]
    assert sorted(told) == [["incentive.top", "10"], ["prediabetes.rule", "and"]]


def test_the_status_of_a_flow_is_shown_only_where_a_step_was_not_judged():
    flow = {"kind": ["start", "exclude", "end"], "label": ["行", "除く", "対象者"], "unit": ["行"] * 3}
    numbers = {"excluded": [0, 300, 0], "remaining": [1000, 700, 700]}
    judged = pl.DataFrame(flow | numbers | {"status": ["評価"] * 3})
    open_step = {"excluded": [0, None, 0], "remaining": [1000, 1000, 1000], "status": ["評価", "未評価", "評価"]}
    columns = {"label": "段階", "excluded": "除外", "status": "評価"}
    assert page(report.table_html(check_flow(judged), title="t", columns=columns))[0] == ["段階", "除外"]
    seen = page(report.table_html(check_flow(pl.DataFrame(flow | open_step)), title="t", columns=columns))
    assert [row[2] for row in seen] == ["評価", "評価", "未評価", "評価"]


def test_reproduction_lists_parameters_versions_masking_and_open_fields(shown):
    public = check_public(pl.DataFrame({"n": [3]}), source="資料")
    report.reproduction({"month": "2025-10", "jobs": 2}, definitions=define(), checked=[areas(), towns(), public])
    rows = {(row[0], row[1]): row[2] for row in page(shown[0]["data"]["text/html"])[1:]}
    assert rows["パラメータ", "month"] == "2025-10"
    assert rows["秘匿処理", "秘匿した人数"] == "2" and rows["秘匿処理", "秘匿した率"] == "5"
    assert rows["秘匿処理", "秘匿処理した表"] == "2" and rows["秘匿処理", "公表値の表(対象外)"] == "1"
    assert rows["秘匿処理", "最小集計単位"] == "10人(0は表示)"
    assert rows["環境", "polars"] == pl.__version__ and rows["定義の版", "version"] == define().version
    assert rows["倫理", "倫理審査"] == rows["倫理", "資金"] == rows["倫理", "利益相反"] == "未記入"
    assert is_stamped(shown[0])


def test_checklist_holds_the_record_items_and_refuses_unknown_ones(shown):
    report.strobe_record({"RECORD 13.1": "2 フロー図"})
    rows = {row[0]: row[2] for row in page(shown[0]["data"]["text/html"])[1:]}
    assert rows["RECORD 13.1"] == "2 フロー図" and rows["RECORD 6.1"] == "未記載"
    assert {f"RECORD {item}" for item in ("6.1", "7.1", "12.1", "12.2", "12.3", "13.1", "19.1", "22.1")} <= set(rows)
    with pytest.raises(ParameterError, match="RECORD 99"):
        report.strobe_record({"RECORD 99": "x"})


DESIGNS = pl.DataFrame(
    {
        "design": ["naive", "did_ancova", "iptw_ineligible"],
        "label": ["単純前後比較", "差の差", "対象外の人との比較"], "unit": ["mg/dL"] * 3,
        "role_label": ["参考", "主解析", "感度分析"], "state_label": ["推定", "推定", "識別不能"],
        "assumption": ["甲", "乙", "丙"], "reason": [None, None, "重なりがない"], "estimate": [-3.1, -1.25, None],
        "lower": [-4.0, -2.5, None], "upper": [-2.2, 0.0, None], "persons": [97, 131, None],
        "compared": [None, 338, None],
    }
)  # fmt: skip


def test_a_forest_writes_why_a_design_has_no_number(shown, drawn):
    checked = check_estimates(DESIGNS, by=["design"], main={"design": "did_ancova"})
    report.interval_plot(
        checked, title="森林図", label="label", style="index", digits=1, measure="効果", reference=0, sort=False,
        highlight="差の差", instead="state_label", numbers=False,
    )  # fmt: skip
    assert len(shown) == 1 and is_stamped(shown[0])  # the table stands beside it
    assert "識別不能" in drawn and "差の差" in drawn
    assert any(text.lstrip("−+").count(".") == 1 and len(text.split(".")[1]) == 1 for text in drawn if "." in text)


def test_designs_and_their_assumptions_are_read_back(shown):
    checked = check_estimates(DESIGNS, by=["design"])
    report.design_table(checked, title="一覧")
    report.assumptions(checked)
    rows = [row.get_text("|") for row in BeautifulSoup(shown[0]["data"]["text/html"], "html.parser").select("tbody tr")]
    assert rows[1] == "差の差|主解析|−1.25|(−2.50 ～ 0.00)|131|338|推定"
    assert rows[2] == "対象外の人との比較|感度分析|―|―|―|―|識別不能"
    text = BeautifulSoup(shown[1]["data"]["text/html"], "html.parser").get_text("|")
    assert "対象外の人との比較|―|丙|識別不能: 重なりがない" in text


def test_a_diagnostic_that_could_not_be_made_says_so_and_an_unknown_one_is_refused(shown):
    report.diagnostic("tipping", {})
    assert "示せません" in shown[0]["data"]["text/plain"]
    with pytest.raises(ParameterError, match="診断の表ではありません"):
        report.diagnostic("nonsense", {})


def test_figures_of_designs_show_no_masked_point(shown, drawn):
    years = pl.DataFrame({"fiscal_year": [2017, 2018], "era": ["before", "programme"], "estimate": [0.0, -1.5],
                          "lower": [None, -3.0], "upper": [None, 0.1], "persons": [200, 210]})  # fmt: skip
    report.event_study(check_estimates(years, by=["fiscal_year"]), title="年次図")
    points = {"era": ["before"] * 2, "side": ["below", "above"], "y0": [108.0, 111.0], "persons": [30, 4],
              "estimate": [104.0, 111.5], "fitted": [104.2, 111.0]}  # fmt: skip
    shown_tables = check_diagnostics({
        "jump": pl.DataFrame(points),
        "overlap": pl.DataFrame({"score": [0.6, 0.7], "sent": [3, 40], "not_sent": [20, 30]}),
        "balance": pl.DataFrame({"covariate": ["age", "bmi"], "smd_before": [0.2, -0.1], "smd_after": [0.01, 0.15]}),
    })  # fmt: skip
    report.jump_figure(shown_tables["jump"], title="段差", cutoff=109.5)
    report.overlap_plot(shown_tables["overlap"], title="重なり")
    report.balance_plot(shown_tables["balance"], title="バランス")
    report.dag_figure()
    assert all(is_stamped(output) for output in shown)
    assert "111.5" not in str(shown[3]["data"]) and "秘匿" in drawn  # four people: no point, no mean
    alts = [o["metadata"]["image/png"]["alt"] for o in shown if "image/png" in o["data"]]
    assert len(alts) == 5 and "超えるのはBMI" in alts[3] and "通知→次回健診の空腹時血糖" in alts[4]
    with pytest.raises(DisclosureError):
        report.event_study(years, title="年次図")


def test_a_thin_line_in_our_colours_keeps_its_colour(shown):
    """The palette of a picture holds the commonest colours, and ours however rare they are."""
    import io

    from PIL import Image

    rows = pl.DataFrame({"design": [f"設計{i}" for i in range(30)], "label": [f"設計{i}" for i in range(30)],
                         "estimate": [0.1 * i for i in range(30)], "lower": [-1.0] * 30, "upper": [4.0] * 30,
                         "persons": [99] * 30})  # fmt: skip
    report.interval_plot(check_estimates(rows, by=["design"]), title="図", label="label", highlight="設計3")
    image = Image.open(io.BytesIO(base64.b64decode(shown[0]["data"]["image/png"]))).convert("RGB")
    strong = tuple(int(style.STRONG[i : i + 2], 16) for i in (1, 3, 5))
    assert strong in {colour for _, colour in image.getcolors(10_000)}


def test_a_kernel_shows_exactly_what_was_stamped():
    import nbformat
    from nbclient import NotebookClient

    code = """
import polars as pl
from kenpo_analytics import report
from kenpo_analytics.disclosure import check
report.setup()
report.heading("題", synthetic=True)
frame = pl.DataFrame({"branch": ["24", "01"], "n": [30, 3], "estimate": [0.1, 0.2]})
t = check(frame, counts=["n"], rates={"estimate": "n"})
report.show(t, title="表")
report.interval_plot(t.select(["branch", "n", "estimate"]), title="図", label="branch", lower="n", upper="n")
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    assert [sorted(output["data"]) for output in outputs if output["output_type"] == "display_data"] == [
        ["text/html", "text/plain"],
        ["text/html", "text/plain"],
        ["image/png", "text/plain"],
        ["text/html", "text/plain"],
    ]
    assert all(is_stamped(output) for output in outputs)


def funnel_rows(estimates: list[float]) -> pl.DataFrame:
    n = len(estimates)
    return pl.DataFrame({
        "area": [f"{i + 20}" for i in range(n)], "persons": [500] * (n - 1) + [3], "estimate": estimates,
        "effective_expected": [100.0 * (i + 1) for i in range(n)], "funnel_centre": [0.01] * n,
        "funnel_tau": [0.05] * n, "funnel_level": [0.998] * n, "funnel_lower": [-0.2] * n, "funnel_upper": [0.3] * n,
        "funnel_z": [x / 0.08 for x in estimates],
    })  # fmt: skip


def test_a_funnel_names_who_is_outside_and_hides_what_is_masked(shown, drawn):
    table = funnel_rows([0.0, 0.1, 0.5, -0.4, 0.9])
    checked = check(table, counts=["persons"], rates="all", plain=["funnel_level"], by=["area"])
    report.funnel_plot(checked, title="ファネル", highlight="21")
    names = report.branch_names()
    assert names["22"] in drawn and names["23"] in drawn and names["21"] in drawn
    assert names["20"] not in drawn and names["24"] not in drawn  # inside; masked
    alt = shown[0]["metadata"]["image/png"]["alt"]
    assert f"範囲の外: {names['22']}、{names['23']}" in alt and "表示しない項目1" in alt
    assert "秘匿" in shown[1]["data"]["text/html"] and "0.9" not in shown[1]["data"]["text/html"]
    assert "平均 +0.010" in drawn
    with pytest.raises(ParameterError, match="ファネルに描く行"):
        report.funnel_plot(checked.where(area="24"), title="なし")


def test_bars_print_ranks_with_their_interval(shown, drawn):
    table = pl.DataFrame({
        "branch": ["23", "24"], "persons": [900, 800], "estimate": [0.1, 0.2], "lower": [0.0, 0.1], "upper": [0.2, 0.3],
        "rank": [36, 37], "rank_lower": [29, 30], "rank_upper": [44, 45],
    })  # fmt: skip
    report.bar_rank(
        check(table, counts=["persons"], rates="all", by=["branch"]), title="順位", rank_direction="小さい順"
    )
    assert "三重 37位(30–45)" in drawn
    assert "(30 ～ 45)" in shown[1]["data"]["text/html"]
