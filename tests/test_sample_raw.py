"""Raw files of the synthetic branch: ingesting them gives the tables of the generator, file by file as announced."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from kenpo_analytics.ingest.deliver import deliver
from kenpo_analytics.ingest.identity import Key, normal_kana, seal_frame
from kenpo_analytics.ingest.records import IDENTITY
from kenpo_analytics.sample import build, identity
from kenpo_analytics.sample.world import make
from kenpo_analytics.tables import TABLES
from tests.checkup_documents import OID, check

DATA = Path(__file__).parents[1] / "data" / "sample"
MADE = [name for name in TABLES if name not in ("sources", "quarantine")]
COUNTS = ("read", "accepted", "quarantined", "duplicate", "values_rejected")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """A small world: its folder, what ingest makes of its raw files, its truths."""
    made, into = tmp_path_factory.mktemp("world"), tmp_path_factory.mktemp("ingested")
    truth = build(made, seed=3, persons=2000)
    deliver(made / "raw", into, key_file=made / "raw/sample.key", jobs=1)
    return made, into, truth


@pytest.mark.parametrize("name", MADE)
def test_ingest_gives_exactly_the_tables(world: tuple[Path, Path, dict[str, Any]], name: str) -> None:
    made, into, _ = world
    assert_frame_equal(pl.read_parquet(into / f"{name}.parquet"), pl.read_parquet(made / f"{name}.parquet"))


def told(sources: pl.DataFrame) -> dict[str, dict[str, int]]:
    """What became of each file's records, zeros left out."""
    rows = {row["source"]: {name: row[name] for name in COUNTS if row[name]} for row in sources.to_dicts()}
    assert len(rows) == sources.height
    return rows


