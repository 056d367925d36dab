"""Whom does `kenpo randomise` refuse to draw, by which exit code (docs/runs.md), and of what does it warn?"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from kenpo_analytics.cli import exit_code
from kenpo_analytics.errors import KenpoError
from kenpo_analytics.evaluation.draw import describe, draw

WORDS = {"kind": "delay", "seed": 1, "programme": "p", "ethics": "E-1", "registration": "jRCT-1"}


def crowd(n: int, **columns: list[object]) -> pl.DataFrame:
    return pl.DataFrame({"person_id": pl.int_range(n, eager=True), **columns})


def drawn(folder: Path, people: pl.DataFrame | None, **options: object) -> dict[str, object]:
    if people is not None:
        people.write_parquet(folder / "people.parquet")
    return draw(folder / "people.parquet", folder / "out", **{**WORDS, **options})  # type: ignore[arg-type]


MANY = crowd(100, workplace_id=["W"] * 100)
# fmt: off
REFUSED = [
    (crowd(0), {}, 65, "1人もいません"),
    (crowd(0), {"strata": ["person_id"], "unit": None}, 65, "1人もいません"),
    (crowd(100).rename({"person_id": "id"}), {}, 65, "個人ID(person_id)の列がありません"),
    (pl.DataFrame({"person_id": [1, 1, 2, 3]}), {}, 65, "同じ個人IDの行"),
    (pl.DataFrame({"person_id": [1, None, 2, 3]}), {}, 65, "空の行"),
    (crowd(1), {}, 65, "2人に満たない群ができます(対象者 1人)"),
    (crowd(3), {}, 65, "2人に満たない群ができます"),
    (MANY, {"unit": "workplace_id"}, 65, "2人に満たない群ができます(対象者 100人)"),
    (None, {}, 64, "ファイル(--people)がありません"),
    (MANY, {"strata": ["sex"]}, 64, "列がありません: sex"),
    (MANY, {"kind": "half"}, 64, "割付の種類(--kind)「half」はありません。\nヒント: 使える種類: delay、leaflets"),
    (MANY, {"sd": 0.0}, 64, "--sd 0、--correlation 0、--seen 1"),
    (MANY, {"sd": float("nan")}, 64, "--sd nan"),
    (MANY, {"sd": float("inf")}, 64, "--sd inf"),
    (MANY, {"sd": 9.0, "correlation": 1.0}, 64, "--correlation 1"),
    (MANY, {"sd": 9.0, "seen": 1.5}, 64, "--seen 1.5"),
]
# fmt: on


@pytest.mark.parametrize(("people", "options", "code", "told"), REFUSED)
def test_what_cannot_be_drawn_ends_with_the_documented_code(tmp_path, people, options, code, told):
    with pytest.raises(KenpoError) as caught:
        drawn(tmp_path, people, **options)
    assert (exit_code(caught.value), told in str(caught.value)) == (code, True), str(caught.value)
    assert "ブロック" not in str(caught.value)  # nobody can set it
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("n", "warned"), [(4, True), (36, True), (40, False)])
def test_a_draw_too_small_to_be_evaluated_alone_is_made_and_told(tmp_path, n, warned):
    said = describe(drawn(tmp_path, crowd(n)), tmp_path / "out")
    assert (f"注意: 少ない方の群が{n // 2}人です" in said) is warned
