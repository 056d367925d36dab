"""Do the pages open without the network, and say what they must?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from kenpo_analytics.errors import RunError
from kenpo_analytics.runs import html, labels, plan

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def page(*cells, synthetic=True):
    notebook = new_notebook(cells=list(cells))
    return html.report(notebook, title="題 <1>", month="2025-10", synthetic=synthetic, footer="実行 x")


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://a.example/x.js"></script>',
        "<img src='//a.example/x.png'>",
        '<link rel="stylesheet" href="http://a.example/x.css">',
        '<img src="figure.png">',
        '<img alt="a" src=figure.png>',
        '<style>@import url("https://a.example/x.css");</style>',
        "<style>p { background: url(//a.example/x.png) }</style>",
        '<iframe src="https://a.example"></iframe>',
        '<object data="https://a.example/x.svg"></object>',
    ],
)
def test_what_a_browser_would_fetch_is_found_and_refused(text):
    assert html.external(text)
    with pytest.raises(RunError, match="外部に接続"):
        page(new_markdown_cell(text))


@pytest.mark.parametrize(
    "text", ['<a href="https://a.example">出典</a>', '<img src="data:image/png;base64,AA==">', "https://a.example"]
)
def test_a_link_or_an_embedded_image_is_no_request(text):
    assert html.external(text) == []


def test_a_report_page():
    text = page(new_markdown_cell("# 見出し"), new_code_cell("x = 1  # 計算", execution_count=1))
    assert html.external(text) == []
    assert text.count("http") == 0
    assert '<html lang="ja">' in text
    assert "<title>題 &lt;1&gt;</title>" in text
    assert "合成データ" in text
    assert "IPAexGothic" in text
    assert "white-space: pre-wrap" in text
    assert "@media print" in text
    assert '<details class="code"><summary>コード</summary>' in text
    assert "<details open" not in text
    tagged = [new_code_cell("m: int = 1", metadata={"tags": [tag]}) for tag in ("parameters", "injected-parameters")]
    text = page(*tagged)
    assert text.index("<summary>条件の既定値</summary>") < text.index("<summary>この実行の条件</summary>")
    assert "合成データ" not in page(new_markdown_cell("a"), synthetic=False)
    assert ".banner ~ main .kenpo-synthetic" in text  # a report's own banner hides only where the page has one


def test_formulas_in_mathml_stay_whole():
    """nbconvert with embed_images turns `<mi>x</mi>` into `<mi></mi>x`."""
    formula = "値 <math><mfrac><mi>O</mi><mi>E</mi></mfrac></math> を用いる"
    assert "<mfrac><mi>O</mi><mi>E</mi></mfrac>" in page(new_markdown_cell(formula))


@pytest.mark.parametrize(
    ("record", "value", "interval", "counts"),
    [
        ({"estimate": 0.3456, "lower": 0.31, "upper": 0.38, "level": 0.95}, "0.346", "0.310 〜 0.380 (95%)", ""),
        (
            {"estimate": 0.3456, "lower": 0.3, "upper": 0.4, "scale": 100, "unit": "%", "digits": 1, "level": 0.998},
            "34.6%",
            "30.0% 〜 40.0% (99.8%)",
            "",
        ),
        ({"estimate": 1234.5, "events": 1000, "denominator": 20000.0}, "1,234", "", "1,000 / 20,000"),
        ({"estimate": 0.25, "events": 1, "persons": 4}, "0.250", "", "1 / 4"),
        ({"estimate": None, "lower": 1.0, "upper": None, "numerator": None}, "—", "", ""),
        ("秘匿", "秘匿", "", ""),
        ({"estimate": 12.0, "unit": "人", "numerator": 12, "denominator": 3400}, "12.0人", "", "12 / 3,400 人"),
        ({"estimate": 12.5, "unit": "%", "numerator": 1, "denominator": 8}, "12.5%", "", "1 / 8"),
        ({"estimate": 0.5, "events": 5, "denominator": 10.0, "denominator_unit": "人月"}, "0.500", "", "5 / 10 人月"),
        ({"estimate": 1.05, "numerator": 21, "denominator": 20, "adjusted": True}, "1.050", "", ""),
        ({"estimate": 1.05, "unit": "人"}, "1.050人", "", ""),
        (12345, "12,345", "", ""),
        (float("nan"), "—", "", ""),
        ({"estimate": float("nan")}, "—", "", ""),
    ],
)
def test_headline_figures(record, value, interval, counts):
    found = html.figure(record, "名")
    assert (found["value"], found["interval"], found["counts"]) == (value, interval, counts)
    assert found["label"] == "名"


def test_titles_are_escaped_on_index_pages():
    record = {
        "month": "2025-10",
        "finished": "2025-11-01T09:00:00+0900",
        "notebooks": [{"title": "<b>題</b>", "html": "01 a.html", "headline": {"<i>": 1}, "parameters": {}}],
    }
    text = html.root_index([record])
    assert "&lt;b&gt;題" in text
    assert 'href="2025-10/01%20a.html"' in text
    assert "2025-11-01 09:00" in text


def month_page(**changes):
    entry = {"title": "題", "html": "01.html", "notebook": "01.ipynb", "headline": {}, "outputs": 1}
    record = {
        "month": "2025-10",
        "finished": "2025-11-01T09:00:00+0900",
        "run": "x",
        "seconds": 1.0,
        "python": "3",
        "platform": "p",
        "packages": {},
        "inputs": {},
        "git": None,
        "definitions": {"overrides": {}},
        "notebooks": [entry | {"parameters": changes.pop("parameters", {})}],
    }
    return html.month_index(record | changes)


def test_parameters_are_told_in_the_reader_s_words_with_the_name_for_set():
    given = {"month": "2025-10", "branch": "24", "fiscal_year": 2023, "level": "second", "ratio": 0.5, "strict": True}
    text = month_page(parameters=given)
    assert (
        "基準月 <small>month</small> = 2025年10月、支部 <small>branch</small> = 24、"
        "年度 <small>fiscal_year</small> = 2023、"
        "勧奨の水準 <small>level</small> = 二次勧奨(second)、ratio = 0.5、strict = はい" in text
    )


def test_an_empty_parameter_is_told_by_what_it_means():
    empty = {
        "fiscal_year": 0,
        "programme_years": [],
        "protocol": "",
        "rule": "",
        "assignment": "",
        "group": "",
        "x": "",
    }
    text = month_page(parameters=empty | {"raised": "", "programme_cost_yen": 0, "series_control": "", "n": 0})
    meant = {
        *("年度 = 自動(使える最新の年度)", "通知の年度 = 使える年度すべて", "解析計画 = protocol.toml(あれば)"),
        *("通知の基準 = 当時の基準(最初の年度)", "無作為割付のフォルダ = なし", "グループ = すべて"),
        *("x = 指定なし", "n = 0"),
        *("上げてみる指標 = すべて(1つずつ)", "通知の費用(円) = 示さない", "月次の指標の対照の支部 = なし"),
    }
    bare = re.sub(" <small>.*?</small>", "", text)
    assert {words for words in meant if words not in bare} == set()


def test_every_parameter_of_the_suite_has_a_label_and_every_empty_one_a_meaning():
    for path in plan.suite(NOTEBOOKS):
        for name, parameter in plan.declared(plan.read_notebook(path), path.stem).items():
            if name != "needs":
                assert labels.label(name) != name, (path.stem, name)
                if parameter.default in ("", [], 0):
                    assert labels.empty(name), (path.stem, name)


def test_a_branch_own_definitions_are_told():
    assert "<dt>支部設定</dt><dd>なし(定義の既定値)</dd>" in month_page()
    own = {"overrides": {"prediabetes.fpg.lower": 100.0, "followup.months": 12}}
    text = month_page(definitions=own)
    assert "<dt>支部設定</dt><dd>prediabetes.fpg.lower = 100.0、followup.months = 12</dd>" in text


def test_reports_left_out_are_told():
    assert "省いた" not in month_page()
    text = month_page(skipped=[{"name": "04_x", "title": "題 <4>", "missing": ["national"]}])
    assert "表がないため省いた報告: 題 &lt;4&gt; (必要な表: national)" in text
