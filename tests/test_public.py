"""The public face: every name resolves, types are told, and importing the package stays light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kenpo_analytics as ka

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample"

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


# --- the two READMEs ------------------------------------------------------------------------------------


def example(readme: str) -> str:
    """The Python of a README, or of a page of docs/, without its comments."""
    blocks = re.findall(r"```python\n(.+?)```", (ROOT / readme).read_text(encoding="utf-8"), re.DOTALL)
    return "\n".join(re.sub(r" *#.*", "", block) for block in blocks)


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="needs the sample of the checkout")
def test_the_example_of_the_readme_runs_with_the_branchs_own_values(tmp_path, monkeypatch):
    monkeypatch.delenv("KENPO_MONTH", raising=False)
    monkeypatch.setenv("KENPO_DATA", str(SAMPLE))
    monkeypatch.chdir(tmp_path)
    code, found = example("README.md"), []
    assert code == example("README.ja.md")
    for rule in ("or", "and"):
        (tmp_path / "kenpo.toml").write_text(f"[definitions]\nprediabetes.rule = '{rule}'\n", encoding="utf-8")
        names: dict = {}
        exec(compile(code, "README.md", "exec"), names)
        wanted = ka.prediabetes(names["checkups"], names["members"], fiscal_year=2024, rule=rule).people
        assert set(names["cohort"].people["record_id"]) == set(wanted["record_id"])
        found.append(len(names["cohort"].people))
        assert ka.visit_incidence(names["visits"]).kpi["window"].to_list() == ["0-9", "0-10", "1-10"]
    assert found[0] > found[1] > 0


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="needs the sample of the checkout")
@pytest.mark.parametrize("page", ["docs/risk.md", "docs/kpi.md"])
def test_the_example_of_a_page_runs_as_it_is_printed(page, tmp_path, monkeypatch):
    monkeypatch.delenv("KENPO_MONTH", raising=False)
    monkeypatch.setenv("KENPO_DATA", str(SAMPLE))
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(example(page), page, "exec"), names)
    results = [value for name, value in names.items() if name in ("rates", "now", "ahead", "shown")]
    assert results and all(len(value) > 10 for value in results)
    if page == "docs/kpi.md":
        assert names["moved"]["change"] == names["moved"]["estimate"] - names["moved"]["before"] != 0


def test_pages_that_are_not_japanese_say_so_in_the_japanese_readme():
    links = re.findall(r"\[([^\]]+)\]\(([^)]+\.md)\)", (ROOT / "README.ja.md").read_text(encoding="utf-8"))
    assert len(links) >= 10
    for label, target in links:
        text = (ROOT / target).read_text(encoding="utf-8")
        japanese = len(re.findall(r"[ぁ-んァ-ヶ一-龠]", text)) / len(text)
        marked = any(word in label for word in ("英語", "日英", "README.md"))
        assert marked == (japanese < 0.1), (label, japanese)
