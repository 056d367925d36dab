"""Report test: notebook 09's points and places recomputed from the CSV in plain Python; the page without it."""

from __future__ import annotations

import csv
import statistics

import nbformat
import pytest

from kenpo_analytics import disclosure
from kenpo_analytics.runs.verify import verify
from tests.notebook_page import NOTEBOOKS, Page
from tests.test_notebook_04 import numbers

SAMPLE = NOTEBOOKS.parent / "data" / "sample"
KPIS = {
    "①特定健診等の実施率": ("incentive_checkup_rate", 70, (0.5, 0.25, 0.25)),
    "②特定保健指導の実施率": ("incentive_guidance_rate", 70, (0.5, 0.25, 0.25)),
    "③特定保健指導対象者の減少率": ("guidance_reduction_rate", 80, (1, 0, 0)),
    "④速やかに受診を要する者の医療機関受診率": ("incentive_visit_rate", 50, (0.5, 0.5, 0)),
    "⑤後発医薬品の使用割合": ("generic_share", 50, (0.5, 0.5, 0)),
}


@pytest.fixture(scope="module")
def page() -> Page:
    return Page("09_incentive")


@pytest.fixture(scope="module")
def counts() -> dict[tuple[str, str, str], tuple[float, float]]:
    """(KPI, month, branch) -> numerator and denominator, read by the standard library."""
    with (SAMPLE / "kpi_published.csv").open(encoding="utf-8-sig", newline="") as file:
        return {
            (row["kpi_id"], row["month"], row["area"]): (float(row["numerator"]), float(row["denominator"]))
            for row in csv.DictReader(file)
        }


def deviation(values: list[float]) -> list[float]:
    mean, spread = statistics.fmean(values), statistics.pstdev(values)
    return [50 + 10 * (value - mean) / spread for value in values]


def points(counts, label, extra=0.0) -> list[float]:
    """The points of the 47 branches for one indicator; `extra` percentage points for branch 24."""
    kpi_id, base, weights = KPIS[label]
    codes = [f"{code:02d}" for code in range(1, 48)]
    now = [counts[kpi_id, "2025-03", code] for code in codes]
    then = [counts[kpi_id, "2024-03", code] for code in codes]
    now[23] = (now[23][0] + extra / 100 * now[23][1], now[23][1])
    share, before = [k / n for k, n in now], [k / n for k, n in then]
    parts = [
        deviation(share),
        deviation([(p - q) / (1 - q) for p, q in zip(share, before, strict=True)]),
        deviation([k / j for (k, _), (j, _) in zip(now, then, strict=True)]),
    ]
    return [base / 50 * sum(w * part[at] for w, part in zip(weights, parts, strict=True)) for at in range(47)]


def place(totals: list[float]) -> int:
    return 1 + sum(total > totals[23] for total in totals)


def added(columns: list[list[float]]) -> list[float]:
    return [sum(each) for each in zip(*columns, strict=True)]


def test_the_page_is_publishable_and_every_output_is_stamped(page):
    page.must_be_publishable()
    found = verify(page.path)
    assert not found.public and found.headline["インセンティブの順位"]["estimate"] == 36


def test_points_of_the_five_indicators_are_those_of_the_csv(page, counts):
    shown = page.table("5指標の得点(2024年度)")
    assert [row["指標"] for row in shown] == list(KPIS)
    for row in shown:
        kpi_id, base, _ = KPIS[row["指標"]]
        taken, total = counts[kpi_id, "2025-03", "24"]
        assert numbers(row["実績"])[0] == pytest.approx(100 * taken / total, abs=0.0501)
        assert numbers(row["得点"])[0] == pytest.approx(points(counts, row["指標"])[23], abs=0.0501)
        assert numbers(row["素点"])[0] == base
        if kpi_id == "generic_share":
            assert row["実績の順位"] == "順位なし" and row["順位の95%区間"] == "―"
            continue
        shares = {code: k / n for (id, month, code), (k, n) in counts.items() if (id, month) == (kpi_id, "2025-03")}
        rank = 1 + sum(share > shares["24"] for share in shares.values())
        low, high = numbers(row["順位の95%区間"])
        assert numbers(row["実績の順位"])[0] == rank and low <= rank <= high and high - low >= 3


