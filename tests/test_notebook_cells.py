"""Cells only call: what is decided, said or joined stands in the rooms, where it is tested."""

from __future__ import annotations

import ast

import pytest

from tests.notebook_page import Page

THIN = (
    "02_prediabetes_evaluation",
    "03_untreated_followup",
    "04_out_of_hours_index",
    "05_national_benchmark",
    "06_evaluation_lab",
    "07_kpi_benchmark",
    "08_risk_profile",
    "09_incentive",
)
LOGIC = (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.If, ast.IfExp, ast.Try, ast.While, ast.Compare)


@pytest.mark.parametrize("name", THIN)
def test_cells_hold_no_function_no_condition_and_no_frame_work(name: str) -> None:
    for cell in Page(name).code:
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, LOGIC), ast.get_source_segment(cell.source, node)
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {"polars", "pandas", "numpy"} & set(names)
            assert not (isinstance(node, ast.comprehension) and node.ifs)
