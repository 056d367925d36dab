"""The public face: every name resolves, types are told, and importing the package stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import kenpo_analytics as ka

HEAVY = ("matplotlib", "seaborn", "statsmodels", "scipy", "pandas", "great_tables", "papermill", "duckdb", "polars")


def test_every_public_name_resolves_and_is_typed():
    tree = ast.parse(Path(ka.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.name
        for block in tree.body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert typed == set(ka.__all__) == set(ka._ROOM_OF)
    for name in ka.__all__:
        assert callable(getattr(ka, name)), name


def test_completion_offers_public_names_only():
    assert dir(ka) == sorted(ka.__all__)


def test_no_room_hides_a_public_name():
    rooms = {path.stem for path in Path(ka.__file__).parent.iterdir()}
    assert not rooms & set(ka.__all__)


def test_importing_the_package_is_light():
    code = f"import kenpo_analytics, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"
