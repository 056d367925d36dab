"""What is a row? The canonical tables, declared once: columns, types, units, ranges, keys.

The rules that follow from a declaration are counted in `checks`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["int", "float", "str", "bool", "date", "month"]
"""`month` is a calendar month written as the integer YYYYMM (202410 is 2024年10月), as claims files write it."""


@dataclass(frozen=True)
class Column:
    """One column: its type, unit, plausible range [low, high] and allowed values."""

    name: str
    kind: Kind
    label: str
    required: bool = False
    unit: str = ""
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One canonical table: what a row is, its key, and its columns."""

    name: str
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    optional: bool = False
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(column.name for column in self.columns))


C = Column
_SEX = ("M", "F")

MEMBERS = Table(
    "members",
    "属性が変わらない加入期間",
    ("person_id", "valid_from"),
    (
        C("person_id", "int", "個人ID", required=True),
        C("valid_from", "date", "期間の初日", required=True),
        C("valid_to", "date", "期間の翌日(資格喪失日。加入中は空)"),
        C("sex", "str", "性別", required=True, values=_SEX),
        C("birth_month", "month", "生年月", required=True, low=190001, high=210012),
        C("fy_age_base", "int", "年度末年齢の基準(年度末年齢=年度-基準)", required=True, low=1899, high=2100),
        C("relationship", "str", "本人・家族", required=True, values=("insured", "dependent")),
        C("insured_kind", "str", "一般・任意継続", values=("一般", "任継")),
        C("branch", "str", "支部(JIS 2桁)", required=True),
        C("municipality", "str", "居住市町村(JIS 5桁、県外、不明)", required=True),
        C("workplace_id", "str", "事業所"),
        C("link_rule", "str", "名寄せの規則"),
    ),
)

WORKPLACES = Table(
    "workplaces",
    "事業所",
    ("workplace_id",),
    (
        C("workplace_id", "str", "事業所", required=True),
        C("industry", "str", "業態", required=True),
        C("insured_count", "int", "被保険者数", low=0),
        C("declared_from", "date", "健康宣言日"),
        C("declaration_standardised", "bool", "標準化された宣言"),
        C("committee_member", "bool", "健康保険委員"),
    ),
    optional=True,
)

CHECKUPS = Table(
    "checkups",
    "1回の健診",
    ("record_id",),
    (
        C("record_id", "int", "健診記録ID", required=True, low=0),
        C("person_id", "int", "個人ID", required=True),
        C("checkup_date", "date", "健診日", required=True),
        C("received_month", "month", "受領月", required=True, low=200804, high=210012),
        C("institution", "str", "健診機関"),
        C(
            "kind",
            "str",
            "健診の種類",
            required=True,
            values=("生活習慣病予防健診", "特定健診", "事業者健診"),
        ),
        C("fasting", "str", "採血時間", values=("fasting", "casual", "post_meal")),
        C("fpg", "float", "空腹時血糖", unit="mg/dL", low=20, high=1000),
        C("casual_glucose", "float", "随時血糖", unit="mg/dL", low=20, high=1500),
        C("hba1c", "float", "HbA1c(NGSP)", unit="%", low=3, high=20),
        C("sbp", "float", "収縮期血圧", unit="mmHg", low=60, high=300),
        C("dbp", "float", "拡張期血圧", unit="mmHg", low=30, high=200),
        C("tg", "float", "中性脂肪", unit="mg/dL", low=10, high=5000),
        C("hdl", "float", "HDLコレステロール", unit="mg/dL", low=10, high=500),
        C("ldl", "float", "LDLコレステロール", unit="mg/dL", low=10, high=1000),
        C("non_hdl", "float", "non-HDLコレステロール", unit="mg/dL", low=10, high=1500),
        C("ast", "float", "AST", unit="U/L", low=0, high=10000),
        C("alt", "float", "ALT", unit="U/L", low=0, high=10000),
        C("ggt", "float", "γ-GT", unit="U/L", low=0, high=10000),
        C("creatinine", "float", "クレアチニン", unit="mg/dL", low=0.1, high=30),
        C("egfr", "float", "eGFR", unit="mL/min/1.73m2", low=1, high=300),
        C("height", "float", "身長", unit="cm", low=100, high=250),
        C("weight", "float", "体重", unit="kg", low=20, high=250),
        C("bmi", "float", "BMI", unit="kg/m2", low=10, high=100),
        C("waist", "float", "腹囲", unit="cm", low=40, high=250),
        C("medication_bp", "bool", "服薬(血圧)"),
        C("medication_glucose", "bool", "服薬(血糖)"),
        C("medication_lipid", "bool", "服薬(脂質)"),
        C("smoking", "str", "喫煙", values=("yes", "past", "no")),
        C("weight_gain_10kg", "bool", "20歳から10kg以上増加"),
        C("weight_change_1y", "bool", "1年で±3kg以上"),
    ),
)

CLAIMS = Table(
    "claims",
    "1件のレセプト",
    ("claim_id",),
    (
        C("claim_id", "int", "レセプトID", required=True),
        C("person_id", "int", "個人ID", required=True),
        C("treatment_month", "month", "診療月", required=True, low=200804, high=210012),
        C("received_month", "month", "受領月", required=True, low=200804, high=210012),
        C("status", "str", "状態", required=True, values=("normal", "returned", "reclaimed", "after_loss")),
        C("kind", "str", "種別", required=True, values=("入院", "入院外", "歯科", "調剤")),
        C("institution", "str", "医療機関"),
        C("points", "int", "点数", low=0),
        C("days", "int", "診療実日数", low=0, high=31),
        C("dx_bp", "bool", "傷病(高血圧)"),
        C("dx_glucose", "bool", "傷病(糖尿病)"),
        C("dx_lipid", "bool", "傷病(脂質異常症)"),
        C("rx_bp", "bool", "薬剤(高血圧)"),
        C("rx_glucose", "bool", "薬剤(糖尿病)"),
        C("rx_lipid", "bool", "薬剤(脂質異常症)"),
    ),
)

