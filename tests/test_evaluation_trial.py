"""Power, assignment, its evaluation, and what `kenpo randomise` leaves on disk."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from statsmodels.stats.power import NormalIndPower

from kenpo_analytics.errors import DefinitionError, EstimateError, ParameterError, TableError
from kenpo_analytics.evaluation.analysis import AnalysisSet
from kenpo_analytics.evaluation.choices import Choice, find_draws, find_protocol
from kenpo_analytics.evaluation.draw import ASSIGNMENT, NONE_YET, RECORD, describe, draw
from kenpo_analytics.evaluation.protocol import read_protocol
from kenpo_analytics.evaluation.suite import run_designs
from kenpo_analytics.evaluation.trial import (
    assign,
    detectable,
    digest,
    persons_needed,
    randomised,
    read_assignment,
    read_draws,
    read_record,
    record,
)
from tests.simulation.worlds import Truth, world


def crowd(n: int = 400) -> pl.DataFrame:
    return pl.DataFrame(
        {"person_id": range(1, n + 1), "sex": ["M", "F"] * (n // 2), "workplace_id": [f"W{i // 20}" for i in range(n)]}
    )


def test_detectable_is_the_effect_that_statsmodels_gives_the_asked_power():
    plan = detectable(800, sd=9.0)
    power = NormalIndPower().power(plan.detectable / 9.0, nobs1=400, alpha=0.05, ratio=1)
    assert power == pytest.approx(0.8, abs=1e-4)
    unequal = detectable(900, sd=9.0, share=1 / 3, power=0.9)
    assert NormalIndPower().power(unequal.detectable / 9.0, 300, 0.05, ratio=2) == pytest.approx(0.9, abs=1e-4)


def test_adjusting_for_the_baseline_and_losing_people_move_the_plan_as_they_must():
    base = detectable(1000, sd=10.0).detectable
    assert detectable(1000, sd=10.0, correlation=0.6).detectable == pytest.approx(base * 0.8)
    assert detectable(1000, sd=10.0, seen=0.64).detectable == pytest.approx(base / 0.8)


def test_persons_needed_is_the_smallest_number_that_shows_the_effect():
    n = persons_needed(2.0, sd=9.0, correlation=0.5)
    assert (
        detectable(n, sd=9.0, correlation=0.5).detectable <= 2.0 < detectable(n - 1, sd=9.0, correlation=0.5).detectable
    )
    assert persons_needed(-2.0, sd=9.0, correlation=0.5) == n
    with pytest.raises(EstimateError):
        persons_needed(0.0, sd=9.0)


@pytest.mark.parametrize(
    "wrong", [{"sd": 0.0}, {"sd": 9.0, "correlation": 1.0}, {"sd": 9.0, "seen": 0.0}, {"sd": 9.0, "share": 1.0}]
)
def test_impossible_plans_are_refused(wrong):
    with pytest.raises(EstimateError):
        detectable(100, **wrong)


def test_the_same_people_and_seed_give_the_same_arms_in_any_order():
    one = assign(crowd(), kind="delay", seed=7, programme="p", strata=["sex"])
    two = assign(
        crowd().sample(fraction=1.0, shuffle=True, seed=3), kind="delay", seed=7, programme="p", strata=["sex"]
    )
    assert one.equals(two)
    assert record(one)["digest"] == record(two)["digest"]
    for other in ({"seed": 8, "programme": "p"}, {"seed": 7, "programme": "q"}):
        assert not one["arm"].equals(assign(crowd(), kind="delay", strata=["sex"], **other)["arm"])


def test_arms_are_balanced_within_every_stratum():
    table = assign(crowd(402), kind="leaflets", seed=1, programme="p", strata=["sex"])
    counts = table.group_by("stratum", "arm").len().pivot(on="arm", index="stratum", values="len")
    assert counts.height == 2
    assert ((counts["A"].cast(pl.Int64) - counts["B"].cast(pl.Int64)).abs() <= 2).all()


def test_assignment_is_unrelated_to_the_order_of_ids():
    table = assign(crowd(4000), kind="delay", seed=11, programme="p")
    first = (table["arm"] == "now").cast(pl.Float64).to_numpy()
    assert first.mean() == pytest.approx(0.5)
    assert abs(np.corrcoef(first, table["person_id"].to_numpy())[0, 1]) < 0.05


def test_workplaces_are_drawn_whole_and_people_without_one_each_alone():
    people = crowd().with_columns(workplace_id=pl.when(pl.col("person_id") <= 40).then("workplace_id"))
    table = assign(people, kind="delay", seed=5, programme="p", unit="workplace_id")
    assert table.height == 400
    arms = table.filter(pl.col("workplace_id").is_not_null()).group_by("workplace_id").agg(pl.col("arm").n_unique())
    assert arms["arm"].to_list() == [1, 1]
    alone = table.filter(pl.col("workplace_id").is_null())["arm"].value_counts()
    assert alone.height == 2  # not one crowd in one arm
    assert alone["count"].min() > 150


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "coin"}, "delay か leaflets"),
        ({"block": 3}, "偶数"),
        ({"strata": ["age"]}, "age"),
        ({"unit": "workplace_id", "strata": ["sex"]}, "層を指定できません"),
    ],
)
def test_assignments_that_cannot_be_drawn_are_refused(change, message):
    with pytest.raises(ParameterError, match=message):
        assign(crowd(), **{"kind": "delay", "seed": 1, "programme": "p", **change})


@pytest.mark.parametrize("ids", [[1, 1, 2], [1, None, 2]])
def test_people_must_be_there_once(ids):
    with pytest.raises(ParameterError, match="個人ID"):
        assign(pl.DataFrame({"person_id": ids}), kind="delay", seed=1, programme="p")


def trial(effect: float, n: int = 1200) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    y0 = rng.normal(114, 4, n).round()
    people = pl.DataFrame(
        {"person_id": range(n), "y0": y0, "age": rng.integers(40, 70, n), "sex": ["M", "F"] * (n // 2)}
    )
    drawn = assign(people, kind="delay", seed=2, programme="p", strata=["sex"])
    first = (drawn["arm"] == "now").to_numpy()
    y1 = 60 + 0.45 * y0 + effect * first + rng.normal(0, 8, n)
    drawn = drawn.select("person_id", "stratum", assigned="arm")
    return people.join(drawn, on="person_id").with_columns(y1=pl.Series(y1))


def test_the_trial_finds_its_effect_and_none_where_there_is_none():
    one = randomised(trial(-3.0))
    assert one.lower < -3.0 < one.upper < 0
    assert one.persons + one.compared == 1200
    assert not randomised(trial(0.0)).shows_effect


def test_workplaces_drawn_whole_are_clusters():
    people = trial(-3.0).with_columns(workplace_id=pl.format("W{}", pl.col("person_id") // 40))
    one = randomised(people, cluster="workplace_id")
    assert "ワイルド" in one.method and one.lower < -3.0 < one.upper


def test_a_trial_with_too_few_seen_again_is_refused():
    lost = trial(-3.0).with_columns(y1=pl.when(pl.col("assigned") == "later").then(pl.lit(None)).otherwise("y1"))
    one = randomised(lost)
    assert one.state == "refused" and "20人" in one.reason


def test_a_drawn_trial_is_evaluated_from_its_own_files(tmp_path):
    """From `kenpo randomise` to the design: who got what comes from the folder, and only from an untouched one."""
    people = world([5, 1], Truth(letter=0.0), n=4000).with_columns(
        hba1c1=pl.col("hba1c"), height1=pl.col("height"), started=pl.lit(False), sbp=pl.lit(125.0), ldl=pl.lit(120.0),
        improved=pl.lit(False), worsened=pl.lit(False), earlier_eligible=pl.lit(False),
    )  # fmt: skip
    ours = people.filter(pl.col("era") == "programme", pl.col("eligible"))
    told, out = drawn(tmp_path, ours.select("person_id", "sex"), strata=["sex"]), tmp_path / "out"
    joined = people.join(read_assignment(out), on="person_id", how="left")
    first = (joined["assigned"] == "now").fill_null(False)
    joined = joined.with_columns(y1=pl.col("y1") - 6.0 * first.cast(pl.Float64))
    made = AnalysisSet(joined, "or", (2017,), (2022,))
    choice = Choice((2022,), (2022,), (2017,), "or", primary="randomised")
    one = next(one for one in run_designs(made, choice) if one.design == "randomised")
    assert one.persons == told["arms"]["now"] and one.lower < -6.0 < one.upper < 0
    table = pl.read_parquet(out / "assignment.parquet")
    swapped = table.with_columns(arm=pl.col("arm").reverse())
    (out / "assignment.parquet").chmod(0o600)
    swapped.write_parquet(out / "assignment.parquet")
    with pytest.raises(EstimateError, match="指紋と合いません"):
        read_assignment(out)


IDS = {"ethics": "E-1", "registration": "jRCT-1"}


def drawn(tmp_path, people: pl.DataFrame | None = None, **options):
    path = tmp_path / "people.parquet"
    (crowd() if people is None else people).write_parquet(path)
    given = {"kind": "delay", "seed": 1, "programme": "p", **IDS, **options}
    return draw(path, tmp_path / "out", **given)


def test_the_files_are_for_their_owner_and_tell_how_they_came_about(tmp_path):
    told = drawn(tmp_path, strata=["sex"], sd=9.0)
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [ASSIGNMENT, RECORD]
    if sys.platform != "win32":
        assert [oct((out / name).stat().st_mode & 0o777) for name in (ASSIGNMENT, RECORD)] == ["0o600", "0o600"]
        assert out.stat().st_mode & 0o777 == 0o700
    held = json.loads((out / RECORD).read_text(encoding="utf-8"))
    assert held == told
    assert held["digest"] == digest(pl.read_parquet(out / ASSIGNMENT), held)
    assert (held["seed"], held["strata"], held["persons"], held["approved"]) == (1, ["sex"], 400, True)
    assert held["plan"]["detectable"] == pytest.approx(2.8016 * 9 * (4 / 400) ** 0.5, abs=1e-3)
    assert "2.52 mg/dL" in describe(told, out)


CHANGES = {
    "drawn_at": "2018-12-28T09:00:00+09:00", "seed": 2, "kind": "leaflets", "programme": "q", "ethics_id": "E-2",
    "registration_id": "jRCT-2", "unit": "sex", "strata": [], "approved": False, "people_sha256": "0" * 64,
    "version": "0", "persons": 401, "arms": {"now": 1, "later": 399}, "plan": None,
}  # fmt: skip


@pytest.mark.parametrize("name", [*CHANGES, "people_file", "noted"])
def test_no_fact_of_the_draw_can_be_edited_added_or_left_out_unnoticed(tmp_path, name):
    """A back-dated draw would pick another checkup and hide that lots were drawn after the outcomes."""
    told, path = drawn(tmp_path, strata=["sex"], sd=9.0), tmp_path / "out" / RECORD
    assert read_record(tmp_path / "out") == told
    assert set(CHANGES) | {"people_file", "digest"} == set(told)  # every fact is tried
    edits = [{**told, name: CHANGES.get(name, "other")}]
    edits += [{key: value for key, value in told.items() if key != name}] if name in told else []
    for held in edits:
        path.write_text(json.dumps(held, ensure_ascii=False), encoding="utf-8")
        for read in (read_record, read_assignment):
            with pytest.raises(EstimateError, match="指紋と合いません"):
                read(tmp_path / "out")


@pytest.mark.parametrize(
    "edit",
    [
        lambda table: table.with_columns(arm=pl.col("arm").reverse()),
        lambda table: table.with_columns(stratum=pl.lit("M")),
        lambda table: table.head(399),
        lambda table: pl.concat([table, table.head(1)]),
        lambda table: table.with_columns(sex=pl.when(pl.col("person_id") > 1).then("sex")),
        lambda table: table.rename({"person_id": "id"}),
    ],
)
def test_no_row_can_be_edited_unnoticed_but_their_order_is_free(tmp_path, edit):
    told, path = drawn(tmp_path, strata=["sex"]), tmp_path / "out" / ASSIGNMENT
    table = pl.read_parquet(path)
    table.reverse().select(sorted(table.columns)).write_parquet(path)
    assert read_record(tmp_path / "out") == told
    edit(table).write_parquet(path)
    with pytest.raises(EstimateError, match="指紋と合いません"):
        read_assignment(tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drawn_at": "きのう"}, "日時を読めません"),
        ({"drawn_at": None}, "日時"),
        ({"kind": "coin"}, "種類"),
        ({}, "ethics_id"),
    ],
)
def test_a_record_that_was_made_anew_must_still_say_everything(tmp_path, change, message):
    """Who rewrites both files can compute the digest; a missing or impossible fact is still a Japanese error."""
    told, path = drawn(tmp_path), tmp_path / "out" / RECORD
    held = {**told, **change} if change else {key: value for key, value in told.items() if key != "ethics_id"}
    held["digest"] = digest(pl.read_parquet(tmp_path / "out" / ASSIGNMENT), held)
    path.write_text(json.dumps(held), encoding="utf-8")
    with pytest.raises(EstimateError, match=message):
        read_assignment(tmp_path / "out")


@pytest.mark.parametrize(("name", "content"), [(RECORD, b"[]"), (RECORD, b"{"), (ASSIGNMENT, b"PAR1nothing")])
def test_broken_files_are_japanese_errors(tmp_path, name, content):
    drawn(tmp_path)
    (tmp_path / "out" / name).write_bytes(content)
    with pytest.raises(EstimateError, match="割付"):
        read_assignment(tmp_path / "out")


def test_folders_are_given_as_text_or_as_paths(tmp_path):
    told = drawn(tmp_path, unit="workplace_id")
    out = tmp_path / "out"
    assert read_assignment(str(out)).equals(read_assignment(out))
    found, none = find_draws(str(tmp_path), "out", programme="p"), find_draws(tmp_path, "")
    assert found.assignment is not None and found.assignment.equals(read_assignment(out))
    assert (read_record(str(out)),) == found.records == (told,) and found.tables == {}
    assert (none.assignment, none.records, none.named("")) == (None, (), "なし") and told["digest"] in found.named(
        "out"
    )
    assert find_protocol(str(tmp_path)) is None
    with pytest.raises(DefinitionError, match="読めません"):
        read_protocol(str(tmp_path / "none.toml"))
    again = draw(str(tmp_path / "people.parquet"), str(tmp_path / "again"), kind="delay", seed=1, programme="p", **IDS)
    assert describe(again, str(tmp_path / "again")).count(again["digest"]) == 1


def test_a_draw_beside_folders_of_draws_is_refused_not_half_read(tmp_path):
    drawn(tmp_path)
    (tmp_path / "out" / "notes").mkdir()
    assert read_assignment(tmp_path / "out").height == 400
    draw(tmp_path / "people.parquet", tmp_path / "out" / "2026-02", kind="delay", seed=2, programme="p", **IDS)
    for read in (read_assignment, read_draws):
        with pytest.raises(EstimateError, match="別の割付のフォルダがあります: 2026-02"):
            read(tmp_path / "out")


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path):
    drawn(tmp_path)
    before = (tmp_path / "out" / ASSIGNMENT).read_bytes()
    with pytest.raises(ParameterError, match="すでにあります"):
        drawn(tmp_path, seed=2)
    assert (tmp_path / "out" / ASSIGNMENT).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "people.parquet"]


@pytest.mark.parametrize("missing", ["ethics", "registration"])
def test_no_draw_without_ids_unless_their_absence_is_typed(tmp_path, missing):
    with pytest.raises(ParameterError, match=NONE_YET):
        drawn(tmp_path, **{missing: " "})
    assert not (tmp_path / "out").exists()
    told = drawn(tmp_path, **{missing: NONE_YET})
    assert told["approved"] is False
    assert "送付を始めないでください" in describe(told, tmp_path / "out")


def test_decimal_ids_and_unreadable_files_are_refused(tmp_path):
    with pytest.raises(TableError, match="小数"):
        drawn(tmp_path, crowd().with_columns(pl.col("person_id").cast(pl.Float64)))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1nothing")
    with pytest.raises(TableError, match="読めません"):
        draw(tmp_path / "broken.parquet", tmp_path / "o", kind="delay", seed=1, programme="p", **IDS)
    with pytest.raises(ParameterError, match="csv"):
        draw(tmp_path / "people.xlsx", tmp_path / "o", kind="delay", seed=1, programme="p", **IDS)
    assert not (tmp_path / "o").exists()


def test_csv_ids_beyond_2_to_the_53_stay_apart(tmp_path):
    path, ids = tmp_path / "people.csv", [4_000_000_000_000_000_001 + i for i in range(4)]
    path.write_text("person_id\n" + "".join(f"{one}\n" for one in ids), encoding="utf-8")
    draw(path, tmp_path / "out", kind="leaflets", seed=1, programme="p", **IDS)
    assert pl.read_parquet(tmp_path / "out" / ASSIGNMENT)["person_id"].to_list() == ids


def test_the_command_draws_and_refuses_in_japanese(tmp_path):
    crowd().write_parquet(tmp_path / "p.parquet")
    words = ["--people", str(tmp_path / "p.parquet"), "--kind", "delay", "--seed", "3", "--programme", "leaflet"]
    words += ["--registration", NONE_YET, "--out", str(tmp_path / "out"), "--strata", "sex", "--sd", "9"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kenpo_analytics.cli", "randomise", *words, *more]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    without = run()
    assert (without.returncode, "--ethics の指定がありません" in without.stderr) == (64, True)
    done = run("--ethics", "E-9")
    assert done.returncode == 0, done.stderr
    assert "先に送る 200人、後で送る 200人" in done.stdout
    assert NONE_YET in done.stdout
    told = json.loads((tmp_path / "out" / RECORD).read_text(encoding="utf-8"))
    *_, mark, advice = done.stdout.strip().splitlines()
    assert mark.endswith(told["digest"]) and "送付を始める前に" in advice and "控え" in advice
    again = run("--ethics", "E-9")
    assert (again.returncode, "すでにあります" in again.stderr) == (64, True)