def test_the_total_its_place_and_the_line_are_recomputed(page, counts):
    (shown,) = page.table("合計点と順位(2024年度)")
    totals = added([points(counts, label) for label in KPIS])
    line = sorted(totals, reverse=True)[14]
    assert numbers(shown["合計点"])[0] == pytest.approx(totals[23], abs=0.0501)
    assert numbers(shown["順位"])[0] == place(totals) == 36
    assert numbers(shown["15位の点"])[0] == pytest.approx(line, abs=0.0501)
    assert numbers(shown["差"])[0] == pytest.approx(totals[23] - line, abs=0.0501)
    low, high = numbers(shown["順位の95%区間"])
    assert 10 <= low <= 20 and 42 <= high <= 47
    said = page.text("要約: ")
    assert "47支部中36位(順位の95%区間" in said and "仮定" in said
    assert "同じ大きさの集団で引き直したときに上位15に入る割合は" in said and "入る確率" not in said
    assert "引き直しで上位15に入る割合" in shown


def test_what_a_rise_brings_is_recomputed(page, counts):
    held = {label: points(counts, label) for label in KPIS}
    before = added(list(held.values()))
    for row in page.table("指標を1つだけ2ポイント上げた場合"):
        after = added(list((held | {row["指標"]: points(counts, row["指標"], 2.0)}).values()))
        assert numbers(row["合計点"])[0] == pytest.approx(after[23], abs=0.0501)
        assert numbers(row["合計点の増減"])[0] == pytest.approx(after[23] - before[23], abs=0.0501)
        assert numbers(row["順位"])[0] == place(after)
        low, high = numbers(row["順位の95%区間"])
        assert low <= place(after) <= high
        if row["指標"] == "②特定保健指導の実施率":
            kept, total = counts["incentive_guidance_rate", "2024-03", "24"]
            assert numbers(row["伸びしろ(100－前年度)"])[-1] == pytest.approx(100 * (1 - kept / total), abs=0.0501)


def test_the_smallest_rise_that_reaches_the_line(page, counts):
    held = {label: points(counts, label) for label in KPIS}
    for row in page.table("単独で15位に届く上げ幅"):
        needed = numbers(row["要る上げ幅(ポイント)"])[0]
        for extra, within in ((needed, True), (needed - 0.1, False)):
            after = added(list((held | {row["指標"]: points(counts, row["指標"], extra)}).values()))
            assert (place(after) <= 15) is within, row["指標"]


def test_assumptions_are_listed_as_such_and_the_settings_move_the_place(page):
    listed = page.table("用いた定義(インセンティブの配分)")
    assert sum(row["状態"] == "【仮定】" for row in listed) == len(listed) - 1 >= 18
    shown = page.table("仮定を変えた場合の順位")
    assert len(shown) == 5 and numbers(shown[0]["順位"])[0] == 36
    assert len({row["合計点"] for row in shown}) >= 4
    assert all(len(numbers(row["順位の95%区間"])) == 2 for row in shown)


def test_the_figure_has_an_alternative_and_its_numbers(page):
    (image,) = [o for o in page.outputs if o["data"].get("text/plain") == "<図: 47支部の合計点(2024年度)>"]
    alt = image["metadata"]["image/png"]["alt"]
    assert "47支部の合計点の積み上げ横棒。15位の点 333.1" in alt and "三重は305.73（36位）" in alt
    folded = page.table("47支部の合計点(2024年度)（数値）")
    assert len(folded) == 47 and disclosure.is_stamped(image)
    assert all(row["順位"] and len(numbers(row["順位の95%区間"])) == 2 for row in folded)


def executed(folder, monkeypatch, **parameters) -> tuple[str, list[str]]:
    """The page run on other data: its summary, and the plain text of everything shown; it must be publishable."""
    from nbclient import NotebookClient

    for path in SAMPLE.glob("*.parquet"):
        (folder / path.name).symlink_to(path)
    (folder / "SYNTHETIC").touch()
    monkeypatch.setenv("KENPO_DATA", str(folder))
    notebook = nbformat.read(NOTEBOOKS / "09_incentive.ipynb", as_version=4)
    for name, value in parameters.items():
        notebook.cells[1].source += f"\n{name} = {value!r}"
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    nbformat.write(notebook, folder / "09_incentive.ipynb")
    verify(folder / "09_incentive.ipynb")
    texts = [o["data"].get("text/plain", "") for c in notebook.cells for o in c.get("outputs", []) if "data" in o]
    (said,) = [text for text in texts if text.startswith("要約")]
    return said, texts


