"""Are wrong parameters refused before anything starts? (papermill takes an unknown name and exits with 0.)"""

from __future__ import annotations

import pytest

from kenpo_analytics.errors import ParameterError
from kenpo_analytics.runs import plan
from tests.runs_helpers import FIXTURES, make_world


def both(**options):
    return plan.plan(plan.suite(FIXTURES), month="2025-10", **options)


def test_month_and_branch_go_to_those_that_declare_them():
    first, second = both(branch="23")
    assert first.given == {"month": "2025-10", "branch": "23"}
    assert first.parameters == {"month": "2025-10", "branch": "23", "fiscal_year": 2024, "levels": [1, 2]}
    assert second.given == {"month": "2025-10"}
    assert (first.title, second.title) == ("最初の報告", "次の報告")


@pytest.mark.parametrize(
    ("text", "notebook", "name", "value"),
    [
        ("2023", 0, "fiscal_year", 2023),
        ("3,4", 0, "levels", [3, 4]),
        ("[3, 4]", 0, "levels", [3, 4]),
        ("1", 1, "ratio", 1.0),
        ("1e-3", 1, "ratio", 0.001),
        ("false", 1, "strict", False),
    ],
)
def test_text_is_read_as_the_declared_type(text, notebook, name, value):
    given = both(settings={name: text})[notebook].given[name]
    assert given == value
    assert type(given) is type(value)
    assert name not in both(settings={name: text})[1 - notebook].given


@pytest.mark.parametrize(
    "settings",
    [
        {"fiscal_yaer": "2024"},
        {"fiscal_year": "2024.5"},
        {"fiscal_year": "令和6"},
        {"fiscal_year": "２０２４"},
        {"fiscal_year": True},
        {"fiscal_year": 2024.0},
        {"levels": "1,x"},
        {"levels": ["1"]},
        {"ratio": "half"},
        {"ratio": "nan"},
        {"strict": "1"},
        {"strict": 1},
        {"month": "2025-10"},
    ],
)
def test_unknown_names_and_wrong_types_are_refused(settings):
    with pytest.raises(ParameterError):
        both(settings=settings)


@pytest.mark.parametrize("month", ["2025-13", "2025", "令和7年13月", "10月", ""])
def test_a_month_is_a_month(month):
    with pytest.raises(ParameterError, match="YYYY-MM"):
        plan.plan(plan.suite(FIXTURES), month=month)


@pytest.mark.parametrize("month", ["2025-10", "202510", "R7.10", "令和7年10月", "２０２５年１０月"])
def test_a_month_may_be_written_as_in_files(month):
    assert plan.plan(plan.suite(FIXTURES), month=month)[0].given["month"] == "2025-10"


@pytest.mark.parametrize("branch", ["0", "00", "48", "４７", "mie", "4"])
def test_a_branch_is_01_to_47(branch):
    with pytest.raises(ParameterError, match="支部"):
        both(branch=branch)


@pytest.mark.parametrize(
    "cell",
    [
        'month = "2025-10"',
        "month: str",
        'month: str = "a" + "b"',
        "month: str = 202510",
        "year: int = True",
        "when: date = 1",
        "months: list[float] = [1.0]",
        "levels: list[int] = [1, '2']",
        "import os",
        "month: str = (",
        'month: str = "a"\nmonth: str = "b"',
    ],
)
def test_a_parameters_cell_holds_typed_literals_only(tmp_path, cell):
    world = make_world(tmp_path / "w", suite=False)
    world.notebook("01_x", parameters=cell)
    with pytest.raises(ParameterError, match="01_x"):
        try:
            plan.plan(plan.suite(world.notebooks), month="2025-10")
        except ParameterError as error:  # a default of the wrong type names the parameter instead
            raise ParameterError("01_x " + error.message) from error


def test_the_suite_is_what_has_a_number(tmp_path):
    world = make_world(tmp_path / "w")
    world.notebook("explore_cohorts")
    world.notebook("_02_draft")
    assert [path.stem for path in plan.suite(world.notebooks)] == ["01_first", "02_second"]


def test_choosing_by_name_number_or_beginning():
    paths = plan.suite(FIXTURES)
    assert [p.stem for p in plan.choose(paths, ["02"])] == ["02_second"]
    assert [p.stem for p in plan.choose(paths, ["02_sec", "01_first.ipynb"])] == ["01_first", "02_second"]
    assert [p.stem for p in plan.choose(paths, ["2"])] == ["02_second"]
    for wanted in ("03", "3", "0"):
        with pytest.raises(ParameterError, match=wanted):
            plan.choose(paths, [wanted])
    with pytest.raises(ParameterError):
        plan.choose(paths, [""])


# --- settings of one notebook, needed tables -----------------------------------------------------------------------


def years(world, **settings):
    tasks = plan.plan(plan.suite(world.notebooks), month="2025-10", settings=settings)
    return {task.name: task.parameters["fiscal_year"] for task in tasks}


@pytest.fixture
def three(tmp_path):
    world = make_world(tmp_path / "w", suite=False)
    for name in ("01_a", "02_b", "03_untreated_followup"):
        world.notebook(name, parameters="fiscal_year: int = 2024")
    return world


@pytest.mark.parametrize(
    "label", ["03.fiscal_year", "3.fiscal_year", "03_untreated_followup.fiscal_year", " 03 . fiscal_year "]
)
def test_a_setting_may_be_for_one_notebook(three, label):
    assert years(three, **{label: "2021"}) == {"01_a": 2024, "02_b": 2024, "03_untreated_followup": 2021}


def test_a_notebook_own_setting_wins_over_the_plain_name(three):
    expected = {"01_a": 2020, "02_b": 2020, "03_untreated_followup": 2021}
    for settings in (
        {"fiscal_year": "2020", "03.fiscal_year": "2021"},
        {"03.fiscal_year": "2021", "fiscal_year": "2020"},
    ):
        assert years(three, **settings) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"09.fiscal_year": "2021"}, "--set 09.fiscal_year に当たるノートブック"),
        ({".fiscal_year": "2021"}, "に当たるノートブック"),
        ({"03.nope": "1"}, "03_untreated_followup にパラメータ nope"),
        ({"03.fiscal_year": "1", "3.fiscal_year": "2"}, "二度"),
        ({"03.month": "2025-10"}, "--month"),
        ({"needs": "national"}, "needs"),
        ({"03.needs": "national"}, "needs"),
    ],
)
def test_a_setting_for_no_notebook_is_refused(three, settings, message):
    with pytest.raises(ParameterError, match=message):
        years(three, **settings)


def test_a_notebook_whose_tables_are_absent_is_left_out(three):
    three.notebook("04_x", parameters='fiscal_year: int = 1\nneeds: list[str] = ["national", "members"]')
    tasks = plan.plan(plan.suite(three.notebooks), month="2025-10")
    assert "needs" not in tasks[3].declared
    kept, skipped = plan.split(tasks, {"members", "claims"})
    assert [task.name for task in kept] == ["01_a", "02_b", "03_untreated_followup"]
    assert skipped == [{"name": "04_x", "title": "04_x", "missing": ["national"]}]
    assert plan.split(tasks, {"members", "national"}) == (tasks, [])


@pytest.mark.parametrize("cell", ['needs: str = "national"', "needs: list[int] = [1]", 'needs: list[str] = ["nation"]'])
def test_needed_tables_are_named_as_they_are(three, cell):
    three.notebook("04_x", parameters=cell)
    with pytest.raises(ParameterError, match="needs"):
        plan.plan(plan.suite(three.notebooks), month="2025-10")
