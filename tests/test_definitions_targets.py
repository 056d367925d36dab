"""Targets and events that a branch edits: a typing error is told with line and column, a change is another version."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest

from kenpo_analytics.definitions import calendar, cells, define
from kenpo_analytics.definitions import kpi as registry
from kenpo_analytics.definitions.kpi import demands, read_targets
from kenpo_analytics.errors import DefinitionError

FOLDER = Path(cells.__file__).parent
TARGETS, EVENTS = FOLDER / "kpi" / "targets.csv", FOLDER / "events.csv"


def edited(path: Path, into: Path, line: int, **cells: str) -> Path:
    """A copy in which cells of one line (the header is line 1) say something else."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows[line - 2] |= cells
    out = into / path.name
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return out


def line_of(path: Path, **cells: str) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        return next(n for n, row in enumerate(csv.DictReader(file), 2) if cells.items() <= row.items())


BID = {"kpi_id": "single_bid_rate", "fiscal_year": "2025"}


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ({"rule": "<="}, r"rule「<=」は使えない決まりです\nヒント: 使えるrule: ge"),
        ({"rule": "ge"}, "rule「ge」は一者応札(低いほどよい指標)の向きと逆です"),
        ({"target": "15%"}, "target「15%」は数として読めません"),
        ({"target": "nan"}, "target「nan」は数として読めません"),
        ({"target": ""}, "target「」は空にできません"),
        ({"target": "150"}, "target「150」は範囲の外です(0～100)"),
        ({"target": "-1"}, "target「-1」は範囲の外です"),
        ({"rule": "le_prev"}, "target「15.0」はrule「le_prev」(前年度と比べる)では使いません"),
        ({"kpi_id": "single_bid"}, "kpi_id「single_bid」は登録されていないKPIです"),
        ({"version": "令和7年度"}, "version「令和7年度」は一者応札の定義の版にありません\nヒント: 使える値: 令和6年度"),
        ({"fiscal_year": "25年"}, "fiscal_year「25年」は年度として読めません"),
        ({"fiscal_year": "2024"}, "kpi_id「single_bid_rate」は2024年度の行が"),
        ({"status": "確認"}, "status「確認」は使えない区分です"),
        ({"source": ""}, "source「」は空にできません"),
    ],
)
def test_a_typing_error_in_a_target_names_line_and_column(tmp_path, cells, told):
    line = line_of(TARGETS, **BID)
    with pytest.raises(DefinitionError) as caught:
        read_targets(edited(TARGETS, tmp_path, line, **cells))
    assert str(caught.value).startswith(f"targets.csv の{line}行目の {told}".replace("\\n", "\n"))


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ({"date": "2025-13-10"}, "date「2025-13-10」は日付として読めません"),
        ({"until": "2020-01-01"}, "until「2020-01-01」は始まり(2020-04-07)より後ではありません"),
        (
            {"affects": "checkups checkup_rate"},
            "affects「checkups checkup_rate」は使えない名前を含みます: checkup_rate",
        ),
        ({"affects": ""}, "affects「」は空にできません"),
        ({"status": "確認"}, "status「確認」は使えない区分です"),
        ({"id": "definition_x"}, "id「definition_x」は使えません"),
    ],
)
def test_a_typing_error_in_an_event_names_line_and_column(tmp_path, cells, told):
    with pytest.raises(DefinitionError) as caught:
        calendar.read_events(edited(EVENTS, tmp_path, 2, **cells))
    assert caught.value.message.startswith(f"events.csv の2行目の {told}")
    assert caught.value.message.startswith(f"events.csv の2行目の {next(iter(cells))}")


def test_a_second_event_of_one_id_and_dates_as_excel_writes_them(tmp_path):
    with pytest.raises(DefinitionError, match="3行目の id「covid」は使えません"):
        calendar.read_events(edited(EVENTS, tmp_path, 3, id="covid"))
    found = calendar.read_events(edited(EVENTS, tmp_path, 2, date="2020/4/7"))
    assert found == calendar.read_events(EVENTS)


def test_other_columns_cells_and_encodings_are_refused(tmp_path):
    text = TARGETS.read_text(encoding="utf-8")
    bad = tmp_path / "targets.csv"
    for content, told in (
        (text.replace("rule", "rules", 1).encode(), "列が違います"),
        (text.encode() + b"a,b\n", "行目の列の数が違います(2列、見出しは8列)"),
        (text.encode("cp932"), "UTF-8ではありません"),
    ):
        bad.write_bytes(content)
        with pytest.raises(DefinitionError) as caught:
            read_targets(bad)
        assert told in caught.value.message
    bad.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n,,,,,,,\r\n")
    assert read_targets(bad) == registry.targets()


def test_another_target_or_event_is_another_version_of_the_definitions(monkeypatch):
    before, used = define().version, define()
    first, *others = registry.targets()
    changed = (dataclasses.replace(first, target=60.0), *others)
    with monkeypatch.context() as patched:
        patched.setattr(registry, "targets", lambda: changed)
        assert used.version != before
    moved = tuple(dataclasses.replace(e, date=e.date.replace(year=2019)) for e in calendar.events())
    with monkeypatch.context() as patched:
        patched.setattr(calendar, "events", lambda: moved)
        assert used.version != before
    assert used.version == before and demands.targets() == registry.targets()
