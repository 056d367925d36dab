"""Lots drawn month by month: every record is checked, a person counts in the first draw, strata hold within a draw."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.disclosure import check_diagnostics
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation import analysis, choices, trial
from kenpo_analytics.evaluation.letters import LEAFLET
from kenpo_analytics.evaluation.trial_record import ASSIGNMENT, RECORD, read_assignment, read_draws
from kenpo_analytics.report import designs_primary as said
from kenpo_analytics.report import designs_text
from tests.notebook_page import NOTEBOOKS
from tests.trial_world import FACTS, data_with_draws

CHOICE = choices.Choice((2018,), (2018,), (2017,), "and", primary="randomised")
JANUARY, FEBRUARY = "2026-01-10T09:00:00+09:00", "2026-02-10T09:00:00+09:00"


def put(
    folder: Path, ids: range, drawn_at: str, *, kind: str = "delay", cast: type = pl.Int64, **facts: object
) -> dict:
    people = pl.DataFrame({"person_id": ids, "sex": ["M", "F"] * (len(ids) // 2)}).cast({"person_id": cast})
    people = people.with_columns(workplace_id=pl.col("person_id").cast(pl.Int64) // 10)
    seed, unit = int(drawn_at[5:7]), facts.get("unit")
    table = trial.assign(people, kind=kind, seed=seed, programme="p", strata=[] if unit else ["sex"], unit=unit)
    folder.mkdir(parents=True)
    table.write_parquet(folder / ASSIGNMENT)
    told = trial.record(table, **{**FACTS, "seed": seed, "kind": kind, "drawn_at": drawn_at, **facts})
    (folder / RECORD).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    return told


def test_a_person_drawn_again_counts_in_the_first_draw_whatever_the_folders_are_called(tmp_path: Path) -> None:
    second = put(tmp_path / "a", range(61, 181), FEBRUARY)  # 61 to 100 had an arm since January
    first = put(tmp_path / "b", range(1, 101), JANUARY)
    (tmp_path / ".c.partial").mkdir()
    found = read_draws(tmp_path, programme=LEAFLET)
    assert [told["digest"] for told in found.records] == [first["digest"], second["digest"]]
    lots = found.assignment
    assert lots is not None and lots.equals(read_assignment(tmp_path)) and lots["person_id"].n_unique() == lots.height
    alone = [read_assignment(tmp_path / name) for name in ("b", "a")]
    arms = dict(lots.select("person_id", "assigned").iter_rows())
    for person, arm in alone[0].select("person_id", "assigned").iter_rows():
        assert arms.pop(person) == arm
    later = dict(alone[1].select("person_id", "assigned").iter_rows())
    assert arms == {person: later[person] for person in range(101, 181)}
    assert set(lots["stratum"]) == {"1回目・M", "1回目・F", "2回目・M", "2回目・F"}
    assert set(lots.filter(pl.col("person_id") <= 100)["drawn_on"]) == {dt.date(2026, 1, 10)}
    columns = ["draw", "day", "seed", "n", "again", "digest"]
    assert found.tables["draws"].select(columns).rows() == [
        (1, "2026年1月10日", "1", 100, 0, first["digest"][:16]),
        (2, "2026年2月10日", "2", 120, 40, second["digest"][:16])
    ]  # fmt: skip
    assert check_diagnostics(found.tables)["draws"].table["persons"].to_list() == [100, 120]


def test_few_people_drawn_again_do_not_come_out_of_the_sizes_of_the_draws(tmp_path: Path) -> None:
    put(tmp_path / "1", range(1, 101), JANUARY)
    put(tmp_path / "2", range(97, 201), FEBRUARY)
    shown = check_diagnostics(read_draws(tmp_path).tables)["draws"].table
    assert shown.select("persons", "again").rows() == [(100, 0), (None, None)]


def test_one_folder_of_one_draw_is_as_the_draw_itself_but_for_its_number(tmp_path: Path) -> None:
    put(tmp_path / "2026-01", range(1, 101), JANUARY)
    inside, alone = read_draws(tmp_path), read_draws(tmp_path / "2026-01")
    assert inside.tables == alone.tables == {} and inside.records == alone.records
    assert inside.assignment.drop("stratum").equals(alone.assignment.drop("stratum"))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"programme": "other"}, "事業が違います: other、prediabetes_leaflet"),
        ({"kind": "leaflets"}, "種類が違います: delay、leaflets"),
        ({"unit": "workplace_id"}, "まとまりが違います"),
        ({"cast": pl.String}, "個人IDの型が違います"),
    ],
)
def test_draws_of_different_comparisons_are_not_pooled(tmp_path: Path, facts: dict, message: str) -> None:
    put(tmp_path / "1", range(1, 101), JANUARY)
    put(tmp_path / "2", range(101, 201), FEBRUARY, **facts)
    with pytest.raises(EstimateError, match=message):
        read_assignment(tmp_path)


def test_every_record_is_held_against_its_own_digest_and_none_counts_twice(tmp_path: Path) -> None:
    put(tmp_path / "1", range(1, 101), JANUARY)
    told = put(tmp_path / "2", range(101, 201), FEBRUARY)
    (tmp_path / "2" / RECORD).write_text(json.dumps({**told, "seed": 9}), encoding="utf-8")
    with pytest.raises(EstimateError, match="指紋と合いません"):
        read_assignment(tmp_path)
    (tmp_path / "2" / RECORD).unlink()
    with pytest.raises(EstimateError, match=r"読めません: .*2"):
        read_assignment(tmp_path)
    (tmp_path / "2" / RECORD).write_text(json.dumps(told), encoding="utf-8")
    assert read_assignment(tmp_path).height == 200
    (tmp_path / "copy").mkdir()
    for name in (ASSIGNMENT, RECORD):
        (tmp_path / "copy" / name).write_bytes((tmp_path / "2" / name).read_bytes())
    with pytest.raises(EstimateError, match="同じ割付"):
        read_assignment(tmp_path)
    (tmp_path / "none").mkdir()
    for empty in (tmp_path / "none", tmp_path / "nowhere"):
        with pytest.raises(EstimateError, match="割付の記録を読めません"):
            read_assignment(empty)


def test_lots_of_another_programme_are_refused_in_words(tmp_path: Path) -> None:
    put(tmp_path / "trial", range(1, 101), JANUARY, programme="debts")
    with pytest.raises(
        EstimateError, match=r"割付の事業\(debts\)は、評価する通知の事業\(prediabetes_leaflet\)と違います"
    ):
        choices.find_draws(tmp_path, "trial")
    assert choices.find_draws(tmp_path, "trial", programme="debts").records


def test_a_mailing_drawn_twice_is_evaluated_as_one_trial(tmp_path: Path) -> None:
    """The sample's letters know nothing of the lots: the answer is 0, planted effects come out whole."""
    data = data_with_draws(tmp_path / "data")
    draws, tables = choices.find_draws(data, "trial"), ka.load(data, month="2025-10")
    made = analysis.analysis_set(
        tables.checkups, tables.members, tables.mailings, programme=[2018], before=[2017], data_through=202503,
        assignment=draws.assignment,
    )  # fmt: skip
    assert draws.assignment is not None and sum(made.drawn.values()) == draws.assignment.height
    first = (pl.col("assigned") == "now").fill_null(False).cast(pl.Float64)
    one = trial.as_drawn(made.people, made.drawn)
    six = trial.as_drawn(made.people.with_columns(y1=pl.col("y1") - 6 * first), made.drawn)
    assert one.lower < 0 < one.upper and six.estimate == pytest.approx(one.estimate - 6)
    text = designs_text.protocol_text(CHOICE, draws=draws.records)
    assert "2018年12月20日から2018年12月28日までに2回引いた先に送る・後で送る(delay)の割付" in text
    assert text.count("倫理-2018-012(割付の記録)") == 1 and "2回以上引かれた人は最初の割付で数え" in text
    assert said.subject_text(CHOICE, draws.records).endswith("(先に送る群と後で送る群の差)")