def test_without_the_table_the_page_says_so_and_what_it_needs(tmp_path, monkeypatch):
    said, texts = executed(tmp_path, monkeypatch)
    assert said == (
        "要約: 得点と順位は計算できません(①特定健診等の実施率の2025年3月の値が47支部のうち0支部しかありません。"
        "47支部がそろわない表はほかに8あります。要る表は2にあります)。"
    )
    assert "<表: 得点に要る47支部の表>" in texts and not [text for text in texts if text.startswith("<図")]
    made = Page(str(tmp_path / "09_incentive"))
    needed = made.table("得点に要る47支部の表")
    assert {row["ない支部"] for row in needed if row["時点"] == "2025年3月"} == {"すべて"}
    told = verify(made.path).headline["インセンティブの順位"]
    assert told["estimate"] is None and told["label"] == "インセンティブの順位(令和6年度): 計算できない"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"month": "2018-06"}, "2017年度のインセンティブ制度の定義がありません(制度は2018年度から)"),
        ({"fiscal_year": 2015}, "2015年度のインセンティブ制度の定義がありません(制度は2018年度から)"),
    ],
)
def test_a_year_before_the_programme_gives_a_sentence(tmp_path, monkeypatch, asked, why):
    said, texts = executed(tmp_path, monkeypatch, **asked)
    assert said == f"要約: 得点と順位は計算できません({why}。要る表は2にあります)。"
    assert not [text for text in texts if text.startswith(("<図", "<表: 得点に要る", "<表: 用いた定義"))]


def test_values_published_after_the_month_are_not_used(tmp_path, monkeypatch):
    """All of the sample's values are of a document of 2025-08-29: in July nobody has them, whatever year is asked."""
    (tmp_path / "kpi_published.csv").symlink_to(SAMPLE / "kpi_published.csv")
    said, texts = executed(tmp_path, monkeypatch, month="2025-07", fiscal_year=2024)
    assert "2025年3月の値が47支部のうち0支部しかありません" in said
    assert not [text for text in texts if text.startswith("<図")]


