"""The page of published figures: its sentences, and which ranks may move."""

from __future__ import annotations

import polars as pl
import pytest

from kenpo_analytics import report
from kenpo_analytics.definitions import national
from kenpo_analytics.disclosure import Checked, check_public


def rows(*, rank: int | None = 9) -> Checked:
    """Men at 8.00 % and women at 3.50 %, the nation at 8.5 and 3.5."""
    table = pl.DataFrame(
        {
            "label": ["HbA1c 6.5%以上"] * 2, "sex": ["M", "F"], "rank": [rank, 22], "level": [0.95] * 2,
            "estimate": [0.08, 0.035], "lower": [0.078, 0.034], "upper": [0.082, 0.036],
            "gap": [-0.005, 0.0], "gap_lower": [-0.007, -0.001], "gap_upper": [-0.003, 0.001],
        }
    )  # fmt: skip
    return check_public(table, source="出典", reasons={"rank": "not_applicable"})


def test_the_summary_gives_share_place_and_gap_with_their_intervals() -> None:
    assert report.benchmark_summary(rows(), name="三重") == (
        "三重の健診受診者のうちHbA1c 6.5%以上の割合(年齢調整、2022年度)は、"
        "男が8.00%(95%信頼区間 7.80% ～ 8.20%)で47都道府県中9位、"
        "全国との差は−0.50ポイント(95%信頼区間 −0.70 ～ −0.30)、"
        "女が3.50%(95%信頼区間 3.40% ～ 3.60%)で47都道府県中22位、"
        "全国との差は0.00ポイント(95%信頼区間 −0.10 ～ +0.10)でした(1位が最も低い)。"
        "全保険者の値で治療中の人を含みます。協会けんぽの支部と全国の差を検定するものではありません。"
    )


def test_an_area_without_place_has_none_in_the_sentence() -> None:
    assert "47都道府県中―位" in report.benchmark_summary(rows(rank=None), name="判別不可")


def test_neighbours_overlap_where_the_upper_limit_reaches_the_next_lower_one() -> None:
    men = {"sex": "M", "estimate": [0.3, 0.1, 0.2], "lower": [0.26, 0.08, 0.15], "upper": [0.34, 0.12, 0.26]}
    women = {"sex": "F", "estimate": [0.1, 0.2, 0.3], "lower": [0.09, 0.19, 0.29], "upper": [0.11, 0.21, 0.31]}
    checked = check_public(pl.concat([pl.DataFrame(men), pl.DataFrame(women)]), source="出典")
    assert report.neighbours_text(checked) == (
        "順位が隣り合う2組のうち95%信頼区間が重なるのは、男で1組、女で0組です。"
        "区間が重なる都道府県どうしの順位は偶然に入れ替わりうるため、順位の1つ2つの違いに意味はありません。"
    )


@pytest.mark.parametrize(("name", "word"), [("宮城", "公表値あり"), ("三重", "公表値なし")])
def test_the_note_says_whether_the_branch_is_published(name: str, word: str) -> None:
    published = check_public(pl.DataFrame({"branch": ["宮城"], "estimate": [0.3]}), source="出典")
    assert report.published_note(published, name=name) == f"{name}の{word}。区間はWilson法で計算した。"


def test_lines_are_named_and_the_tested_share_stands_with_its_own_test_only() -> None:
    table = national.prefecture_benchmark(national.MEASURES[:3:2])
    assert set(table["line"]) == {
        f"{label} {sex}" for label in ("HbA1c 6.5%以上", "収縮期血圧 140mmHg以上") for sex in "男女"
    }
    tested = table.group_by("metric").agg(pl.col("tested_share").is_null().mean())
    assert dict(tested.rows()) == {"HbA1c": 0.0, "SBP": 1.0}
    moves = table.filter(pl.col("rank").is_not_null())
    assert (moves["rank_moves"] == (moves["rank_best"] != moves["rank_worst"])).all()
    assert table.filter(pl.col("rank").is_null())["rank_moves"].null_count() == 8


def test_the_reference_line_may_be_a_column(monkeypatch) -> None:
    from kenpo_analytics.report import ranking

    seen: list = []
    monkeypatch.setattr(ranking, "_reference", lambda axes, value, *rest: seen.append(value))
    monkeypatch.setattr(ranking, "finish", lambda *given, **named: None)
    table = pl.DataFrame({"area": ["24", "25"], "estimate": [0.1, 0.2], "lower": 0.0, "upper": 0.3, "nation": 0.15})
    report.interval_plot(check_public(table, source="出典"), title="図", reference="nation")
    assert seen == [0.15]
