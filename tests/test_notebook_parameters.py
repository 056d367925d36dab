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