# --- people whose letter or outcome came before their draw ------------------------------------------------------------


@pytest.fixture(scope="module")
def people() -> pl.DataFrame:
    """400 people of one draw in groups of ten: in the arms, 5 below for who is sent first. Nobody is late."""
    ids = pl.int_range(400, eager=True)
    noise = pl.Series(trial._hashes([str(i) for i in ids], "noise")).rank() / 40
    return pl.DataFrame({"person_id": ids, "unit": ids // 10, "noise": noise}).select(
        "person_id", "unit", stratum=pl.lit("全員"), assigned=pl.when(pl.col("unit") % 2 == 0).then(pl.lit("now"))
        .otherwise(pl.lit("later")), drawn_on=pl.lit(dt.date(2026, 1, 10)), y0=110.0 + pl.col("person_id") % 13,
        y1=110.0 + pl.col("noise") - 5 * (pl.col("unit") % 2 == 0), letter=pl.lit(True),
        age=50 + pl.col("person_id") % 7,
        letter_day=pl.lit(dt.date(2026, 2, 1)), sent_on=pl.lit(dt.date(2026, 2, 1)),
        outcome_date=pl.lit(dt.date(2026, 12, 1)),
    )  # fmt: skip


def early(people: pl.DataFrame, ids: list[int], name: str = "sent_on") -> pl.DataFrame:
    """These people have it a day before the draw, and an outcome that would move everything."""
    chosen = pl.col("person_id").is_in(ids)
    day = pl.when(chosen).then(dt.date(2026, 1, 9)).otherwise(name)
    return people.with_columns(day.alias(name), y1=pl.when(chosen).then(5000.0).otherwise("y1"))


@pytest.mark.parametrize("name", ["sent_on", "outcome_date"])
@pytest.mark.parametrize("unit", [False, True])
def test_exactly_those_who_were_early_are_left_out_and_counted(people, name, unit) -> None:
    frame = people if unit else people.drop("unit")
    ids = [1, 2, 13, 14, 200]  # two even groups, one odd one
    one = trial.as_drawn(early(frame, ids, name), {"now": 210, "later": 205})
    alone = trial.as_drawn(frame.filter(~pl.col("person_id").is_in(ids)), {})
    assert (one.estimate, one.lower, one.upper) == (alone.estimate, alone.lower, alone.upper)
    assert one.state == "estimated" and -8 < one.estimate < -2
    arms = one.diagnostics["arms"].select("assigned", "drawn", "late", "without", "n", "observed")
    assert arms.rows() == [("now", 210, 3, 10, 197, 197), ("later", 205, 2, 5, 198, 198)]
    shown = check_diagnostics(one.diagnostics)["arms"].table
    assert shown["late"].null_count() == 2  # few: not shown, nor what they could be found by
    text = designs_text.limits([one], CHOICE, _NONE)
    assert "割付より前に通知を送っていた人と結果が得られていた人は、両群とも" in text
    assert "自分の割付より前に通知か結果のあった人は、どちらの群でも除きます" in said.purpose_text(one)
    nobody = trial.as_drawn(frame, {})
    assert "割付より前" not in designs_text.limits([nobody], CHOICE, _NONE) + said.purpose_text(nobody)


def test_nothing_is_identified_where_an_arm_is_left_empty(people) -> None:
    first = people.filter(pl.col("assigned") == "now")["person_id"].to_list()
    for ids, state in ((first[:-20], "estimated"), (first[:-19], "not_identified"), (first, "not_identified")):
        one = trial.as_drawn(early(people, ids), {})
        assert one.state == state
    assert one.reason is not None and "割付より前" in one.reason


def test_a_planned_day_alone_leaves_nobody_out(people) -> None:
    """The arm that waits has no letter yet: leaving out who was planned early and sent would empty one arm only."""
    plain = people.with_columns(letter_day=pl.lit(dt.date(2026, 1, 5)), sent_on=pl.lit(None, pl.Date))
    assert trial.as_drawn(plain, {}).diagnostics["arms"]["late"].to_list() == [0, 0]


_NONE = type("NoChecks", (), {"unchecked": (), "tables": {}})()


@pytest.mark.slow
def test_the_page_lists_its_draws(tmp_path: Path, monkeypatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    data = data_with_draws(tmp_path / "data")
    monkeypatch.setenv("KENPO_DATA", str(data))
    notebook = nbformat.read(NOTEBOOKS / "02_prediabetes_evaluation.ipynb", as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = cell.source.replace('assignment: str = ""', 'assignment: str = "trial"')
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    pages = [o["data"].get("text/html", "") for c in notebook.cells for o in c.get("outputs", []) if "data" in o]
    (table,) = [page for page in pages if "割付の一覧</" in page]
    records = choices.find_draws(data, "trial").records
    for told, day in zip(records, ("2018年12月20日", "2018年12月28日"), strict=True):
        assert told["digest"][:16] in table and day in table and f">{told['persons']}<" in table
        assert any(told["digest"] in page for page in pages)  # 9 再現情報
