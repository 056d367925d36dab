"""Is a wrong parameter of a notebook told in Japanese, with what would be right, and not as a raw error?"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import polars as pl
import pytest

from kenpo_analytics.errors import KenpoError
from kenpo_analytics.report._emit import CONTEXT

ROOT = Path(__file__).parents[1]


def error_of(name: str, **given: object) -> KenpoError:
    """The error that the notebook ends with when its parameters cell is changed so."""
    notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict = {}
    exec(cells[0], names)
    assert set(given) <= set(names)
    names |= given
    with pytest.raises(KenpoError) as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the backend without a screen
        for cell in cells[1:]:
            exec(cell, names)
    return caught.value


@pytest.mark.parametrize(
    ("name", "given", "told", "hint"),
    [
        ("01_data_overview", {"branch": "三重"}, "支部「三重」は", '"24" と'),
        ("02_prediabetes_evaluation", {"reference_year": 1990}, "1990年度の健診が、データにありません", "2017年度"),
        ("02_prediabetes_evaluation", {"reference_year": 2030}, "2018年度)より前ではありません", "2018年度より前"),
        ("02_prediabetes_evaluation", {"programme_years": [1990, 2018]}, "指定された1990年度は", "2018年度、2019年度"),
        ("02_prediabetes_evaluation", {"month": "2019-01"}, "通知のある年度がありません", "基準月を後に"),
        ("06_evaluation_lab", {"rule": "x"}, "rule=「x」", '"or"(または)'),
        ("06_evaluation_lab", {"high": [110]}, "2つの数", "high = [110, 125]"),
        ("06_evaluation_lab", {"low": [1, 2, 3]}, "2つの数", "low = [100, 109]"),
        ("06_evaluation_lab", {"high": [100, 90]}, "下限は上限より小さく", "high = [110, 125]"),
        ("06_evaluation_lab", {"high": [110, 2000]}, "20～1000mg/dL", "high = [110, 125]"),
        ("06_evaluation_lab", {"bandwidth": 0}, "0より大きく", "bandwidth = 9"),
        ("06_evaluation_lab", {"bandwidth": float("nan")}, "0より大きく", "bandwidth = 9"),
        ("06_evaluation_lab", {"bandwidth": 500.0}, "0より大きく", "bandwidth = 9"),
        ("06_evaluation_lab", {"before_years": [1990]}, "1990年度の健診が、データにありません", "2017年度"),
        ("06_evaluation_lab", {"before_years": [2018]}, "2018年度)より前ではありません", "2018年度より前"),
        (
            "06_evaluation_lab",
            {"programme": "x"},
            "事業「x」の記録がありません",
            "(基準の記録がある): prediabetes_leaflet",
        ),
        (
            "06_evaluation_lab",
            {"programme": "untreated_first"},
            "「untreated_first」の通知には、抽出の基準(mailings の rule)の記録がなく",
            "prediabetes_leaflet",
        ),
        (
            "06_evaluation_lab",
            {"programme_years": [2018, 2024]},
            "指定された2024年度の通知は、1つの基準で送られていません",
            "2018年度、2019年度",
        ),
        ("06_evaluation_lab", {"outcome": "x"}, "結果の名前", "hba1c"),
        ("03_untreated_followup", {"level": "third"}, "level=「third」", "first か second"),
        ("05_national_benchmark", {"branch": "99"}, "支部「99」は", '三重 "24"'),
        ("08_risk_profile", {"town_risk": "risk_x"}, "「risk_x」", "risk_metabolic(代謝リスク)"),
        ("08_risk_profile", {"workplace": "W99999"}, "事業所 W99999", "workplaces"),
        ("08_risk_profile", {"industry": "宇宙運送業"}, "宇宙運送業", "workplaces"),
        ("08_risk_profile", {"population": "x"}, "「x」", "insured"),
        ("08_risk_profile", {"fiscal_year": 2030}, "健診受診者がいない", "年度"),
    ],
)
def test_a_wrong_parameter_is_told(monkeypatch, name, given, told, hint):
    monkeypatch.setenv("KENPO_DATA", str(ROOT / "data" / "sample"))
    monkeypatch.delenv("KENPO_MONTH", raising=False)
    for state in ("synthetic", "styled"):  # of a page: the next test begins with none
        monkeypatch.setattr(CONTEXT, state, getattr(CONTEXT, state))
    with pl.Config():
        error = error_of(name, **given)
    assert told in error.message
    assert hint in f"{error.message}{error.hint}"
