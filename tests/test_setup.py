"""Set-up: the lock is hashed and names no host, conda is in step with it, CI runs what the README says."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINNED = [(canonicalize_name(name), Version(version)) for name, version in re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.M)]
DECLARED = [
    *PROJECT["project"]["dependencies"],
    *(line for lines in PROJECT["project"]["optional-dependencies"].values() for line in lines),
    *PROJECT["dependency-groups"]["dev"],
]


def test_the_lock_is_hashed_and_names_no_host():
    assert len(re.findall(r"^[\w.-]+==", LOCK, re.M)) > 100
    assert not re.search(r"https?://|--index-url|--find-links", LOCK)
    for block in re.split(r"\n(?=[\w.-]+==)", LOCK.strip()):
        assert "--hash=sha256:" in block, block.splitlines()[0]


@pytest.mark.parametrize("line", DECLARED)
def test_every_declared_dependency_is_locked_within_its_range(line):
    requirement = Requirement(line)
    versions = [version for name, version in PINNED if name == canonicalize_name(requirement.name)]
    assert versions, f"{requirement.name} is not in requirements.lock: run `make lock`"
    assert all(requirement.specifier.contains(version) for version in versions)


def test_conda_gives_the_interpreter_and_pip_the_lock():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert set(conda) == {"name", "channels", "dependencies"}
    python, pip, section = conda["dependencies"]
    version = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert python == f"python={version}"
    assert Requirement(f"python{PROJECT['project']['requires-python']}").specifier.contains(f"{version}.0")
    assert pip == "pip"
    assert section == {"pip": ["-r requirements.lock"]}


def test_every_dependency_is_justified_in_one_line():
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = {canonicalize_name(name) for name in re.findall(r"^\| `([\w.-]+)`", text, re.M)}
    assert rows == {canonicalize_name(Requirement(line).name) for line in DECLARED}


def test_ci_runs_the_test_command_of_the_readme():
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").strip().endswith("exec make test")


def _tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def test_committed_notebooks_are_executed_and_carry_nothing_volatile():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        assert path.stat().st_size <= 400_000, path.name
        assert notebook["metadata"]["kernelspec"]["name"] == "python3"
        assert set(notebook["metadata"]) <= {"kernelspec", "language_info"}
        tags = [cell["metadata"].get("tags", []) for cell in notebook["cells"]]
        assert tags.count(["parameters"]) == 1, path.name
        for cell in notebook["cells"]:
            assert set(cell["metadata"]) <= {"tags"}, path.name
            if cell["cell_type"] == "code":
                assert cell["execution_count"], f"{path.name}: a cell was not executed"
        text = path.read_text(encoding="utf-8")
        assert not re.search(r'"(/home|/Users|/root|/work|C:\\\\)', text), path.name


def test_no_file_is_too_large_for_a_clone():
    sample = sum(path.stat().st_size for path in (ROOT / "data" / "sample").iterdir())
    assert sample <= 15_000_000
    for path in _tracked():
        if path.parent.name != "sample":
            assert path.stat().st_size <= 1_500_000, path
