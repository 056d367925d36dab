"""Which column of a checkup CSV is what? The Japanese headers of CC2X-like tools and of FKAC167.

Source: public programs that read and write such files (no official text of the layouts was found).
"""

from __future__ import annotations

from kenpo_analytics.ingest.values.text import header

_PEOPLE: dict[str, tuple[str, ...]] = {
    "insurer": ("受診者保険者番号", "保険者番号"),
    "symbol": ("記号", "被保険者証記号", "被保険者証等記号", "保険証記号", "受診者記号"),
    "number": ("番号", "被保険者証番号", "被保険者証等番号", "保険証番号", "受診者番号"),
    "branch_number": ("枝番", "被保険者証枝番", "被保険者証等枝番", "枝番号"),
    "kana": ("カナ氏名", "氏名カナ", "氏名(カナ)", "フリガナ", "受診者カナ氏名", "氏名", "受診者氏名"),
    "birth": ("生年月日", "受診者生年月日"),
    "era": ("生年月日元号",),
    "sex": ("性別", "男女区分", "受診者性別"),
    "day": ("健診実施年月日", "健診実施日", "健診年月日", "健診受診日", "受診年月日", "受診日", "実施年月日"),
    "institution": ("健診機関コード", "健診機関番号", "健診実施機関番号", "健診実施機関コード", "実施機関番号"),
    "report": ("報告区分",),
    "programme": ("プログラム種別", "健診プログラムサービスコード"),
}
_FKAC167: dict[str, str] = {
    "身長": "9N001000000000001",
    "体重": "9N006000000000001",
    "BMI": "9N011000000000001",
    "腹囲": "9N016160100000001",
    "収縮期血圧": "9A755000000000001",
    "拡張期血圧": "9A765000000000001",
    "採血時間(食後)": "9N141000000000011",
    "中性脂肪(トリグリセリド)": "3F015000002399901",
    "空腹時中性脂肪(トリグリセリド)": "3F015000002399901",
    "随時中性脂肪(トリグリセリド)": "3F015129902399901",
    "HDLコレステロール": "3F070000002399901",
    "LDLコレステロール": "3F077000002399901",
    "NON-HDLコレステロール": "3F069000002391901",
    "GOT(AST)": "3B035000002399901",
    "GPT(ALT)": "3B045000002399901",
    "AST(GOT)": "3B035000002399901",
    "ALT(GPT)": "3B045000002399901",
    "Γ-GT(Γ-GTP)": "3B090000002399901",
    "空腹時血糖(電位差法)": "3D010000001926101",
    "空腹時血糖(可視吸光光度法)": "3D010000002227101",
    "空腹時血糖(紫外吸光光度法)": "3D010000001927201",
    "空腹時血糖(その他)": "3D010000001999901",
    "空腹時血糖": "3D010000001999901",
    "随時血糖(電位差法)": "3D010129901926101",
    "随時血糖(可視吸光光度法)": "3D010129902227101",
    "随時血糖(紫外吸光光度法)": "3D010129901927201",
    "随時血糖(その他)": "3D010129901999901",
    "随時血糖": "3D010129901999901",
    "HBA1C(NGSP値)": "3D046000001999902",
    "HBA1C(JDS値)": "3D045000001999902",
    "血清クレアチニン": "3C015000002399901",
    "EGFR": "8A065000002391901",
    "服薬1(血圧)": "9N701000000000011",
    "服薬2(血糖)": "9N706000000000011",
    "服薬3(脂質)": "9N711000000000011",
    "喫煙": "9N736000000000011",
    "20歳からの体重変化": "9N741000000000011",
    "1年間の体重変化": "9N761000000000011",
}

PEOPLE = {key: tuple(map(header, names)) for key, names in _PEOPLE.items()}
"""Key (see `people.KEYS`; `era` is the era of a birth date in a column of its own) → its headers, as compared."""
FKAC167 = {header(name): code for name, code in _FKAC167.items()}
"""Header, as compared → item code."""


def plain(cell: str) -> str:
    """How is a header of these files compared? It may stand behind the # of a comment row."""
    return header(cell).lstrip("#")
