"""The figures and the grid of the risk profile: what is drawn for masked groups, few people and no national value."""

from __future__ import annotations

import re

import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics import disclosure, report
from kenpo_analytics.report import _emit
from tests.test_risks_rates import BANDS, NATION, cells


@pytest.fixture
def shown(monkeypatch) -> list[dict]:
    """Everything a report displays."""
    outputs: list[dict] = []
    monkeypatch.setattr(_emit.CONTEXT, "synthetic", True)
    monkeypatch.setattr("IPython.display.display", lambda data, *, raw, metadata: outputs.append(data | metadata))
    return outputs


def group(name: str, men: tuple, people: tuple) -> pl.DataFrame:
    return cells({"M": men, "F": men}, {"M": people, "F": people}, industry=name)


GROUPS = pl.concat(
    [
        group("多い業", (60, 80, 90), (100, 100, 100)),
        group("少ない業", (10, 20, 25), (100, 100, 100)),
        group("同じ業", (18, 36, 50), (100, 100, 100)),
        group("小さい業", (4, 4, 4), (7, 7, 7)),
        group("まれな業", (1, 1, 2), (40, 40, 40)),
    ]
)


def checked(rows: pl.DataFrame) -> disclosure.Checked:
    return disclosure.check_risks(rows, by=["industry"])


def test_the_grid_shades_what_excludes_one_and_says_why_a_cell_is_empty(shown: list[dict]) -> None:
    rows = ka.risk_rates(GROUPS, nation=NATION, method="indirect", sexes="together")
    report.risk_table(checked(rows), title="業態", row="industry", note="注")
    (output,) = shown
    html = output["text/html"]
    row = dict(re.findall(r'<th scope="row">([^<]+)</th>(.*?)</tr>', html))
    assert set(row) == set(GROUPS["industry"])
    assert 'class="m2">▲' in row["多い業"] and 'class="l2">▼' in row["少ない業"]
    assert row["同じ業"].startswith("<td>") and "▲" not in row["同じ業"]
    assert row["小さい業"] == '<td class="q">判定不能</td>' and row["まれな業"] == '<td class="q">秘匿</td>'
    assert '<th scope="col">血圧リスク</th>' in html and "<caption>業態</caption>" in html
    assert "合成データ" in html and "注" in html and "10人未満" in html and disclosure.is_stamped(_as_output(output))


def _as_output(output: dict) -> dict:
    data = {name: output[name] for name in ("text/html", "text/plain")}
    return {"output_type": "display_data", "data": data, "metadata": {"kenpo": output["kenpo"]}}


def test_a_masked_cell_keeps_its_judgement_to_itself() -> None:
    rows = ka.risk_rates(GROUPS, nation=NATION, method="indirect", sexes="together")
    table = checked(rows).table
    rare = table.filter(pl.col("industry") == "まれな業").row(0, named=True)
    assert rows.filter(pl.col("industry") == "まれな業")["judgement"].item() == "低い"
    assert rare["judgement"] == "秘匿" and rare["reason"] is None
    assert all(rare[name] is None for name in ("events", "rate", "estimate", "ratio", "expected", "gap", "lower"))
    assert rare["nation"] is not None and rare["denominator"] == 240


def test_figures_tell_nation_and_card_in_words(shown: list[dict]) -> None:
    ours = group("x", (60, 80, 90), (100, 100, 100)).drop("industry")
    by_sex = disclosure.check_risks(
        ka.risk_rates(ours, nation=NATION, definitions=ka.define(overrides={"risk.few_direct": 100})), by=["sex"]
    )
    report.risk_gaps(by_sex, title="差")
    alone = disclosure.check_risks(ka.risk_rates(ours), by=["sex"])
    report.risk_gaps(alone, title="全国なし")
    card = disclosure.check_risks(ka.health_card(GROUPS, group={"industry": "多い業"}, nation=NATION), by=["side"])
    report.card_figure(card, title="カルテ", name="多い業")
    ages = disclosure.check_risks(ka.risk_rates(ours, nation=NATION, by_age=True), by=["sex", "age_band"])
    report.risk_ages(ages, title="年齢")
    said = {o["text/plain"]: o["image/png"]["alt"] for o in shown if "image/png" in o}
    assert "男で全国より高いのは血圧リスク、低いのはなし。女で全国より高いのは血圧リスク" in said["<図: 差>"]
    assert "男で全国より高いのはなし、低いのはなし" in said["<図: 全国なし>"]
    assert re.search(r"多い業のO/E。血圧リスク\d\.\d\d。", said["<図: カルテ>"])
    assert "血圧リスクの男は60.0%から90.0%" in said["<図: 年齢>"]
    folded = [o for o in shown if o.get("text/plain") == "<表: 年齢（数値）>"]
    assert len(folded) == 1 and all(band in folded[0]["text/html"] for band in BANDS)