CLAIM_FEES = Table(
    "claim_fees",
    "算定された診療行為の1行(時間外加算とその基本料に限る)",
    ("claim_id", "code", "day"),
    (
        C("claim_id", "int", "レセプトID", required=True),
        C("person_id", "int", "個人ID", required=True),
        C("institution", "str", "医療機関", required=True),
        C("treatment_month", "month", "診療月", required=True, low=200804, high=210012),
        C("received_month", "month", "受領月", required=True, low=200804, high=210012),
        C("status", "str", "状態", required=True, values=("normal", "returned", "reclaimed", "after_loss")),
        C("code", "str", "診療行為コード", required=True),
        C("day", "int", "算定日", required=True, low=1, high=31),
        C("count", "int", "回数", required=True, low=1),
    ),
)

GUIDANCE = Table(
    "guidance",
    "1回の特定保健指導",
    ("person_id", "fiscal_year"),
    (
        C("person_id", "int", "個人ID", required=True),
        C("fiscal_year", "int", "年度", required=True),
        C("level", "str", "支援区分", values=("動機付け支援", "積極的支援")),
        C("first_interview", "date", "初回面談日"),
        C("completed", "date", "実績評価日"),
    ),
    optional=True,
)

MAILINGS = Table(
    "mailings",
    "1通の通知(送付または予定)",
    ("person_id", "programme", "planned_date"),
    (
        C("person_id", "int", "個人ID", required=True),
        C("programme", "str", "事業", required=True),
        C("planned_date", "date", "送付予定日", required=True),
        C("sent_date", "date", "送付日"),
        C("status", "str", "結果", required=True, values=("sent", "undelivered", "not_mailed")),
        C("reason", "str", "不送付の理由"),
        C("rule", "str", "当時の抽出基準", values=("and", "or")),
        C("leaflet", "str", "リーフレットの版"),
        C("record_id", "int", "抽出のもとになった健診"),
    ),
    optional=True,
)

NATIONAL = Table(
    "national",
    "地域の1層の集計値",
    ("measure", "area", "sex", "age_band", "period"),
    (
        C("measure", "str", "指標", required=True),
        C("area", "str", "地域(支部JIS 2桁)", required=True),
        C("sex", "str", "性別", required=True, values=_SEX),
        C("age_band", "str", "年齢階級", required=True),
        C("period", "str", "期間", required=True),
        C("events", "int", "件数", required=True, low=0),
        C("events_sq", "int", "個人別件数の二乗和", low=0),
        C("persons", "int", "実人数", low=0),
        C("denominator", "float", "分母", required=True, low=0),
        C("denominator_unit", "str", "分母の単位", required=True),
    ),
    optional=True,
)

KPI_MONTHLY = Table(
    "kpi_monthly",
    "支部・指標・月ごとの実績",
    ("branch", "kpi_id", "month", "definition_version"),
    (
        C("branch", "str", "支部(JIS 2桁)", required=True),
        C("kpi_id", "str", "指標", required=True),
        C("month", "month", "対象月", required=True, low=200804, high=210012),
        C("definition_version", "str", "定義の版", required=True),
        C("numerator", "float", "分子"),
        C("denominator", "float", "分母", low=0),
        C("state", "str", "速報・確定", required=True, values=("provisional", "final")),
        C("received_month", "month", "受領月(この値になった月)", low=200804, high=210012),
    ),
    optional=True,
)

QUARANTINE = Table(
    "quarantine",
    "取り込まなかった1行または1つの値",
    (),
    (
        C("source", "str", "ファイル", required=True),
        C("entry", "str", "書庫の中のファイル"),
        C("line", "int", "行"),
        C("table", "str", "表"),
        C("level", "str", "行・値・注記", required=True, values=("row", "value", "note")),
        C("item", "str", "項目"),
        C("rule", "str", "規則", required=True),
        C("reason", "str", "理由", required=True),
        C("institution", "str", "機関"),
        C("month", "month", "健診月・診療月"),
    ),
    optional=True,
)

SOURCES = Table(
    "sources",
    "取り込んだ1つのファイル",
    ("source", "table"),
    (
        C("source", "str", "ファイル", required=True),
        C("digest", "str", "内容の指紋", required=True),
        C("layout", "str", "様式", required=True),
        C("table", "str", "表", required=True),
        C("received_month", "month", "受領月"),
        C("received_from", "str", "受領月の根拠"),
        C("read", "int", "読んだ件数", required=True, low=0),
        C("accepted", "int", "取り込み", required=True, low=0),
        C("quarantined", "int", "隔離", required=True, low=0),
        C("duplicate", "int", "重複・差し替え", required=True, low=0),
        C("values_rejected", "int", "空にした値", required=True, low=0),
        C("linked_number", "int", "照合: 記号・番号・枝番", low=0),
        C("linked_birth", "int", "照合: 記号・番号と生年月日・性別", low=0),
        C("linked_kana", "int", "照合: カナ氏名と生年月日・性別", low=0),
        C("linked_record", "int", "照合: 加入者台帳なし", low=0),
    ),
    optional=True,
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        MEMBERS,
        WORKPLACES,
        CHECKUPS,
        CLAIMS,
        CLAIM_FEES,
        GUIDANCE,
        MAILINGS,
        NATIONAL,
        KPI_MONTHLY,
        SOURCES,
        QUARANTINE,
    )
}
