"""How do checkups reach a branch? Its own yearly CSV with a mapping.toml beside it, and what was planted in it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import polars as pl

from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.archive import cp932, pack, write
from kenpo_analytics.sample.identity import INSURER
from kenpo_analytics.sample.params import stream
from kenpo_analytics.sample.raw_lists import ON, Counts
from kenpo_analytics.sample.state import World

DECIMALS = {
    **dict.fromkeys(("fpg", "casual_glucose", "sbp", "dbp", "tg", "hdl", "ldl", "non_hdl", "ast", "alt", "ggt"), 0),
    **dict.fromkeys(("hba1c", "egfr", "height", "weight", "bmi", "waist"), 1),
    "creatinine": 2,
}
KINDS = {"生活習慣病予防健診": "1", "特定健診": "2", "事業者健診": "3"}
FASTING = {"fasting": "2", "casual": "3", "post_meal": "4"}
SMOKING = {"yes": "1", "past": "2", "no": "3"}
REFUSED = ("測定不能", "H", "9000")
"""What a clinic writes where it has no value, beside 未実施: each is told in the quarantine."""
HEADERS = {
    "健診種別コード": "kind_code", "医療機関番号": "institution", "健診年月日": "checkup_date", "受領年月": "received",
    "資格記号": "symbol", "資格番号": "number", "資格枝番": "branch_number", "受診者カナ": "kana", "誕生日": "birth",
    "性": "sex", "採血区分": "fasting", "血糖(空腹)": "fpg", "血糖(随時採血)": "casual_glucose", "A1c": "hba1c",
    "血圧上": "sbp", "血圧下": "dbp", "脂肪": "tg", "善玉": "hdl", "悪玉": "ldl", "nonHDL": "non_hdl", "肝1": "ast",
    "肝2": "alt", "肝3": "ggt", "腎1": "creatinine", "腎2": "egfr", "背": "height", "体": "weight", "体格": "bmi",
    "腹": "waist", "薬1": "medication_bp", "薬2": "medication_glucose", "薬3": "medication_lipid", "煙": "smoking",
    "重1": "weight_gain_10kg", "重2": "weight_change_1y",
}  # fmt: skip
"""Header of the branch's own CSV -> what it holds. No standard says so: that is what a mapping.toml is for."""


def mapping_toml() -> str:
    """The mapping of the branch's own CSV, as a branch engineer would write it."""
    yes_no = '{ key = "%s", codes = { "1" = "はい", "2" = "いいえ" } }'
    special = {
        "kind_code": _codes("kind", {code: name for name, code in KINDS.items()}),
        "received": '"received_month"',
        "fasting": _codes("fasting", {"2": "空腹", "3": "随時", "4": "食直後"}),
        "smoking": _codes("smoking", {"1": "はい", "2": "やめた", "3": "いいえ"}),
        "weight_gain_10kg": yes_no % "weight_change_20y",
        "weight_change_1y": yes_no % "weight_change_1y",
        **{f"medication_{name}": yes_no % f"med_{name}" for name in ("bp", "glucose", "lipid")},
    }
    columns = [f'"{header}" = {special.get(key, chr(34) + key + chr(34))}' for header, key in HEADERS.items()]
    lines = ["# 支部独自の健診CSV(合成データ)の対応表", 'name = "sample_branch_checkups"', 'table = "checkups"', ""]
    lines += ["[columns]", *columns, '"作成日" = "filed"', "", "[defaults]", f'insurer = "{INSURER}"', ""]
    return "\n".join(lines)


def _codes(key: str, codes: dict[str, str]) -> str:
    told = ", ".join(f'"{code}" = "{meaning}"' for code, meaning in codes.items())
    return f'{{ key = "{key}", codes = {{ {told} }} }}'


