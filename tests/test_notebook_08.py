"""Report test: notebook 08's numbers recounted person by person, its ranks against the planted ones, its masks."""

from __future__ import annotations

import json
import re

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2
from statsmodels.stats.proportion import proportion_confint

from kenpo_analytics.runs.verify import verify
from tests.notebook_page import NOTEBOOKS, Page
from tests.oracle_risks import level, risks
from tests.test_notebook_04 import numbers
from tests.test_risks_holders import sample_people

SAMPLE = NOTEBOOKS.parent / "data" / "sample"
LABELS = {
    "腹囲リスク": "risk_waist", "血圧リスク": "risk_bp", "脂質リスク": "risk_lipid", "代謝リスク": "risk_metabolic",
    "メタボ該当": "risk_mets", "メタボ予備群": "risk_premets", "肝機能リスク": "risk_liver", "喫煙": "risk_smoking",
}  # fmt: skip
BANDS = [f"{low}-{low + 4}" for low in range(40, 75, 5)]
NATIONAL = pl.read_parquet(SAMPLE / "national.parquet").filter(pl.col("period") == "FY2024")


@pytest.fixture(scope="module")
def page() -> Page:
    return Page("08_risk_profile")


@pytest.fixture(scope="module")
def people() -> list[dict]:
    """Everybody examined, judged by the oracle: risks, level, band and industry of the checkup day."""
    places = pl.read_parquet(SAMPLE / "workplaces.parquet")
    industry = dict(places.select("workplace_id", "industry").rows())
    return [
        row
        | risks(row)
        | {"level": level(row)[0], "band": BANDS[(row["age"] - 40) // 5], "industry": industry.get(row["workplace_id"])}
        for row in sample_people(2024).values()
    ]


def strata(measure: str, sex: str, area: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The nation's carriers and people by age band."""
    rows = NATIONAL.filter(pl.col("measure") == measure, pl.col("sex") == sex)
    rows = rows.filter(pl.col("area") == area) if area else rows
    sums = rows.group_by("age_band").agg(pl.col("events", "denominator").sum()).sort("age_band")
    return sums["events"].to_numpy().astype(float), sums["denominator"].to_numpy()


def counted(people: list[dict], risk: str, sex: str) -> tuple[np.ndarray, np.ndarray]:
    """Our carriers and judged people by age band."""
    known = [row for row in people if row["sex"] == sex and row[risk] is not None]
    return tuple(
        np.array(
            [sum(row["band"] == band and (kind == "n" or row[risk]) for row in known) for band in BANDS], dtype=float
        )
        for kind in ("k", "n")
    )  # type: ignore[return-value]


def standardised(events: np.ndarray, persons: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    """The weighted share and Wilson's interval at its effective size."""
    mix, share = weight / weight.sum(), events / persons
    value = (mix * share).sum()
    size = value * (1 - value) / (mix**2 * share * (1 - share) / persons).sum()
    return (value, *proportion_confint(value * size, size, method="wilson"))


def rows_of(shown: list[dict], label: str) -> dict[str, dict]:
    return {row["性別"]: row for row in shown if row["リスク"] == label}


def test_the_page_is_publishable_and_every_output_is_stamped(page: Page) -> None:
    page.must_be_publishable()
    found = verify(page.path)
    assert not found.public and set(found.headline) == {"代謝リスク(年齢調整、男)", "代謝リスク(年齢調整、女)"}


def test_every_rate_is_recounted_from_people(page: Page, people: list[dict]) -> None:
    assert len(people) == 10843
    rates, gaps = page.table("リスク保有割合(2024年度)"), page.table("全国との差(年齢調整、2024年度)")
    assert len(rates) == len(gaps) == 16
    for label, risk in LABELS.items():
        for sex, word in (("M", "男"), ("F", "女")):
            row, gap = rows_of(rates, label)[word], rows_of(gaps, label)[word]
            events, persons = counted(people, risk, sex)
            assert numbers(row["該当(人)"]) == [events.sum()] and numbers(row["判定できた人"]) == [persons.sum()]
            crude = proportion_confint(events.sum(), persons.sum(), method="wilson")
            assert numbers(row["95%信頼区間(粗)"]) == pytest.approx([100 * x for x in crude], abs=0.0501)
            weight = strata("risk_bp", sex)[1]
            value, low, high = standardised(events, persons, weight)
            assert numbers(row["年齢調整"]) == pytest.approx([100 * value], abs=0.0501)
            assert numbers(row["95%信頼区間(調整)"]) == pytest.approx([100 * low, 100 * high], abs=0.0501)
            if risk == "risk_liver":
                assert gap["全国"] == gap["健診データだけの判定"] == "全国値なし" and gap["差(ポイント)"] == "―"
                continue
            nation = standardised(*strata(risk, sex), weight)
            assert numbers(gap["全国"]) == pytest.approx([100 * nation[0]], abs=0.0501)
            ends = (
                value - nation[0] - np.hypot(value - low, nation[2] - nation[0]),
                value - nation[0] + np.hypot(high - value, nation[0] - nation[1]),
            )
            assert numbers(gap["差の95%信頼区間"]) == pytest.approx([100 * x for x in ends], abs=0.00501)
            word = "高い" if ends[0] > 0 else "低い" if ends[1] < 0 else "差があるとはいえない"
            assert gap["健診データだけの判定"] == word
            both = rows_of(page.table("健診データと47支部の集計表の照合(年齢調整、2024年度)"), label)[
                "男" if sex == "M" else "女"
            ]
            theirs = standardised(*strata(risk, sex, "24"), weight)
            assert numbers(both["集計表のこの支部"]) == pytest.approx([100 * theirs[0]], abs=0.0501)
            table = "高い" if theirs[1] > nation[0] else "低い" if theirs[2] < nation[0] else "差があるとはいえない"
            across = (value - nation[0]) * {"高い": 1, "低い": -1}.get(table, 0) < 0
            clash = across or (word in ("高い", "低い") and word != table)
            assert both["判定"] == ("出どころで不一致" if clash else table)
    assert "標準人口: 47支部の健診受診者(2024年度、9,326,739人)" in page.text("標準人口")
    assert "ID: kenpo47-fy2024-examined-sex-age5" in page.text("標準人口")
    assert "血圧リスク" in page.text("要約") and "治療を始めても下がりません" in page.text("要約")


def test_ranks_stand_with_their_interval_and_hold_the_planted_place(page: Page) -> None:
    truth = json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))["risks"]["branches"]
    shown = page.table("この支部の順位(47支部中、1位が最も低い)")
    assert len(shown) == 14 and all(row["リスク"] != "肝機能リスク" for row in shown)
    held = 0
    for row in shown:
        low, high = numbers(row["順位の95%区間"])
        assert low <= numbers(row["順位"])[0] <= high
        held += low <= truth[LABELS[row["リスク"]]]["24"]["rank"] <= high
    assert held >= 13  # of 14 intervals at 95 %


def test_metabolic_risk_is_split_by_treatment(page: Page, people: list[dict]) -> None:
    shown = {row["リスク"]: numbers(row["該当(人)"])[0] for row in page.table("代謝リスクの内訳(男女計、2024年度)")}
    holders = [row for row in people if row["risk_metabolic"]]
    assert shown["代謝リスク"] == len(holders)
    assert shown["代謝リスク(服薬中)"] == sum(row["medication_glucose"] is True for row in holders)
    assert shown["代謝リスク(服薬なし)"] == sum(row["medication_glucose"] is False for row in holders)
    assert shown["代謝リスク(服薬不明)"] == sum(row["medication_glucose"] is None for row in holders)
    assert sum(shown.values()) == 2 * len(holders)  # the parts add up
    judged = {row["判定できた人"] for row in page.table("代謝リスクの内訳(男女計、2024年度)")}
    assert len(judged) == 1  # over one denominator
    markdown = "".join(cell.source for cell in page.notebook.cells if cell.cell_type == "markdown")
    assert "血糖の薬を飲んでいる人を該当に数えます。そのため、受診や治療が進んでも率は下がりません" in markdown


def test_the_card_is_observed_over_expected(page: Page, people: list[dict]) -> None:
    title = "健康度カルテ: 道路貨物運送業(2024年度)の数値"
    ours = [row for row in people if row["industry"] == "道路貨物運送業"]
    for row in page.table(title):
        risk, known = LABELS[row["リスク"]], [one for one in ours if one[LABELS[row["リスク"]]] is not None]
        observed = sum(one[risk] for one in known)
        assert numbers(row["該当(人)"]) == [observed] and numbers(row["判定できた人"]) == [len(known)]
        table = {sex: counted(people, risk, sex) if risk == "risk_liver" else strata(risk, sex) for sex in "MF"}
        rate = {sex: events / persons for sex, (events, persons) in table.items()}
        expected = sum(rate[one["sex"]][BANDS.index(one["band"])] for one in known)
        assert numbers(row["期待される人数"])[0] == pytest.approx(expected, abs=0.0501)
        assert numbers(row["O/E"])[0] == pytest.approx(observed / expected, abs=0.00501)
        limits = chi2.ppf([0.025, 0.975], [2 * observed, 2 * observed + 2]) / 2 / expected
        assert numbers(row["95%正確区間"]) == pytest.approx(list(limits), abs=0.00501)
    liver = next(row for row in page.table(title) if row["リスク"] == "肝機能リスク")
    assert liver["判定"] == "支部より低い" and numbers(liver["95%正確区間"])[1] < 1
    place = page.table("健康度カルテ: 事業所 W01503(2024年度)の数値")
    assert [row["該当(人)"] for row in place if row["リスク"] == "メタボ予備群"] == ["秘匿"]  # 30 - 15 - 13 = 2 people
    assert {row["判定できた人"] for row in place if row["リスク"] == "腹囲リスク"} == {"87"}


def test_grids_are_masked_and_shaded_only_where_the_interval_excludes_one(page: Page, people: list[dict]) -> None:
    for title in (
        "業態別のO/E(2024年度、性・年齢をそろえた比)",
        "市町村別のO/E(2024年度、性・年齢をそろえた比、三重支部加入者に限る)",
    ):
        shown = page.table(title)
        cells = [cell for row in shown for name, cell in row.items() if name]
        assert len(cells) == len(shown) * 8 and "秘匿" in cells
        for cell in (cell for cell in cells if cell not in ("秘匿", "判定不能")):
            ratio, low, high = (float(x) for x in re.findall(r"\d+\.\d\d", cell))
            assert low <= ratio <= high
            assert ("▲" in cell) == (low > 1) or low == 1.0
            assert ("▼" in cell) == (high < 1) or high == 1.0
    freight = next(
        row for row in page.table("業態別のO/E(2024年度、性・年齢をそろえた比)") if row[""] == "道路貨物運送業"
    )
    assert freight["肝機能リスク"] == "▼0.820.69～0.96"


def test_levels_and_the_decrease_add_up(page: Page, people: list[dict]) -> None:
    shown = [row for row in page.table("階層化の結果") if row["年度"] == "2024年度"]
    assert {row["区分"]: numbers(row["男女計"])[0] for row in shown} == {
        name: sum(row["level"] == name for row in people) for name in {row["level"] for row in people}
    }
    assert {row["定義の版"] for row in page.table("階層化の結果")} == {"第3期(仮定)", "第4期"}
    parts = ("対象でなくなった", "服薬で対象外", "引き続き対象", "今年度の健診なし・判定不能")
    for row in page.table("2023年度の対象者の2024年度の状態と減少率"):
        n = {name: numbers(row[name])[0] for name in (*parts, "前年度の対象者")}
        assert n["前年度の対象者"] == sum(n[name] for name in parts)
        decreased, still = n["対象でなくなった"], n["引き続き対象"]
        assert numbers(row["減少率"])[0] == pytest.approx(100 * decreased / (decreased + still), abs=0.0501)
    aligned = page.table("階層化の版をそろえた減少率(2024年度の版を両年度に当てる)")
    assert [row["減少率"] for row in aligned] == ["30.8%", "26.7%", "27.5%"] and "前年度の対象者" not in aligned[0]
    levels = {row["区分"]: numbers(row["対象者"])[0] for row in page.table("2023年度の対象者の区分")}
    everybody = page.table("2023年度の対象者の2024年度の状態と減少率")[-1]
    assert levels["判定不能"] == 16 and sum(levels.values()) == numbers(everybody["前年度の対象者"])[0] == 2069
    assert "特定保健指導の効果ではありません" in page.text("対象者は検査値が高いために選ばれた人")


def test_smoking_is_cut_where_the_question_changes(page: Page) -> None:
    assert "喫煙は2024年度から定義の版が変わるため線を切り" in page.text("破線は全国で")
    rows = {row["有効期間"]: row["状態"] for row in page.table("用いた定義(リスク)") if row["定義"].startswith("喫煙")}
    assert rows == {"～2024-04(未満)": "【仮定】", "2024-04～": "確認済"}


def test_the_summary_takes_the_table_of_the_branches_and_withholds_what_does_not_agree(page: Page) -> None:
    text = page.text("要約")
    assert "47支部の集計表で男が22.9%(95%信頼区間 22.6% ～ 23.2%)" in text and "47支部中32位" in text
    assert "支部の健診データでは22.4%" in text and "高い・低いとしないのは女のメタボ該当、男のメタボ予備群" in text


def test_published_values_are_apart_and_never_called_synthetic(page: Page) -> None:
    public = [o for o in page.outputs if (o["metadata"]["kenpo"].get("log") or {}).get("rule") == "public"]
    assert [o["data"]["text/plain"] for o in public] == ["<表: 協会けんぽのリスク保有率(男性、公表値)>"]
    assert "合成データ" not in public[0]["data"]["text/html"]
    assert {row["リスク"]: row["%"] for row in page.table("協会けんぽのリスク保有率(男性、公表値)")}[
        "腹囲リスク"
    ] == "50.6 or 53.3"


def test_every_figure_has_an_alternative_with_numbers(page: Page) -> None:
    images = {
        o["data"]["text/plain"]: o["metadata"]["image/png"]["alt"] for o in page.outputs if "image/png" in o["data"]
    }
    assert len(images) == 7
    assert (
        "男で全国より高いのは血圧リスク、代謝リスク、メタボ該当、低いのは腹囲リスク、喫煙。"
        in images["<図: リスク保有割合(年齢調整、2024年度)>"]
    )
    assert "喫煙1.05" in images["<図: 健康度カルテ: 道路貨物運送業(2024年度)>"]
    assert "代謝リスクの男は10.4%から38.2%" in images["<図: 年齢階級別のリスク保有割合(2024年度)>"]
