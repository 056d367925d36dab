"""Who is drawn into which arm, and what shows that nobody chose? The files of `kenpo randomise`."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import os
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics.errors import EstimateError, ParameterError, TableError
from kenpo_analytics.evaluation.trial import assign, detectable
from kenpo_analytics.evaluation.trial_arms import ARMS, FEW
from kenpo_analytics.evaluation.trial_record import ASSIGNMENT, KINDS, RECORD, record

NONE_YET = "未取得"
"""What must be typed where there is no ethics or registration id yet: nobody leaves it out by oversight."""
LEAST = 2
"""People in each arm without whom there is nothing to compare."""


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
        No ids; no such file; the folder exists; an unknown kind, stratum, unit or file type; `sd`, `correlation` or
        `seen` that cannot be.
    TableError
        The file cannot be read, or has nobody, no person_id, decimal, missing or repeated ones; or an arm would have
        fewer than `LEAST` people.
    """
    people, out = Path(people), Path(out)
    if kind not in KINDS:
        raise ParameterError(f"割付の種類(--kind)「{kind}」はありません。", hint=f"使える種類: {'、'.join(KINDS)}")
    for value, word in ((ethics, "倫理審査の番号(--ethics)"), (registration, "試験登録の番号(--registration)")):
        if not value.strip():
            raise ParameterError(f"{word}を指定してください。", hint=f"まだないときは「{NONE_YET}」と書きます。")
    if not programme.strip():
        raise ParameterError("事業の名前(--programme)を指定してください。")
    if out.exists():
        raise ParameterError(f"出力先がすでにあります: {out}", hint="割付は上書きしません。新しい場所を指定します。")
    if sd is not None:
        _plan(2, 0.5, sd=sd, correlation=correlation, seen=seen)  # refused before anything is read
    frame = _people(people)
    assigned = assign(frame, kind=kind, seed=seed, programme=programme, strata=strata, unit=unit)
    sizes = [int((assigned["arm"] == arm).sum()) for arm in KINDS[kind]]
    if min(sizes) < LEAST:
        raise TableError(
            f"割り付けると、人数が{LEAST}人に満たない群ができます(対象者 {assigned.height:,}人)",
            hint="対象者を増やすか、まとまり(--unit)ごとでなく1人ずつ割り付けてください。"
            if unit
            else "次の回の対象者と合わせて割り付けてください。",
        )
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
        share = max(sizes) / assigned.height
        facts["plan"] = _plan(assigned.height, share, sd=sd, correlation=correlation, seen=seen)
    told = record(assigned, **facts)
    _write(out, assigned, told)
    return told


def _plan(persons: int, share: float, **facts: float) -> dict[str, float]:
    """The smallest difference that so many people, in arms of this size, would show."""
    try:
        plan = detectable(persons, share=share, **facts)
        if not math.isfinite(plan.detectable):
            raise EstimateError("有限の値になりません")
    except EstimateError as error:
        told = "、".join(f"--{name} {value:g}" for name, value in facts.items())
        raise ParameterError(
            f"検出できる最小の差を計算できない値です: {told}",
            hint="標準偏差(--sd)は0より大きく、相関(--correlation)は-1と1の間、割合(--seen)は0より大きく1以下です。",
        ) from error
    return {**facts, "detectable": plan.detectable, "power": plan.power, "level": plan.level}


def _people(path: Path) -> pl.DataFrame:
    """Who is to be drawn? Everybody once: what the file lacks is the file's fault (65), never an unexpected error."""
    frame = _read(path)
    if "person_id" not in frame.columns:
        raise TableError(f"対象者のファイルに個人ID(person_id)の列がありません: {path.name}")
    if frame.is_empty():
        raise TableError(f"割り付ける人が1人もいません: {path.name}", hint="対象者の選び方を確かめてください。")
    ids = frame["person_id"]
    if ids.dtype.is_float():
        raise TableError(
            "個人ID(person_id)が小数になっています。別の人が同じ番号になります", hint="整数か文字で書き出します。"
        )
    if ids.null_count() or ids.n_unique() < frame.height:
        raise TableError("個人IDの空の行か、同じ個人IDの行があります", hint="1人1行にしてください。")
    return frame


def _read(path: Path) -> pl.DataFrame:
    kind = path.suffix.lower()
    if kind not in (".parquet", ".csv"):
        raise ParameterError(f"対象者のファイルは .parquet か .csv です: {path.name}")
    if not path.exists():
        raise ParameterError(f"対象者のファイル(--people)がありません: {path}", hint="場所を確かめてください。")
    try:
        return pl.read_parquet(path) if kind == ".parquet" else pl.read_csv(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"対象者のファイルを読めません: {path.name}", hint="場所と中身を確かめてください。") from error


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
    arms = "、".join(f"{ARMS[arm]} {count:,}人" for arm in KINDS[told["kind"]] if (count := told["arms"].get(arm, 0)))
    lines = [f"割り付けました: {arms}(計 {told['persons']:,}人)"]
    if not told["approved"]:
        lines.append(f"注意: 倫理審査か試験登録が{NONE_YET}です。承認と登録の前に送付を始めないでください。")
    if (least := min(told["arms"].values())) < FEW:
        lines.append(
            f"注意: 少ない方の群が{least}人です。次回健診のある人が片方で{FEW}人に満たない割付は、"
            "それだけでは推定しません(ほかの回の割付と合わせて評価できます)。"
        )
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
