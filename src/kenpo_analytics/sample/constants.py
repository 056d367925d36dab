"""Which public figures shape the synthetic world? Retyped from their sources; nothing is imported from the library."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

BRANCH = "24"
CLAIM_BASE = 24_000_000_000_000_000
"""検索番号 of a claim: 17 digits that rise with the order of the table (2 prefecture, 15 running number)."""

FIRST_FY, LAST_FY = 2017, 2025
START = 2017 * 12 + 3
"""Month index (year * 12 + month - 1) of April 2017, column 0 of every person x month matrix."""
SNAPSHOT = 2025 * 12 + 9
"""October 2025: the last month whose received rows are in the snapshot."""
MONTHS = SNAPSHOT - START + 1
CLAIMS_START = 2021 * 12 + 3

AGE_BANDS = tuple(f"{low:02d}-{low + 4:02d}" for low in range(0, 75, 5))

# 協会けんぽ insured persons by age at the end of FY2022 (事業報告書 FY2024, JHIA_members: 15-19 ... 70+).
INSURED_FY2022 = (
    98405,
    1369989,
    2254015,
    2264737,
    2470240,
    2773979,
    3304217,
    3208584,
    2573779,
    2138513,
    1420994,
    922810,
)
# All members by broad age, FY2022, percent (健保連 資料 240302_08): 0-19, 20-39, 40-64, 65-74.
ALL_MEMBERS_SHARE = (20.8, 27.5, 43.4, 8.3)
INSURED_SHARE = 25.733 / 39.713
"""Insured / members at the end of FY2024 (事業報告書 FY2024 p.13)."""
MALE_SHARE_INSURED = 0.595
"""仮定: about 60 % of the insured are men."""

# Share answering yes, Mie, NDB Open Data 10th (FY2022 checkups), by age 40-44 ... 70-74.
MEDICATION = {
    ("bp", "M"): (0.0525, 0.1085, 0.1862, 0.2826, 0.3834, 0.4637, 0.5234),
    ("bp", "F"): (0.0249, 0.0586, 0.1115, 0.1711, 0.2434, 0.3265, 0.4334),
    ("glucose", "M"): (0.0232, 0.0404, 0.0615, 0.0944, 0.1160, 0.1412, 0.1564),
    ("glucose", "F"): (0.0096, 0.0153, 0.0242, 0.0373, 0.0520, 0.0679, 0.0849),
    ("lipid", "M"): (0.0432, 0.0781, 0.1216, 0.1807, 0.2287, 0.2785, 0.3094),
    ("lipid", "F"): (0.0184, 0.0358, 0.0808, 0.1656, 0.2539, 0.3413, 0.4160),
}
SMOKER = {
    "M": (0.3812, 0.3764, 0.3516, 0.3350, 0.2921, 0.2467, 0.1857),
    "F": (0.1066, 0.1150, 0.1074, 0.0907, 0.0781, 0.0444, 0.0296),
}
GAIN_10KG = {
    "M": (0.4599, 0.4928, 0.5042, 0.4992, 0.4799, 0.4708, 0.4091),
    "F": (0.2647, 0.2967, 0.3200, 0.3092, 0.2934, 0.2681, 0.2576),
}
CHECKUP_AGES = np.array([42.5, 47.5, 52.5, 57.5, 62.5, 67.5, 72.5])
DOMAINS = ("bp", "glucose", "lipid")

# Share of the insured by 業態 (仮定; names from the 協会けんぽ 業態分類).
# 道路貨物運送業: about 18,000 insured in Mie (branch plan).
INDUSTRIES = {
    "医療業・保健衛生": 0.125, "社会保険・社会福祉・介護事業": 0.11, "職別工事業": 0.055, "総合工事業": 0.075,
    "道路貨物運送業": 0.078, "機械器具製造業": 0.095, "金属工業": 0.05, "食料品・たばこ製造業": 0.05,
    "化学工業・同類似業": 0.045, "その他の製造業": 0.06, "卸売業": 0.06, "飲食料品以外の小売業": 0.045,
    "飲食料品小売業": 0.03, "飲食店": 0.025, "宿泊業": 0.022, "教育・学習支援業": 0.02, "不動産業": 0.015,
    "労働者派遣業": 0.02, "農林水産業": 0.01, "その他のサービス業": 0.01,
}  # fmt: skip

# Out-of-hours add-ons and base fees (支払基金 医科診療行為マスター, in force 2024-06-01).
# (visit, class, below six) -> code
ADDON = {
    ("first", "after_hours", False): "111000570", ("first", "holiday", False): "111000670",
    ("first", "late_night", False): "111000770", ("first", "special", False): "111000870",
    ("first", "after_hours", True): "111011970", ("first", "holiday", True): "111012070",
    ("first", "late_night", True): "111012170", ("first", "special", True): "111012270",
    ("first", "ped_evening", True): "111011570", ("first", "ped_holiday", True): "111011670",
    ("first", "ped_late_night", True): "111011770",
    ("return", "after_hours", False): "112001110", ("return", "holiday", False): "112001210",
    ("return", "late_night", False): "112001310", ("return", "special", False): "112001410",
    ("return", "after_hours", True): "112014770", ("return", "holiday", True): "112014870",
    ("return", "late_night", True): "112014970", ("return", "special", True): "112015070",
    ("return", "ped_evening", True): "112014170", ("return", "ped_holiday", True): "112014270",
    ("return", "ped_late_night", True): "112014370",
}  # fmt: skip
EVENING_EARLY = {"first": "111012470", "return": "112015570"}
BASE_FEE = {"first": "111000110", "return": "112007410"}
CLASS_SHARE = {
    False: {"after_hours": 0.33, "holiday": 0.45, "late_night": 0.14, "special": 0.08},
    True: {"after_hours": 0.16, "holiday": 0.20, "late_night": 0.06, "special": 0.03,
           "ped_evening": 0.33, "ped_holiday": 0.16, "ped_late_night": 0.06},
}  # fmt: skip


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """What does a constant table hold? Rows of `sample/data/<name>` as text."""
    text = files("kenpo_analytics.sample").joinpath("data", name).read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


@cache
def fit(metric: str, sex: str) -> dict[str, NDArray[np.float64]]:
    """Which parameters by age 40-44 ... 70-74 has a fitted marker (BMI, SBP, LDL, HbA1c)?"""
    chosen = [row for row in rows("fits_mie.csv") if row["metric"] == metric and row["sex"] == sex]
    names = ("mu", "sigma", "w_tail", "shift")
    return {name: np.array([float(row[name] or "nan") for row in chosen]) for name in names}
