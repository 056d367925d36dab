"""Who is drawn into which arm, and what shows that nobody chose? The files of `kenpo randomise`."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics.errors import ParameterError, TableError
from kenpo_analytics.evaluation.trial import assign, detectable
from kenpo_analytics.evaluation.trial_record import ASSIGNMENT, RECORD, record

NONE_YET = "未取得"
"""What must be typed where there is no ethics or registration id yet: nobody leaves it out by oversight."""


def draw(
    people: str | Path,
    out: str | Path,
    *,
    kind: str,
    seed: int,
    programme: str,
    ethics: str,
    registration: str,
    strata: Sequence[str] = (),
    unit: str | None = None,
    sd: float | None = None,
    correlation: float = 0.0,
    seen: float = 1.0,
) -> dict[str, Any]:
    """Draw an assignment from a file of people and keep it with its record; gives the record.

    Parameters
    ----------
    people
        Parquet or CSV (UTF-8) with person_id and the columns of `strata` or `unit`.
    out
        A new folder, for its owner only: `assignment.parquet` (person_id, strata, stratum, arm, arm_label) and
        `record.json` (seed, strata, ids, fingerprint of the file, counts, day, and the digest over the assignment and
        all of these). Both or neither appear.
    ethics, registration
        Ids of the ethics approval and of the public registration, or "未取得", which the record then says.
    sd
        Standard deviation of next year's FPG: adds the minimum detectable difference (`plan`).
    correlation, seen
        Of next year's FPG with this year's; share expected at the next checkup (`trial.detectable`).

    Raises
    ------
    ParameterError
        No ids; the folder exists; an unknown kind, column or file type.
    TableError
        The file cannot be read, or has decimal person ids.
    """
    people, out = Path(people), Path(out)
    for value, word in ((ethics, "倫理審査の番号(--ethics)"), (registration, "試験登録の番号(--registration)")):
        if not value.strip():
            raise ParameterError(f"{word}を指定してください。", hint=f"まだないときは「{NONE_YET}」と書きます。")
    if not programme.strip():
        raise ParameterError("事業の名前(--programme)を指定してください。")
    if out.exists():
        raise ParameterError(f"出力先がすでにあります: {out}", hint="割付は上書きしません。新しい場所を指定します。")
    frame = _read(people)
    assigned = assign(frame, kind=kind, seed=seed, programme=programme, strata=strata, unit=unit)
    if not assigned.height:
        raise ParameterError("割り付ける人が1人もいません。")
    facts: dict[str, Any] = {
        "programme": programme,
        "kind": kind,
        "seed": seed,
        "strata": list(strata),
        "unit": unit,
        "ethics_id": ethics,
        "registration_id": registration,
        "approved": NONE_YET not in (ethics.strip(), registration.strip()),
        "drawn_at": dt.datetime.now().astimezone().isoformat(timespec="seconds"),
        "people_file": people.name,
        "people_sha256": hashlib.sha256(people.read_bytes()).hexdigest(),
        "version": version("kenpo-analytics"),
    }
    if sd is not None:
        facts["plan"] = _plan(assigned, sd=sd, correlation=correlation, seen=seen)
    told = record(assigned, **facts)
    _write(out, assigned, told)
    return told


def _plan(assigned: pl.DataFrame, **facts: float) -> dict[str, float]:
    """The smallest difference that so many people, in arms of this size, would show."""
    n = assigned.height
    share = min(int(assigned["arm"].value_counts()["count"].max()) / n, 1 - 1 / n)  # type: ignore[arg-type]
    plan = detectable(n, share=share, **facts)
    return {**facts, "detectable": plan.detectable, "power": plan.power, "level": plan.level}


def _read(path: Path) -> pl.DataFrame:
    kind = path.suffix.lower()
    if kind not in (".parquet", ".csv"):
        raise ParameterError(f"対象者のファイルは .parquet か .csv です: {path.name}")
    try:
        frame = pl.read_parquet(path) if kind == ".parquet" else pl.read_csv(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"対象者のファイルを読めません: {path.name}", hint="場所と中身を確かめてください。") from error
    if "person_id" in frame.columns and frame["person_id"].dtype.is_float():
        raise TableError(
            "個人ID(person_id)が小数になっています。別の人が同じ番号になります", hint="整数か文字で書き出します。"
        )
    return frame


def _write(out: Path, assigned: pl.DataFrame, told: dict[str, Any]) -> None:
    """Both files in a folder that appears at once, readable by its owner only."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.{os.getpid()}.partial")
    part.mkdir(mode=0o700)
    try:
        for name in (ASSIGNMENT, RECORD):
            os.close(os.open(part / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        assigned.write_parquet(part / ASSIGNMENT)
        text = json.dumps(told, ensure_ascii=False, indent=1, sort_keys=True)
        (part / RECORD).write_text(text + "\n", encoding="utf-8", newline="\n")
        part.rename(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def describe(told: dict[str, Any], out: str | Path) -> str:
    """What was drawn, in Japanese, without a single person."""
    from kenpo_analytics.evaluation.trial import ARMS, KINDS

    arms = "、".join(f"{ARMS[arm]} {count:,}人" for arm in KINDS[told["kind"]] if (count := told["arms"].get(arm, 0)))
    lines = [f"割り付けました: {arms}(計 {told['persons']:,}人)"]
    if not told["approved"]:
        lines.append(f"注意: 倫理審査か試験登録が{NONE_YET}です。承認と登録の前に送付を始めないでください。")
    if plan := told.get("plan"):
        lines.append(
            f"検出できる最小の差: {plan['detectable']:.2f} mg/dL"
            f"(標準偏差 {plan['sd']:g}、前年値との相関 {plan['correlation']:g}、"
            f"次回健診を受ける割合 {plan['seen']:.0%}、検出力 {plan['power']:.0%}、両側 {1 - plan['level']:.0%})"
        )
        if told["unit"]:
            lines.append("まとまりごとの割付では、これより大きな差でないと検出できません。")
    lines.append(f"保存先: {out}(個人ごとの割付を含みます。支部の外に出さないでください)")
    lines.append(f"割付の指紋(割付の表と、日時・種・番号などの記録のすべて): {told['digest']}")
    lines.append(
        "この指紋を、送付を始める前に、試験登録の記録など後から書き換えられない所に控えてください。"
        "表と記録の両方を作り直せば指紋も作り直せるため、控えと比べて初めて書き換えが分かります。"
    )
    return "\n".join(lines)
