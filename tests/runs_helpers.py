"""What the tests of the run share: a small world of data and notebooks, and cells to put into them."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import nbformat
import polars as pl
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from kenpo_analytics.runs.monthly import Options

FIXTURES = Path(__file__).parent / "runs_fixtures"
SHOW = (
    "from IPython.display import display\n"
    "from kenpo_analytics.disclosure.stamp import stamp\n"
    "data = {'text/plain': 'checked'}\n"
    "display(data, raw=True, metadata=stamp(data))"
)


@dataclass(frozen=True)
class World:
    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def notebooks(self) -> Path:
        return self.root / "notebooks"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    def options(self, **changes) -> Options:
        places = {"data": self.data, "notebooks": self.notebooks, "reports": self.reports}
        return Options(**(places | changes))

    def command(self, *words: str) -> list[str]:
        places = {"--data": self.data, "--notebooks": self.notebooks, "--reports": self.reports}
        return ["run", *(str(word) for pair in places.items() for word in pair), *words]

    def notebook(self, name: str, *cells: str, parameters: str = 'month: str = "2025-09"') -> Path:
        """Put a notebook of these code cells into the suite."""
        first = new_code_cell(parameters, metadata={"tags": ["parameters"]})
        body = [new_code_cell(text) for text in cells]
        self.notebooks.mkdir(parents=True, exist_ok=True)
        path = self.notebooks / f"{name}.ipynb"
        nbformat.write(new_notebook(cells=[new_markdown_cell(f"# {name}"), first, *body]), path)
        return path


def tables() -> dict[str, pl.DataFrame]:
    """The smallest sound data folder: a person each of 24 and 23, a checkup, two claims; received to 2025-10."""
    day = date(2025, 8, 1)
    member = {"person_id": 1, "valid_from": date(2020, 4, 1), "sex": "F", "birth_month": 198001, "fy_age_base": 1980}
    member |= {"relationship": "insured", "branch": "24", "municipality": "24201"}
    checkup = {"record_id": 1, "person_id": 1, "checkup_date": day, "received_month": 202509, "kind": "特定健診"}
    claim = {"person_id": 1, "treatment_month": 202508, "status": "normal"}
    fee = claim | {
        "claim_id": 1,
        "institution": "a",
        "received_month": 202509,
        "code": "111000110",
        "day": 1,
        "count": 1,
    }
    claims = [claim | {"claim_id": i, "kind": "入院外", "received_month": 202508 + i} for i in (1, 2)]
    rows = {
        "members": [member, member | {"person_id": 2, "branch": "23"}],
        "checkups": [checkup],
        "claims": claims,
        "claim_fees": [fee],
    }
    return {name: pl.DataFrame(given) for name, given in rows.items()}


def make_world(root: Path, *, suite: bool = True, synthetic: bool = True) -> World:
    world = World(root)
    world.data.mkdir(parents=True)
    for name, table in tables().items():
        table.write_parquet(world.data / f"{name}.parquet")
    if synthetic:
        (world.data / "SYNTHETIC").touch()
    if suite:
        shutil.copytree(FIXTURES, world.notebooks)
    return world


def picture(folder: Path) -> dict[str, str]:
    """Every published file with its digest: two equal pictures are two equal reports."""
    months = [path for path in folder.iterdir() if not path.name.startswith(".")]
    files = [f for m in months for f in ([m] if m.is_file() else m.resolve().rglob("*")) if f.is_file()]
    return {f"{f.parent.name}/{f.name}": hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