def number(name: str, decimals: int) -> pl.Expr:
    """A laboratory value as text with a fixed number of decimals: 5.0 is "5.0"."""
    scaled = (pl.col(name) * 10**decimals).round(0).cast(pl.Int64)
    whole = (scaled // 10**decimals).cast(pl.String)
    if decimals == 0:
        return whole.alias(name)
    return (whole + "." + (scaled % 10**decimals).cast(pl.String).str.zfill(decimals)).alias(name)


def checkup_texts(world: World, checkups: pl.DataFrame, wrong: pl.DataFrame) -> pl.DataFrame:
    """Every value of every checkup as text, with the person's columns and `fy`; null where the record is silent.

    The table's order. `wrong` holds glucose that its clinic wrote in mmol/L.
    """
    frame = checkups.join(world.who.people, on="person_id", how="left", maintain_order="left")
    who = world.who.at(frame["i"].to_numpy(), d.day_numbers(frame["checkup_date"])).drop("rule")
    frame = pl.concat([frame, who.rename({"branch": "branch_number"})], how="horizontal")
    frame = frame.join(wrong.rename({"fpg": "mmol"}), on="record_id", how="left", maintain_order="left")
    day = pl.col("checkup_date")
    answers = [name for name in HEADERS.values() if name.startswith(("medication_", "weight_gain", "weight_change"))]
    late = day >= pl.date(2021, 9, 1)
    frame = frame.with_columns(
        fy=day.dt.year() - (day.dt.month() < 4).cast(pl.Int32),
        kind_code=pl.col("kind").replace_strict(KINDS),
        received=pl.col("received_month").cast(pl.String),
        branch_number=pl.when(late).then("branch_number"),
        kana=pl.col("family") + pl.col("given"),
        fasting_code=pl.col("fasting").replace_strict(FASTING, default=None),
        smoking_code=pl.col("smoking").replace_strict(SMOKING, default=None),
    )
    frame = frame.with_columns(
        *[pl.when(name).then(pl.lit("1")).when(~pl.col(name)).then(pl.lit("2")).alias(name) for name in answers],
        *[number(name, decimals) for name, decimals in DECIMALS.items()],
    )
    return frame.with_columns(fpg=pl.coalesce("fpg", pl.col("mmol").round(1).cast(pl.String)))


def bulk(world: World, frame: pl.DataFrame, folder: Path) -> Counts:
    """The branch's own CSV, one file a fiscal year, and a later file that corrects some rows of FY2018."""
    rng = stream(world.seed, "raw checkups")
    write(folder / "mapping_branch_checkups.toml", mapping_toml().encode())
    frame = frame.sort("fy", "institution", "checkup_date", "record_id")
    frame = _unmeasured(frame, rng)
    counts: Counts = {}
    for (fy,), part in frame.partition_by("fy", as_dict=True, maintain_order=True).items():
        made = min(f"{int(str(fy)) + 1}0430", ON)
        name = f"checkups/branch_fy{fy}_{made}"
        lines, told = _planted(part, rng) if fy == 2019 else (_lines(part), {})
        if fy == 2020:
            lines = _lines(_mistyped(part, world, rng))
        if fy == 2018:
            lines, told = _corrected(part, folder, counts, rng)
        pack(folder / f"{name}.zip", [(f"branch_fy{fy}.csv", cp932([",".join(HEADERS), *lines]))], zipfile.ZIP_BZIP2)
        odd = part["mmol"].count() + part.filter(pl.col("hba1c").is_in(REFUSED)).height
        counts[f"{name}.zip!branch_fy{fy}.csv"] = {
            "read": len(lines), "accepted": len(lines) - sum(told.values()), **told, "values_rejected": odd
        }  # fmt: skip
    return counts


def _lines(part: pl.DataFrame) -> list[str]:
    codes = {"fasting": "fasting_code", "smoking": "smoking_code"}
    day = {
        "checkup_date": pl.col("checkup_date").dt.to_string("%Y%m%d"),
        "birth": pl.col("birth").dt.to_string("%Y%m%d"),
    }
    fields = [day.get(key, pl.col(codes.get(key, key))).fill_null("") for key in HEADERS.values()]
    return part.select(pl.concat_str(fields, separator=",")).to_series().to_list()


def _unmeasured(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Clinics without HbA1c write other things than nothing: not done, not measurable, beyond the range, 9000."""
    silent = np.flatnonzero(frame["hba1c"].is_null().to_numpy())
    chosen = np.sort(rng.choice(silent, min(90, len(silent)), replace=False))
    words = np.array(["未実施", *REFUSED], dtype=object)[np.arange(len(chosen)) % 4]
    values = frame["hba1c"].to_list()
    for at, word in zip(chosen, words, strict=True):
        values[at] = word
    return frame.with_columns(hba1c=pl.Series(values, dtype=pl.String))


def _mistyped(part: pl.DataFrame, world: World, rng: np.random.Generator) -> pl.DataFrame:
    """FY2020: some clinics mistyped the 番号; name and birthday alone tell who it was."""
    able = np.flatnonzero(~part["i"].is_in(world.who.namesakes.ravel().tolist()).to_numpy())
    chosen = rng.choice(able, min(25, len(able)), replace=False)
    wrong = pl.Series(np.isin(np.arange(part.height), chosen))
    return part.with_columns(
        number=pl.when(wrong).then(pl.lit("98") + pl.col("number").str.zfill(5)).otherwise("number")
    )


def _corrected(
    part: pl.DataFrame, folder: Path, counts: Counts, rng: np.random.Generator
) -> tuple[list[str], dict[str, int]]:
    """Twenty rows came with a wrong pressure first, and came right in a file made a year later."""
    sound = np.flatnonzero(~part["hba1c"].is_in(REFUSED).fill_null(False).to_numpy())
    chosen = np.sort(rng.choice(sound, min(20, len(sound)), replace=False)).tolist()
    right = [f"{line},20190731" for line in _lines(part[chosen])]
    name = "checkups/branch_fy2018_correction_20190731.csv"
    write(folder / name, cp932([",".join(HEADERS) + ",作成日", *right]))
    counts[name] = {"read": len(right), "accepted": len(right)}
    again = pl.Series(np.isin(np.arange(part.height), chosen))
    sbp = pl.when(again).then((pl.col("sbp").cast(pl.Int64) + 7).cast(pl.String)).otherwise("sbp")
    return _lines(part.with_columns(sbp=sbp)), {"duplicate": len(right)}


def _planted(part: pl.DataFrame, rng: np.random.Generator) -> tuple[list[str], dict[str, int]]:
    """FY2019: rows with a day that cannot be, cut short, of people nobody lists, and some that came twice."""
    lines = _lines(part)
    sound = part.filter(~pl.col("hba1c").is_in(REFUSED).fill_null(False))
    chosen = sound[np.sort(rng.choice(sound.height, 30, replace=False)).tolist()]
    own = _lines(chosen)
    no_day = [line.replace(f",{line.split(',')[2]},", ",20200230,", 1) for line in own[:6]]
    short = [line.rsplit(",", 4)[0] for line in own[6:10]]
    unlisted = _lines(chosen[10:16].with_columns(symbol=pl.lit("24888888"), kana=pl.lit("ナナシノミホン")))
    return [*lines, *no_day, *short, *unlisted, *own[16:]], {"quarantined": 16, "duplicate": 14}


def routes(checkups: pl.DataFrame) -> dict[str, pl.Series]:
    """Which records come by another way than the branch's CSV? Flags by way, only where the layout can say it all.

    CC2X before FY2024 knows no former smokers and no 食直後, and each of its files is received in one month.
    """
    specific = checkups["kind"] == "特定健診"
    month = checkups["received_month"]
    recent = checkups["checkup_date"].dt.year() * 100 + checkups["checkup_date"].dt.month()
    return {
        "xml": specific & month.is_between(202405, 202412) & (recent >= 202404),
        "fkac522": specific & (month == 202506) & (recent >= 202504),
        "fkac167": specific & (month == 202508) & (recent >= 202504),
        "cc2x": _employers(checkups),
    }


def _employers(checkups: pl.DataFrame) -> pl.Series:
    """The employer checkups of FY2022 received in the month with most of them."""
    said = (pl.col("smoking") != "past").fill_null(True) & (pl.col("fasting") != "post_meal").fill_null(True)
    year = pl.col("checkup_date").is_between(pl.date(2022, 4, 1), pl.date(2023, 3, 31))
    own = checkups.select(((pl.col("kind") == "事業者健診") & said & year).alias("own")).to_series()
    months = checkups.filter(own).group_by("received_month").len()
    largest = months.sort("len", "received_month", descending=[True, False])["received_month"].head(1)
    return own & checkups["received_month"].is_in(largest.to_list())
