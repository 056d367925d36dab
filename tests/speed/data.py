"""A large seeded data folder for measuring: canonical tables, sorted by person, written block by block.

Plain and uniform, unlike the sample world (`kenpo sample`), which is made to be true rather than fast.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

BLOCK = 200_000  # people per block: memory stays flat however many there are
YEARS = (2021, 2022, 2023)
_CODES = ["111000570", "111000670", "111000770", "112001110", "112001210", "112001310", "111000110", "112007410"]
_DAY0 = np.datetime64("2021-04-01")


def build(folder: Path, *, checkups: int, claims: int, seed: int = 7) -> None:
    """Write members, checkups, claims and claim_fees with about the asked numbers of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    people = int(checkups / 2.45)
    writers: dict[str, pq.ParquetWriter] = {}
    rows = dict.fromkeys(("checkups", "claims"), 0)
    for start in range(0, people, BLOCK):
        rng = np.random.default_rng([seed, start])
        n = min(BLOCK, people - start)
        who = np.arange(start, start + n, dtype=np.int64) * 7 + 10_000_019
        parts = {"members": _members(rng, who), "checkups": _checkups(rng, who, rows["checkups"])}
        parts["claims"], parts["claim_fees"] = _claims(rng, who, rows["claims"], round(claims * n / people))
        for name, frame in parts.items():
            table = frame.to_arrow()
            if name not in writers:
                writers[name] = pq.ParquetWriter(folder / f"{name}.parquet", table.schema, compression="zstd")
            writers[name].write_table(table, row_group_size=262_144)
        rows["checkups"] += len(parts["checkups"])
        rows["claims"] += len(parts["claims"])
    for writer in writers.values():
        writer.close()


def _members(rng: np.random.Generator, who: np.ndarray) -> pl.DataFrame:
    n = len(who)
    birth = np.datetime64("1949-04-01") + rng.integers(0, 14_600, n)
    left = rng.random(n) < 0.1
    frame = pl.DataFrame(
        {
            "person_id": who,
            "valid_from": np.full(n, np.datetime64("2015-04-01")),
            "valid_to": np.datetime64("2022-01-01") + rng.integers(0, 1000, n),
            "sex": rng.choice(["M", "F"], n),
            "birth": birth,
            "relationship": rng.choice(["insured", "dependent"], n, p=[0.88, 0.12]),
            "insured_kind": np.full(n, "一般"),
            "branch": np.char.zfill((rng.beta(0.8, 1.2, n) * 47 + 1).astype(int).astype(str), 2),
            "municipality": (24_000 + rng.integers(201, 230, n)).astype(str),
            "link_rule": np.full(n, "key"),
        }
    )
    day = pl.col("birth").cast(pl.Date)
    early = (day.dt.month() * 100 + day.dt.day() <= 401).cast(pl.Int32)
    return frame.with_columns(
        pl.col("valid_from").cast(pl.Date),
        pl.when(pl.Series(left)).then(pl.col("valid_to").cast(pl.Date)).alias("valid_to"),
        birth_month=day.dt.year() * 100 + day.dt.month().cast(pl.Int32),
        fy_age_base=day.dt.year() - early,
        workplace_id=pl.lit(None, pl.String),
    ).drop("birth")