def announced(raw: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {name: {key: value for key, value in counts.items() if value} for name, counts in raw.items()}


def test_every_file_fares_as_announced(world: tuple[Path, Path, dict[str, Any]]) -> None:
    _, into, truth = world
    sources = pl.read_parquet(into / "sources.parquet")
    assert told(sources) == announced(truth["raw"])
    # 25 mistyped 番号, told apart by name; no 枝番 before September 2021; the rest by 記号・番号・枝番.
    assert sources["linked_kana"].sum() == 25
    assert 0.05 < sources["linked_birth"].sum() / sources["linked_number"].sum() < 0.25


def test_each_planted_fault_is_found_under_its_rule(world: tuple[Path, Path, dict[str, Any]]) -> None:
    _, into, truth = world
    found = Counter(pl.read_parquet(into / "quarantine.parquet").select("table", "level", "rule").iter_rows())
    rows = {key: number for key, number in found.items() if key[1] == "row"}
    assert rows == {
        ("checkups", "row", "not_a_date"): 6,
        ("checkups", "row", "ragged"): 4,
        ("checkups", "row", "not_enrolled"): 6,
        ("claims", "row", "not_enrolled"): 12,
        ("claims", "row", "twin_ambiguous"): 4,
        ("claims", "row", "not_a_date"): 5,
        ("claims", "row", "insurer"): 3,
    }
    assert found["members", "note", "twin_unresolved"] == truth["edge_cases"]["twins_without_branch_number"] == 8
    assert found["members", "note", "same_name_and_birth"] == 2 * len(truth["edge_cases"]["namesake_pairs"])
    assert found["checkups", "value", "unit_suspected"] == truth["edge_cases"]["glucose_in_mmol_l"] > 10
    assert {rule for _, level, rule in found if level == "value"} == {
        "unit_suspected", "censored", "not_measurable", "range"
    }  # fmt: skip


def test_documents_follow_the_official_order(world: tuple[Path, Path, dict[str, Any]]) -> None:
    made, _, _ = world
    archives = sorted((made / "raw/checkups").glob("*_01240019_*_1.zip"))
    assert len(archives) == 8
    texts = []
    for path in archives:
        with zipfile.ZipFile(path) as file:
            names = [name for name in file.namelist() if "/DATA/" in name]
            assert all(re.fullmatch(r"h\d{26}\.xml", Path(name).name) for name in names)
            texts += [file.read(name).decode("utf-8") for name in names]
    for text in texts:
        check(text.removeprefix("\ufeff"))
    assert sum(text.startswith("\ufeff") for text in texts) >= 8
    parts = ('negationInd="true"', 'nullFlavor="NI"/></observation>', 'displayName="以上"', "<entryRelationship")
    assert min(sum(part in text for text in texts) for part in parts) >= 1
    kept = Counter(exam(text) for text in texts if '<code code="10"' in text)
    gone = [exam(text) for text in texts if '<code code="19"' in text]
    assert gone and all(kept[each] == 1 for each in gone)
    assert max(kept.values()) == 2  # a first version, and the right one a month later
    systems = [f'codeSystem="{OID}1005"' in text for text in texts]
    assert 0 < sum(systems) < len(systems)


def exam(text: str) -> tuple[str, ...]:
    """Whose examination, on which day?"""
    number = re.search(rf'{OID}204" extension="(.*?)".*?{OID}205" extension="(.*?)"', text)
    day = re.search(r'<serviceEvent>.*?<effectiveTime value="(\d{8})"', text)
    assert number and day
    return (*number.groups(), day[1])


def test_same_world_same_bytes(world: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    made, _, truth = world
    assert build(tmp_path, seed=3, persons=2000) == truth
    files = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) > 35
    for file in files:
        assert (made / file).read_bytes() == (tmp_path / file).read_bytes(), file


def test_ids_are_those_of_ingest() -> None:
    made = make(seed=5, persons=2000, variant="full")
    who, key = made.world.who, Key(identity.SECRET)
    first = who.spells.unique("i", keep="first", maintain_order=True)
    names = pl.Series([f"{family} {given}" for family, given in zip(who.family, who.given, strict=True)])
    birth = pl.Series(who.birth).cast(pl.Int32).cast(pl.Date)
    rows = first.select(
        insurer=pl.lit(identity.INSURER), symbol=pl.col("symbol").str.zfill(9), number=pl.col("number").str.zfill(7),
        branch_number="branch", birth=birth.gather(first["i"]), kana=names.gather(first["i"]),
        sex=pl.Series(["M" if male else "F" for male in who.male]).gather(first["i"]),
    )  # fmt: skip
    sealed = seal_frame(rows.select(pl.col(name).cast(kind) for name, kind in IDENTITY.items()), key)
    parts = sealed.select("id_family", "id_birth", "id_kana").iter_rows()
    assert [key.seal(f"person|{family}|{born}|{kana}") for family, born, kana in parts] == who.ids.tolist()
    called = {normal_kana(name) for name in names}
    assert len({name.replace(" ", "") for name in names}) == len(called)


def test_nobody_is_called_like_anyone_else_of_the_same_birthday() -> None:
    who = make(seed=5, persons=2000, variant="full").world.who
    people = pl.DataFrame({"family": who.family, "given": who.given, "birth": who.birth, "male": who.male})
    assert people.is_duplicated().sum() == who.namesakes.size
    families = {
        row.split(",")[1] for row in (Path(identity.__file__).parent / "data/names.csv").read_text().split()[1:]
    }
    assert set(who.family) <= families and len(families) == 86


@pytest.mark.slow
def test_committed_raw_files_give_the_committed_tables(tmp_path: Path) -> None:
    # One of the seven claims archives; `make report` reads them all.
    raw, into = tmp_path / "raw", tmp_path / "ingested"
    shutil.copytree(DATA / "raw", raw, ignore=shutil.ignore_patterns("recodeinfo_*_0[2-9].zip"))
    deliver(raw, into, key_file=raw / "sample.key", jobs=2)
    made, kept = ({name: pl.read_parquet(folder / f"{name}.parquet") for name in TABLES} for folder in (into, DATA))
    assert made["claims"].height > 100_000
    for name in ("claims", "claim_fees"):
        kept[name] = kept[name].join(
            made["claims"].select("claim_id"), on="claim_id", how="semi", maintain_order="left"
        )
    for name in ("sources", "quarantine"):  # the list of returned claims names those that are not here
        made[name] = made[name].filter(~pl.col("source").str.contains("claim_status"))
        kept[name] = kept[name].join(made["sources"].select("source"), on="source", how="semi", maintain_order="left")
    for name in TABLES:
        words = ["reason"] if name == "quarantine" else []
        assert_frame_equal(made[name].drop(words), kept[name].drop(words))


def test_committed_sources_are_as_announced() -> None:
    truth = json.loads((DATA / "truth.json").read_text(encoding="utf-8"))
    sources = pl.read_parquet(DATA / "sources.parquet")
    assert told(sources) == announced(truth["raw"])
    assert set(sources["received_from"]) <= {"file", "file_name"}
    files = {str(path.relative_to(DATA / "raw").as_posix()) for path in (DATA / "raw").rglob("*") if path.is_file()}
    known = {name.split("!")[0] for name in sources["source"]}
    assert files - known == {"SYNTHETIC", "sample.key", "mapping_branch_checkups.toml"}