def test_a_year_with_a_missing_branch_is_passed_over_aloud(tmp_path, monkeypatch):
    """Tokyo is missing in one table of FY2024: the summary, a table and the month's index say so, and show FY2023."""
    with (SAMPLE / "kpi_published.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    gone = ("incentive_checkup_rate", "2025-03", "13")
    with (tmp_path / "kpi_published.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row for row in rows if (row["kpi_id"], row["month"], row["area"]) != gone)
    said, _ = executed(tmp_path, monkeypatch)
    assert said.startswith(
        "要約: 令和6年度は①特定健診等の実施率が46支部のため計算せず、令和5年度を示します。令和5年度の合計点は"
    )
    made = Page(str(tmp_path / "09_incentive"))
    (row,) = made.table("計算しなかった年度の、47支部がそろわない表")
    assert (row["年度"], row["指標"], row["時点"], row["届いた支部"], row["ない支部"]) == (
        *("2024年度", "①特定健診等の実施率", "2025年3月", "46", "東京"),
    )
    assert {row["ない支部"] for row in made.table("得点に要る47支部の表")} == {"なし"}  # of the year shown, none
    told = verify(made.path).headline["インセンティブの順位"]
    assert told["label"] == "インセンティブの順位(令和5年度。令和6年度は47支部がそろわず計算できない)"


def test_a_small_group_in_another_branch_hides_every_total_on_the_page(tmp_path, monkeypatch):
    """5 people in branch 31: branch 24's total stands in no table, though its own groups are large."""
    with (SAMPLE / "kpi_published.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if (row["kpi_id"], row["area"], row["month"]) == ("guidance_reduction_rate", "31", "2025-03"):
            row |= {"value": "", "numerator": "5"}
    with (tmp_path / "kpi_published.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    said, _ = executed(tmp_path, monkeypatch)
    assert "合計点と順位は、少ない人数の集団のある支部があり、秘匿のため示しません" in said and "位(順位" not in said
    made = Page(str(tmp_path / "09_incentive"))
    told = verify(made.path).headline["インセンティブの順位"]
    assert told["estimate"] is None and told["label"] == "インセンティブの順位(令和6年度): 示さない"
    hidden = {
        "合計点と順位(2024年度)": ("合計点", "順位", "15位の点", "差", "引き直しで上位15に入る割合"),
        "指標を1つだけ2ポイント上げた場合": ("合計点", "順位", "15位との差"),
        "単独で15位に届く上げ幅": ("要る上げ幅(ポイント)", "届く値", "要る人数"),
        "仮定を変えた場合の順位": ("合計点", "順位", "15位との差", "引き直しで上位15に入る割合"),
    }
    for title, columns in hidden.items():
        for row in made.table(title):
            assert {row[column] for column in columns} == {"秘匿"}, (title, row)
    points = {row["指標"][0]: row["得点"] for row in made.table("5指標の得点(2024年度)")}
    assert points["③"] == "秘匿" and not {points[sign] for sign in "①②④⑤"} & {"秘匿"}


def test_formula_headings_and_units_are_those_of_the_rules_in_force(page, tmp_path, monkeypatch):
    """A branch that counts the rise in points and divides by 46 reads so; the sample's page tells room and 47."""
    method = page.text("- 偏差値")
    assert "分母は支部数の47。仮定" in method and "伸びしろ(100－前年度の値)のうち、伸びた割合です(仮定)" in method
    assert "①特定健診等の実施率 70点(実績50%・上昇幅25%・件数上昇率25%)" in method and "平均は320点" in method
    assert "上昇幅(伸びしろに対する%)" in page.table("構成要素の値と偏差値")[0]
    assert "定義20のうち19は公表資料で確かめられていない仮定" in page.text("要約: ")
    (tmp_path / "kpi_published.csv").symlink_to(SAMPLE / "kpi_published.csv")
    own = {"rise": '"points"', "sd": '"sample"', "checkup.base": 62.5, "checkup.level": 75, "checkup.number": 0}
    lines = "\n".join(f'"incentive.{name}" = {value}' for name, value in own.items())
    (tmp_path / "kenpo.toml").write_text(f"[definitions]\n{lines}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    said, texts = executed(tmp_path, monkeypatch)
    assert "定義20のうち14は公表資料で" in said
    (method,) = [text for text in texts if text.startswith("- 偏差値")]
    assert "分母は支部数－1の46。支部設定" in method and "前年度の値からの差(ポイント)です(支部設定)" in method
    assert "伸びしろ" not in method and "①特定健診等の実施率 62.5点(実績75%・上昇幅25%)" in method
    made = Page(str(tmp_path / "09_incentive"))
    parts = {row["指標"][0]: row for row in made.table("構成要素の値と偏差値")}
    base = {row["指標"][0]: row for row in made.table("5指標の得点(2024年度)")}
    now, then = (numbers(base["②"][name])[0] for name in ("実績", "前年度"))
    assert numbers(parts["②"]["上昇幅(ポイント)"])[0] == pytest.approx(now - then, abs=0.1501)
    assert base["①"]["素点"] == "62.5" and parts["①"]["件数上昇率(%)"] == "使わない"
    assert "伸びしろ(100－前年度)" not in made.table("指標を1つだけ2ポイント上げた場合")[0]


@pytest.mark.slow
@pytest.mark.parametrize("case", ["printed", "few"])
def test_without_counts_or_with_few_people_the_page_still_runs(tmp_path, monkeypatch, case):
    """printed: the values of ④ only, so points and no place. few: 5 people of branch 24, so nothing of it is shown."""
    with (SAMPLE / "kpi_published.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["kpi_id"] == "incentive_visit_rate" and case == "printed":
            row |= {"numerator": "", "denominator": ""}
        elif (row["kpi_id"], row["area"], row["month"]) == ("guidance_reduction_rate", "24", "2025-03"):
            row |= {"value": "", "numerator": "5" if case == "few" else row["numerator"]}
    with (tmp_path / "kpi_published.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    said, texts = executed(tmp_path, monkeypatch)
    assert "<図: 47支部の合計点(2024年度)>" in texts
    if case == "printed":
        assert "点で、分子・分母がないため、順位の区間を計算できない" in said and "順位は示しません" in said
    else:
        assert "秘匿" in said and "位(順位" not in said