def _checkups(rng: np.random.Generator, who: np.ndarray, first_id: int) -> pl.DataFrame:
    taken = [np.flatnonzero(rng.random(len(who)) < 0.8) for _ in YEARS]
    again = [rng.choice(seen, len(seen) // 50, replace=False) for seen in taken]
    person = np.concatenate([*taken, *again])
    year = np.concatenate([np.full(len(seen), fy) for seen, fy in zip([*taken, *again], [*YEARS, *YEARS], strict=True)])
    n = len(person)
    latent = rng.normal(0, 1, len(who))[person]

    def value(mean: float, sd: float, share: float, digits: int = 0) -> np.ndarray:
        return np.round(mean + sd * (share * latent + np.sqrt(1 - share**2) * rng.normal(0, 1, n)), digits)

    def holes(values: np.ndarray, share: float) -> pl.Series:
        return pl.Series(np.where(rng.random(n) < share, np.nan, values)).fill_nan(None)

    date = (year - 2021) * 365 + rng.integers(0, 365, n) + _DAY0
    frame = pl.DataFrame(
        {
            "person_id": who[person],
            "checkup_date": date,
            "institution": rng.choice(["A", "B", "C", "D"], n),
            "kind": rng.choice(["生活習慣病予防健診", "事業者健診"], n, p=[0.9, 0.1]),
            "fasting": rng.choice(["fasting", "casual", ""], n, p=[0.75, 0.1, 0.15]),
            "fpg": holes(value(99, 15, 0.8), 0.05),
            "hba1c": holes(value(5.6, 0.5, 0.8, 1), 0.2),
            "sbp": value(126, 17, 0.4),
            "dbp": value(77, 12, 0.4),
            "ldl": holes(value(124, 31, 0.2), 0.03),
            "tg": value(110, 40, 0.3),
            "hdl": value(62, 16, 0.1),
            "bmi": value(23, 3.6, 0.3, 1),
            "waist": value(84, 10, 0.3, 1),
            "medication_bp": rng.random(n) < 0.18,
            "medication_glucose": rng.random(n) < 0.05,
            "unanswered": rng.random(n) < 0.02,
            "medication_lipid": rng.random(n) < 0.1,
        }
    )
    day = pl.col("checkup_date").cast(pl.Date)
    frame = (
        frame.with_columns(
            day.alias("checkup_date"),
            pl.col("fasting").replace("", None),
            pl.when(~pl.col("unanswered")).then(pl.col("medication_glucose")).alias("medication_glucose"),
            received_month=day.dt.offset_by("1mo").dt.year() * 100 + day.dt.offset_by("1mo").dt.month().cast(pl.Int32),
        )
        .drop("unanswered")
        .sort("person_id", "checkup_date")
    )
    return frame.with_columns(record_id=pl.int_range(pl.len(), dtype=pl.Int64) + first_id)


def _claims(rng: np.random.Generator, who: np.ndarray, first_id: int, n: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    skew = rng.random(n)
    person = np.minimum(len(who) - 1, (skew * np.sqrt(skew) * len(who)).astype(np.int64))
    order = np.lexsort((rng.integers(0, 48, n), person))
    index = 2021 * 12 + 3 + rng.integers(0, 46, n)
    month = (index // 12 * 100 + index % 12 + 1).astype(np.int32)
    kind = rng.choice(4, n, p=[0.03, 0.55, 0.12, 0.3])
    out = rng.random(n) < 0.05
    frame = pl.DataFrame(
        {
            "person_id": who[person],
            "treatment_month": month,
            "received_month": ((index + 1) // 12 * 100 + (index + 1) % 12 + 1).astype(np.int32),
            "status": rng.choice(["normal", "returned"], n, p=[0.98, 0.02]),
            "kind": pl.Series(kind).replace_strict({0: "入院", 1: "入院外", 2: "歯科", 3: "調剤"}),
            "institution": rng.integers(0, 100_000, n).astype(str),
            "points": rng.integers(50, 2500, n).astype(np.int32),
            "days": np.ones(n, dtype=np.int32),
            **{f"{group}_{name}": rng.random(n) < 0.1 for group in ("dx", "rx") for name in ("bp", "glucose", "lipid")},
            "code": np.array(_CODES)[np.where(out, rng.integers(0, 6, n), 6 + rng.integers(0, 2, n))],
            "day": rng.integers(1, 29, n).astype(np.int32),
        }
    )[order].with_columns(claim_id=pl.int_range(pl.len(), dtype=pl.Int64) + first_id)
    fees = frame.filter(pl.col("kind") == "入院外").select(
        "claim_id", "person_id", "institution", "treatment_month", "received_month", "status", "code", "day",
        pl.lit(1, pl.Int32).alias("count"),
    )  # fmt: skip
    return frame.drop("code", "day"), fees
