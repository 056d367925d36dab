"""How do lists reach a branch? Members, workplaces, letters, guidance, KPIs and returned claims, as Excel and CSV."""

from __future__ import annotations

import datetime as dt
import zipfile
from pathlib import Path

import polars as pl

from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.archive import pack, write
from kenpo_analytics.sample.constants import rows as constant_rows
from kenpo_analytics.sample.identity import INSURER
from kenpo_analytics.sample.output import stretch_rows
from kenpo_analytics.sample.state import World

ON = "20251031"
"""The day on which the branch drew its lists."""
PERSON = ("保険者番号", "記号", "番号", "枝番", "氏名カナ", "生年月日", "性別")
_STATUS = {"sent": "送付", "undelivered": "宛先不明", "not_mailed": "不送付"}
Counts = dict[str, dict[str, int]]


def person(frame: pl.DataFrame, world: World, when: str) -> pl.DataFrame:
    """The person columns of a list, for people `i` on the days of column `when`, beside the list's own columns."""
    who = world.who.at(frame["i"].to_numpy(), d.day_numbers(frame[when]))
    named = who.select(
        pl.lit(INSURER).alias("保険者番号"),
        pl.col("symbol").alias("記号"),
        pl.col("number").alias("番号"),
        pl.col("branch").alias("枝番"),
        (pl.col("family") + " " + pl.col("given")).alias("氏名カナ"),
        pl.col("birth").dt.to_string("%Y%m%d").alias("生年月日"),
        pl.col("sex").replace_strict({"1": "男", "2": "女"}).alias("性別"),
    )
    return pl.concat([named, frame], how="horizontal")


def lines(frame: pl.DataFrame) -> bytes:
    """A CSV of the frame in CP932; dates as 2024/10/01, empty for null."""
    text = frame.with_columns(pl.selectors.date().dt.to_string("%Y/%m/%d")).write_csv(line_terminator="\r\n")
    return text.encode("cp932")


def workbook(path: Path, title: str, frame: pl.DataFrame) -> None:
    """An Excel list: a title row, a blank one, headers, rows. Dates are Excel dates, numbers numbers."""
    import xlsxwriter

    path.parent.mkdir(parents=True, exist_ok=True)
    book = xlsxwriter.Workbook(path, {"default_date_format": "yyyy/mm/dd", "strings_to_numbers": False})
    book.set_properties({"created": dt.datetime(2025, 10, 31), "title": title})
    sheet = book.add_worksheet("一覧")
    sheet.write_string(0, 0, title)
    sheet.write_row(2, 0, frame.columns)
    for at, row in enumerate(frame.iter_rows(), start=3):
        for column, value in enumerate(row):
            if value is not None:
                sheet.write(at, column, value)
    book.close()


def members(world: World, folder: Path) -> Counts:
    """加入者一覧: one row a stretch, with every move; the latest years as a workbook, earlier ones as packed CSV."""
    table = _stretches(world)
    counts: Counts = {}
    for first_fy, last_fy in ((1900, 2016), (2017, 2020), (2021, 2023), (2024, 2025)):
        part = table.filter(pl.col("fy").is_between(first_fy, last_fy))
        rows, name = part.drop("fy"), f"members/members_{ON}_to_fy{last_fy}"
        if last_fy == 2025:
            source = f"{name}.xlsx"
            workbook(folder / source, "加入者一覧(2024年度以降の取得、合成データ)", rows)
        else:
            source = f"{name}.zip!members_to_fy{last_fy}.csv"
            pack(folder / f"{name}.zip", [(f"members_to_fy{last_fy}.csv", lines(rows))], zipfile.ZIP_BZIP2)
        counts[source] = _all(part.height)
    return counts


def _stretches(world: World) -> pl.DataFrame:
    """The list's rows, with the fiscal year `fy` they begin in."""
    town = {row["municipality"]: row["name"] for row in constant_rows("municipalities.csv")}
    address = {code: f"三重県{name}架空町" for code, name in town.items()} | {
        "県外": "愛知県名古屋市架空町",
        "不明": None,
    }
    begin = pl.col("valid_from")
    frame = stretch_rows(world).with_columns(fy=begin.dt.year() - (begin.dt.month() < 4).cast(pl.Int32))
    return person(frame, world, "valid_from").select(
        *PERSON,
        pl.col("relationship").replace_strict({"insured": "本人", "dependent": "家族"}).alias("本人・家族"),
        pl.col("insured_kind").replace({"任継": "任意継続"}).alias("被保険者区分"),
        pl.col("workplace_id").alias("事業所番号"),
        pl.col("municipality").replace_strict(address).alias("住所"),
        pl.col("valid_from").alias("資格取得日"),
        pl.col("valid_to").alias("資格喪失日"),
        "fy",
    )


