"""The A3 page and the Excel file: every state, nothing unmasked, no line across a break, one sheet of paper."""

from __future__ import annotations

import io
import itertools
import re
import shutil
import subprocess
import zipfile
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import fastexcel
import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics import disclosure, kpi, report
from kenpo_analytics.definitions import kpi as registry
from kenpo_analytics.definitions.calendar import events
from kenpo_analytics.errors import DisclosureError
from kenpo_analytics.months import fiscal_year_of, months_between
from kenpo_analytics.report import meeting, spark
from kenpo_analytics.report._emit import CONTEXT
from kenpo_analytics.report.attachments import Attachment
from kenpo_analytics.runs.html import external
from tests.test_kpi_status import NEW, OLD, rows, table

MONTH = 202510


def months(first: int, last: int) -> list[int]:
    every = [y * 100 + m for y in range(first // 100, last // 100 + 1) for m in range(1, 13)]
    return [month for month in every if first <= month <= last]


def world() -> list[tuple]:
    """Every KPI in force with monthly values; breaks where the registry has one; a masked, a late and a gone month."""
    held: list[tuple] = []
    for item in registry.in_year(2025):
        for month in months(202304, MONTH):
            version = registry.version_at(item.id, month).version
            state = "provisional" if month > 202508 else "final"
            under = None if not item.denominator else 1000
            held += rows(item.id, {month: (300 + month % 100, under, version, state)})
    held += rows("checkup_rate_dependent", {202510: (7, 400, NEW, "provisional")})
    held = [row for row in held if row[1:3] != ("guidance_rate_insured", 202405)]
    return list({row[1:4]: row for row in held}.values())


def page_of(held: list[tuple], *, synthetic: bool = True, groups: tuple[str, ...] = registry.GROUPS) -> str:
    CONTEXT.synthetic = synthetic
    totals = table(held)
    asked = {"month": MONTH, "branch": "24"}
    stands, series = kpi.status(totals, **asked), kpi.monthly_series(totals, **asked)
    made = report.meeting_page(
        disclosure.check_kpi(stands.filter(pl.col("group").is_in([*groups, ""])), together=series),
        landing=disclosure.check_kpi(kpi.landing(totals, **asked).rows, together=series),
        series=disclosure.check_kpi(series, by=("kpi_id", "month", "definition_version")),
        settled=disclosure.check_kpi(kpi.status(totals, use="final", **asked), together=series),
        title="KPI会議資料(2025年10月)",
        month=MONTH,
        branch="24",
        name="x.html",
    )
    CONTEXT.synthetic = False
    return made.content.decode("utf-8")


@pytest.fixture(scope="module")
def page() -> str:
    return page_of(world())


def card(page: str, short: str) -> str:
    (found,) = [part for part in page.split("<article")[1:] if f"</span>{short}<span" in part]
    return found.split("</article>")[0]


def test_every_kpi_stands_in_the_column_of_its_group(page):
    order = re.findall(r"<h2>([^<]+)<small>(\d+)指標(?:＋参考(\d+))?<", page)
    groups = [(item.group, item.kind == "reference") for item in registry.in_year(2025)]
    counted = [(group, groups.count((group, False)), groups.count((group, True))) for group in registry.GROUPS]
    assert [(group, int(n), int(more or 0)) for group, n, more in order] == counted
    in_force = [item.short for item in registry.in_year(2025)]
    assert all(f"</span>{short}<span" in page for short in in_force) and len(in_force) == page.count("<article")
    assert "合成データ：実在の" in page and external(page) == []
    assert "合成データ" not in page_of(world(), synthetic=False)


def test_a_card_tells_value_target_gap_last_year_nation_and_status(page):
    one = card(page, "生活習慣病予防健診")
    assert "31.0%" in one and "310/1,000" in one and "2025年10月速報" in one
    assert "69.5%<" in one and "(差 " not in one and "58.4%(2025年3月)" in one and ">進捗中<" in one
    low, high = re.search(r"95%CI ([\d.]+)%～([\d.]+)%", one).groups()
    assert (float(low), float(high)) == pytest.approx((28.2, 33.9), abs=0.051)  # R: prop.test(310, 1000)-Wilson
    assert "全国値なし" in card(page, "平均所要日数")


def fact(card: str, name: str) -> str:
    found = re.findall(rf"<dt>{name}</dt><dd>([^<]*)</dd>", card)
    return found[0] if found else ""


RISING = {month: 0.05 * (month % 100 - 3 if month % 100 > 3 else month % 100 + 9) for month in months(202104, 202508)}


@pytest.mark.parametrize(("level", "said"), [(1.2, "目標に届く"), (0.8, "目標に届かない")])
def test_a_landing_with_an_interval_says_whether_the_target_is_reached(level, said):
    growth = {2021: 1.0, 2022: 1.2, 2023: 0.9, 2024: 1.15, 2025: 1.0}  # last March says little of this one
    counts = {
        m: (round(1e5 * share * level * growth[fiscal_year_of(m)]), 100_000, NEW, "final")
        for m, share in RISING.items()
    }
    one = card(page_of(rows("checkup_rate_insured", counts)), "生活習慣病予防健診")
    assert re.fullmatch(r"[\d.]+%\([\d.]+～[\d.]+%、8月から\)", fact(one, "年度末")) and fact(one, "見通し") == said


def test_the_year_before_is_compared_in_the_last_final_month_or_says_why_not():
    late = {202510: (330, 1000, NEW, "provisional")}
    held = [
        *rows("checkup_rate_insured", {202408: (200, 1000), 202508: (212, 1000)} | late),
        *rows("counter_rate", {202508: (20, 1000)} | late),
        *rows("service_standard_rate", {202410: (990, 1000)} | late),
        *rows("committee_coverage_rate", late),
        *rows("untreated_visit_rate", {202308: (100, 1000, OLD), 202408: (110, 1000, OLD), 202508: (330, 1000)} | late),
        *rows("guidance_rate_dependent", {202408: (7, 100), 202508: (30, 100)} | late),
    ]
    page = page_of(held)
    told = {
        item.short: fact(card(page, item.short), "前年同月")
        for item in registry.in_year(2025)
        if item.kind != "reference"
    }
    assert told["生活習慣病予防健診"] == "8月(確定) 20.0%(+1.2ポイント)"
    assert told["窓口受付率"] == "前年の値なし" == told["健康保険委員(被保険者)"] == told["SNSの発信"]
    assert told["サービススタンダード達成率"] == "確定した月なし"
    assert told["未治療者の10か月以内受診"] == "前年は定義の版が違う"
    assert told["保健指導(被扶養者)"] == "8月(確定) 秘匿"


def test_no_landing_says_why_in_short(page):
    assert fact(card(page, "バイオシミラー事業"), "年度末") == "見込みなし(見込む指標でない)"
    held = page_of(rows("checkup_rate_insured", {202510: (300, 1000, NEW, "provisional")}))
    assert fact(card(held, "生活習慣病予防健診"), "年度末") == "見込みなし(確定した月なし)"
    assert fact(card(held, "査定率"), "年度末") == "見込みなし(実績なし)"
    held = page_of(rows("checkup_rate_insured", {202505: (300, 1000)}))
    assert fact(card(held, "生活習慣病予防健診"), "年度末") == "見込みなし(過去の年度なし)"


def test_done_is_a_word_and_whole_numbers_have_no_tick_twice():
    held = [
        *rows("biosimilar_programme", {202504: (0, None), 202510: (1, None)}),
        *rows("sns_posts", {202504: (1, None), 202510: (2, None)}),
    ]
    series = kpi.monthly_series(table(held), month=MONTH, branch="24")
    drawn = {
        id: spark.timeline(series.filter(pl.col("kpi_id") == id), first=202504, last=202603)
        for id in ("biosimilar_programme", "sns_posts")
    }
    ticks = {id: re.findall(r'text-anchor="end"[^>]*>([^<]*)<', svg) for id, svg in drawn.items()}
    assert ticks == {"biosimilar_programme": ["未実施", "実施"], "sns_posts": ["1", "2"]}
    assert "2025年10月は実施" in drawn["biosimilar_programme"]


def test_few_people_are_masked_on_the_sheet_with_their_share(page):
    one = card(page, "被扶養者の特定健診")
    assert "秘匿" in one and "1.8%" not in one and ">7/" not in one and "95%CI" not in one


def test_what_is_no_kpi_of_the_plan_stands_apart_and_has_no_verdict(page):
    assert "計画のKPI 19指標" in page and "(ほかに参考 8)" in page
    column = page.split("<h2>企画総務<")[1].split("</section>")[0]
    plan, beside = column.split("<h4>参考(計画のKPIではない)</h4>")
    beside_shorts = [
        item.short for item in registry.in_year(2025) if (item.group, item.kind) == ("企画総務", "reference")
    ]
    assert all(f"</span>{short}<span" in beside and f"</span>{short}<span" not in plan for short in beside_shorts)
    assert beside.count(">参考</span>") == len(beside_shorts) and "判定不能" not in beside and "参考</span>" not in plan


def test_an_ended_kpi_is_of_the_plan_in_its_years_and_for_reference_after():
    held = rows("benefit_mail_rate", {202503: (96, 100), 202504: (97, 100)})
    one = card(page_of(held), "郵送化率")
    assert 'class="badge reference">参考<' in one and "終わったKPI" in one
    row = kpi.status(table(held), month=202503, branch="24").filter(pl.col("kpi_id") == "benefit_mail_rate")
    assert meeting._planned(row.row(0, named=True))


def test_version_and_sources_of_every_kpi_stand_on_the_sheet(page):
    """Letters lead to the texts: each is followed back to what the registry and the targets say."""
    block = page.split('<div class="origins">')[1].split("</div></div>")[0]
    letters = {key: unescape(text) for key, text in re.findall(r"<span><b>(\w+)</b> ([^<]*)</span>", block)}
    lines = {row[0]: row[1:] for row in (re.findall(r"<td>([^<]*)</td>", line) for line in block.split("<tr>")) if row}
    assert set(lines) == {item.short for item in registry.in_year(2025)}
    for item in registry.in_year(2025):
        version, definition, *_ = lines[item.short]
        assert version == registry.version_at(item.id, MONTH).version and letters[definition] == item.source
    target, nation = (letters[key] for key in lines["生活習慣病予防健診"][2:4])
    assert target == "三重支部 令和7年度事業計画" and nation == "協会けんぽ 令和6年度事業報告書 p.120"
    assert lines["時間外受診(初診)"][2:] == ["―", "―", "―"]


def pieces(part: pl.DataFrame) -> list[list[tuple[int, str]]]:
    return [[(r["month"], r["definition_version"]) for r in line] for line, *_ in spark._pieces(part, 202603)]


def test_no_line_of_a_timeline_crosses_a_break_a_gap_or_a_new_year():
    series = kpi.monthly_series(table(world()), month=MONTH, branch="24")
    broken = pieces(series.filter(pl.col("kpi_id") == "untreated_visit_rate"))
    assert all(len({version for _, version in line}) == 1 for line in broken)
    assert {line[0][1] for line in broken} == {OLD, NEW}
    assert spark.breaks(series.filter(pl.col("kpi_id") == "untreated_visit_rate")) == [202404]
    yearly = pieces(series.filter(pl.col("kpi_id") == "checkup_rate_insured"))
    assert [line[0][0] for line in yearly] == [202304, 202404, 202504, 202508]  # the last one is 速報, joined to August
    gap = pieces(series.filter(pl.col("kpi_id") == "guidance_rate_insured"))
    assert not any(months_between(a, b) > 1 for line in gap for (a, _), (b, _) in itertools.pairwise(line))
    level = pieces(series.filter(pl.col("kpi_id") == "generic_share"))
    assert [line[0][0] for line in level] == [202304, 202503, 202508]  # one line, only its colour changes


def test_events_are_numbered_on_the_timeline_and_listed(page):
    listed = re.findall(r"<tr><td>(\d+)</td><td>(\d+年\d+月)</td><td>([^<]+)</td><td>([^<]*)", page)
    drawn = events([item.id for item in registry.in_year(2025)], first=202204, last=202603)
    assert [row[2] for row in listed] == [event.short for event in drawn]
    assert {row[2]: row[3] for row in listed}["令和6年度改定"] == ""
    assert {row[2]: row[3] for row in listed}["令和4年度改定"] == "【仮定】"
    number = {row[2]: row[0] for row in listed}
    generic = card(page, "ジェネリック(数量)")
    assert f">{number['長期収載品の選定療養']}</text>" in generic and "定義変更" not in generic
    assert f">{number['第4期特定健診']}</text>" not in generic
    assert "定義変更" in card(page, "査定率")


def test_an_unregistered_kpi_and_a_year_without_data_are_said():
    page = page_of([*rows("mystery", {MONTH: (1, 2)}), *rows("single_bid_rate", {MONTH: (1, 8)})])
    assert "登録されていない指標: mystery(登録されていないKPI)" in page
    assert "この年度の実績が届いていない" in card(page, "査定率") and "<svg" not in card(page, "査定率")


def test_only_checked_results_are_taken():
    raw = kpi.status(table(world()), month=MONTH, branch="24")
    with pytest.raises(DisclosureError):
        report.meeting_page(raw, landing=raw, series=raw, title="x", month=MONTH, branch="24", name="x.html")
    with pytest.raises(DisclosureError):
        report.workbook([report.Sheet("x", raw, {"short": "指標"})], name="x.xlsx", title="x", month=MONTH)
    with pytest.raises(DisclosureError):
        Attachment("x.html", "x", b"7")


def chromium(folder: Path, page: str, *words: str) -> str:
    """What chromium says of a page, at the size of A3 on a screen."""
    (folder / "x.html").write_text(page, encoding="utf-8")
    fixed = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}")
    asked = ["chromium", *fixed, "--window-size=1600,1130", *words, f"file://{folder / 'x.html'}"]
    return subprocess.run(asked, capture_output=True, timeout=120, check=True, text=True).stdout


MEASURE = """<script>
const wrong = [];
for (const box of document.querySelectorAll(".sheet, .half, .tables, .card, .card h3, .value"))
  if (box.scrollHeight > box.clientHeight + 1) wrong.push("clipped " + box.className + box.innerText.slice(0, 20));
for (const text of document.querySelectorAll(".card dd, .card h3, .value"))
  if (text.scrollWidth > text.clientWidth + 1) wrong.push("cut " + text.innerText);
for (const card of document.querySelectorAll(".card")) {
  const badge = card.querySelector(".badge").getBoundingClientRect(), value = card.querySelector(".value");
  if (value && value.getBoundingClientRect().top < badge.bottom) wrong.push("overlap " + card.innerText.slice(0, 20));
}
document.body.innerHTML = "<pre>" + (wrong.join("\\n") || "clean") + "</pre>";
</script>"""


@pytest.mark.e2e
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")
@pytest.mark.parametrize("groups", [registry.GROUPS, registry.GROUPS[-1:]])
def test_it_prints_on_exactly_one_sheet_of_a3_with_nothing_clipped_or_overlapping(groups, tmp_path):
    page = page_of(world(), groups=groups)
    chromium(tmp_path, page, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'x.pdf'}")
    pdf = (tmp_path / "x.pdf").read_bytes()
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    (box,) = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert [float(side) / 72 * 25.4 for side in box] == pytest.approx([420, 297], abs=0.5)
    assert "<pre>clean</pre>" in chromium(tmp_path, page.replace("</body>", MEASURE + "</body>"), "--dump-dom")


# --- Excel ---------------------------------------------------------------------------------------------------------

C = report.Col


def book(*sheets: report.Sheet, synthetic: bool = True) -> tuple[bytes, dict[str, pl.DataFrame]]:
    CONTEXT.synthetic = synthetic
    content = report.workbook(sheets, name="x.xlsx", title="KPI", month=MONTH).content
    CONTEXT.synthetic = False
    read = fastexcel.read_excel(content)
    return content, {name: read.load_sheet(name, header_row=None).to_polars() for name in read.sheet_names}


@pytest.fixture(scope="module")
def status() -> disclosure.Checked:
    return disclosure.check_kpi(kpi.status(table(world()), month=MONTH, branch="24"))


COLUMNS = {
    "short": "指標",
    "month": C("時点", "month"),
    "estimate": C("実績", "unit"),
    "lower": C("95%信頼区間", "unit", upper="upper"),
    "people_numerator": C("分子(人)", "count"),
    "national": C("全国", "unit", absent="全国値なし"),
}


def test_a_sheet_holds_the_masked_table_with_version_and_source(status):
    _, found = book(report.Sheet("KPIの一覧", status, COLUMNS), report.Sheet("二つ目", status, {"short": "指標"}))
    assert list(found) == ["1 KPIの一覧", "2 二つ目"]
    for sheet in found.values():
        assert sheet.item(1, 0).startswith("合成データ")
    cells = found["1 KPIの一覧"].rows()
    head = next(row for row in cells if row[0] == "指標")
    assert head == (
        *("指標", "時点", "実績", "95%信頼区間(下限)", "95%信頼区間(上限)", "分子(人)", "全国", "定義の版", "出典"),
    )
    lines = {row[0]: dict(zip(head, row, strict=True)) for row in cells}
    one = lines["生活習慣病予防健診"]
    assert float(one["実績"]) == 0.31 and float(one["分子(人)"]) == 310 and one["時点"] == "2025年10月"
    source = f"支部のデータ。指標の定義: {registry.kpi('checkup_rate_insured').source}"
    assert (one["定義の版"], one["出典"]) == (NEW, source)
    few = lines["被扶養者の特定健診"]
    assert {few[name] for name in ("実績", "95%信頼区間(下限)", "分子(人)")} == {"秘匿"}
    assert lines["平均所要日数"]["全国"] == "全国値なし"


def test_a_source_of_its_own_is_not_said_twice_and_done_and_errors_are_written(status):
    own = {"short": "指標", "target_source": "出典", "estimate": C("実績", "unit"), "gap": C("差", "error")}
    _, found = book(report.Sheet("出典", status, own))
    cells = next(iter(found.values())).rows()
    head = next(row for row in cells if row[0] == "指標")
    assert head == ("指標", "出典", "実績", "差", "定義の版")
    lines = {row[0]: dict(zip(head, row, strict=True)) for row in cells}
    assert lines["生活習慣病予防健診"]["出典"] == "三重支部 令和7年度事業計画"
    assert (lines["バイオシミラー事業"]["実績"], lines["バイオシミラー事業"]["差"]) == ("実施", "―")


def test_a_table_that_is_shown_is_kept_and_one_without_rows_has_no_sheet(status, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: said.append(data["text/plain"]))
    sheets = report.Sheets()
    sheets.show(status, title="一覧", columns={"short": "指標"})
    sheets.show(status.where(kpi_id="x"), title="空", columns={"short": "指標"}, empty="ありません。")
    assert said == ["<表: 一覧>", "ありません。"]
    _, pages = book(*sheets)
    assert list(pages) == ["1 一覧"]


def test_the_label_is_not_on_a_sheet_of_published_values(status):
    history = ka.check_public(
        kpi.plan_history(), source="計画", reasons=dict.fromkeys(["mie", "target", "nation"], "missing")
    )
    columns = {"short": "指標", "mie": C("三重", "unit"), "definition_version": "定義の版"}
    _, found = book(report.Sheet("公表値", history, columns), report.Sheet("支部", status, {"short": "指標"}))
    assert not any("合成データ" in str(cell) for row in found["1 公表値"].rows() for cell in row)
    assert found["2 支部"].item(1, 0).startswith("合成データ")
    head = next(row for row in found["1 公表値"].rows() if row[0] == "指標")
    assert head == ("指標", "三重", "定義の版", "出典")
    assert {OLD, NEW} <= {row[2] for row in found["1 公表値"].rows()}


def xml(content: bytes, part: str) -> ElementTree.Element:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return ElementTree.fromstring(archive.read(part))


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://a.example")', "\t=1"])
def test_text_is_never_a_formula(evil):
    frame = pl.DataFrame({"name": [evil, "安全"], "n": [30, 40]})
    checked = ka.check(frame, counts=["n"], by=["name"], labels=())
    content, found = book(report.Sheet(evil[:20], checked, {"name": "名前", "n": C("人数", "count")}))
    sheet = xml(content, "xl/worksheets/sheet1.xml")
    space = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    assert sheet.findall(".//x:f", space) == [] and sheet.findall(".//x:hyperlink", space) == []
    cell = next(c for c in sheet.iterfind(".//x:c", space) if c.get("r") == "A6")
    assert cell.get("t") == "s"
    styles = xml(content, "xl/styles.xml").findall(".//x:cellXfs/x:xf", space)
    assert styles[int(cell.get("s"))].get("quotePrefix") == "1"
    assert evil.strip() in {str(row[0]).strip() for row in next(iter(found.values())).rows()}


def test_the_file_is_the_same_in_every_run(status):
    sheets = [report.Sheet("x", status, COLUMNS)]
    assert book(*sheets)[0] == book(*sheets)[0]