def _all(read: int, **less: int) -> dict[str, int]:
    """How a file's records fare: all accepted but those named."""
    return {"read": read, "accepted": read - sum(less.values()), **less}


def lists(world: World, tables: dict[str, pl.DataFrame], folder: Path) -> Counts:
    """Everything about workplaces, letters, guidance, the nation, KPIs and returned claims."""
    counts = _letters(world, tables, folder)
    sheets = {
        "workplaces": ("事業所一覧(合成データ)", _workplaces(tables["workplaces"])),
        "kpi_monthly": ("KPI月次実績(合成データ)", _kpi(tables["kpi_monthly"])),
    }
    for name, (title, frame) in sheets.items():
        workbook(folder / f"lists/{name}_{ON}.xlsx", title, frame)
        counts[f"lists/{name}_{ON}.xlsx"] = _all(frame.height)
    back = tables["claims"].filter(pl.col("status").is_in(["returned", "reclaimed"]))
    words = pl.col("status").replace_strict({"returned": "返戻", "reclaimed": "再請求"})
    texts = {
        "guidance": _guidance(world, tables["guidance"]),
        "national": tables["national"],
        "claim_status": back.select(pl.col("claim_id").alias("検索番号"), words.alias("状態")),
    }
    for name, frame in texts.items():
        pack(folder / f"lists/{name}_{ON}.zip", [(f"{name}.csv", lines(frame))], zipfile.ZIP_BZIP2)
        counts[f"lists/{name}_{ON}.zip!{name}.csv"] = _all(frame.height)
    return counts


def _guidance(world: World, table: pl.DataFrame) -> pl.DataFrame:
    frame = table.join(world.who.people, on="person_id", maintain_order="left")
    return person(frame, world, "first_interview").select(
        *PERSON,
        pl.format("{}年度", "fiscal_year").alias("年度"),
        pl.col("level").alias("支援区分"),
        pl.col("first_interview").alias("初回面談日"),
        pl.col("completed").alias("実績評価日"),
    )


def _workplaces(table: pl.DataFrame) -> pl.DataFrame:
    labels = {
        "workplace_id": "事業所", "industry": "業態", "insured_count": "被保険者数", "declared_from": "健康宣言日",
        "declaration_standardised": "標準化された宣言", "committee_member": "健康保険委員",
    }  # fmt: skip
    flags = pl.col("declaration_standardised", "committee_member")
    return table.with_columns(pl.when(flags).then(pl.lit("有")).otherwise(pl.lit("無")).name.keep()).rename(labels)


def _kpi(table: pl.DataFrame) -> pl.DataFrame:
    return table.select(
        pl.col("branch").alias("支部コード"),
        pl.col("kpi_id").alias("指標ID"),
        pl.col("month").cast(pl.String).alias("対象年月"),
        pl.col("definition_version").alias("定義の版"),
        pl.col("numerator").alias("分子"),
        pl.col("denominator").alias("分母"),
        pl.col("state").replace_strict({"provisional": "速報", "final": "確定"}).alias("速報・確定"),
        pl.col("received_month").cast(pl.String).alias("受領月"),
    )


def _letters(world: World, tables: dict[str, pl.DataFrame], folder: Path) -> Counts:
    """One workbook a programme; the first year's list came a second time as CSV."""
    index = tables["checkups"].select("record_id", "checkup_date")
    frame = tables["mailings"].join(world.who.people, on="person_id", how="left", maintain_order="left")
    frame = frame.join(index, on="record_id", how="left", maintain_order="left")
    table = person(frame, world, "planned_date").select(
        *PERSON,
        pl.col("programme").alias("事業"),
        pl.col("planned_date").alias("送付予定日"),
        pl.col("sent_date").alias("送付日"),
        pl.col("status").replace_strict(_STATUS).alias("送付結果"),
        pl.col("reason").alias("不送付の理由"),
        pl.col("rule").replace_strict({"and": "及び", "or": "または"}, default=None).alias("抽出基準"),
        pl.col("leaflet").alias("リーフレットの版"),
        pl.col("checkup_date").alias("健診日"),
    )
    counts: Counts = {}
    for programme in ("prediabetes_leaflet", "untreated_first"):
        part = table.filter(pl.col("事業") == programme)
        name = f"lists/{programme}_{ON}.xlsx"
        workbook(folder / name, "通知送付一覧(合成データ)", part)
        counts[name] = _all(part.height)
    first = table.filter(pl.col("事業") == "prediabetes_leaflet", pl.col("送付予定日").dt.year() == 2019)
    name = "lists/prediabetes_leaflet_2019_20190228.csv"
    write(folder / name, lines(first))
    counts[name] = _all(first.height, duplicate=first.height)
    return counts
