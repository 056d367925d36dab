"""Which column of a checkup CSV is what? The Japanese headers of CC2X-like tools and of FKAC167.

Source: public programs that read and write such files (no official text of the layouts was found).
"""

from __future__ import annotations

import re

from kenpo_analytics.ingest.values.text import header

_PEOPLE: dict[str, tuple[str, ...]] = {
    "insurer": ("受診者保険者番号", "保険者番号"),
    "symbol": ("記号", "被保険者証記号", "被保険者証等記号", "保険証記号", "受診者記号"),
    "number": ("番号", "被保険者証番号", "被保険者証等番号", "保険証番号", "受診者番号"),
    "branch_number": ("枝番", "被保険者証枝番", "被保険者証等枝番", "枝番号"),
    "kana": ("カナ氏名", "氏名カナ", "氏名(カナ)", "フリガナ", "受診者カナ氏名", "氏名", "受診者氏名"),
    "birth": ("生年月日", "受診者生年月日", "生年月日(西暦)"),
    "era": ("生年月日元号",),
    "sex": ("性別", "男女区分", "受診者性別"),
    "day": ("健診実施年月日", "健診実施日", "健診年月日", "健診受診日", "受診年月日", "受診日", "実施年月日"),
    "institution": ("健診機関コード", "健診機関番号", "健診実施機関番号", "健診実施機関コード", "実施機関番号"),
    "report": ("報告区分",),
    "programme": ("プログラム種別", "健診プログラムサービスコード"),
}
_FKAC167: dict[str, tuple[str, ...]] = {
    "9N001000000000001": ("身長",),
    "9N006000000000001": ("体重",),
    "9N011000000000001": ("BMI",),
    "9N016160100000001": ("腹囲", "腹囲(実測)"),
    "9N016160200000001": ("腹囲(自己測定)", "腹囲(自己判定)"),
    "9N016160300000001": ("腹囲(自己申告)",),
    "9A755000000000001": ("収縮期血圧", "収縮期血圧(その他)", "最高血圧"),
    "9A751000000000001": ("収縮期血圧(1回目)",),
    "9A752000000000001": ("収縮期血圧(2回目)",),
    "9A765000000000001": ("拡張期血圧", "拡張期血圧(その他)", "最低血圧"),
    "9A761000000000001": ("拡張期血圧(1回目)",),
    "9A762000000000001": ("拡張期血圧(2回目)",),
    "9N141000000000011": ("採血時間(食後)", "採血時間"),
    "3F015000002399901": ("中性脂肪(トリグリセリド)", "空腹時中性脂肪(トリグリセリド)", "中性脂肪", "空腹時中性脂肪",
                          "トリグリセリド", "中性脂肪(TG)", "TG"),
    "3F015129902399901": ("随時中性脂肪(トリグリセリド)", "随時中性脂肪"),
    "3F070000002399901": ("HDLコレステロール", "HDL", "HDL-C"),
    "3F077000002399901": ("LDLコレステロール", "LDL", "LDL-C"),
    "3F077000002391901": ("LDLコレステロール(計算法)",),
    "3F069000002391901": ("NON-HDLコレステロール", "NON-HDL"),
    "3B035000002399901": ("GOT(AST)", "AST(GOT)", "GOT", "AST"),
    "3B045000002399901": ("GPT(ALT)", "ALT(GPT)", "GPT", "ALT"),
    "3B090000002399901": ("γ-GT(γ-GTP)", "γ-GTP(γ-GT)", "γ-GTP", "γ-GT", "ガンマGTP", "ガンマGT"),
    "3D010000001926101": ("空腹時血糖(電位差法)",),
    "3D010000002227101": ("空腹時血糖(可視吸光光度法)",),
    "3D010000001927201": ("空腹時血糖(紫外吸光光度法)",),
    "3D010000001999901": ("空腹時血糖(その他)", "空腹時血糖", "空腹時血糖値"),
    "3D010129901926101": ("随時血糖(電位差法)",),
    "3D010129902227101": ("随時血糖(可視吸光光度法)",),
    "3D010129901927201": ("随時血糖(紫外吸光光度法)",),
    "3D010129901999901": ("随時血糖(その他)", "随時血糖", "随時血糖値"),
    "3D046000001999902": ("HBA1C(NGSP値)", "HBA1C(NGSP)"),
    "3D045000001999902": ("HBA1C(JDS値)", "HBA1C(JDS)"),
    "3C015000002399901": ("血清クレアチニン", "血清クレアチニン値", "クレアチニン"),
    "8A065000002391901": ("EGFR",),
    "9N701000000000011": ("服薬1(血圧)", "服薬1"),
    "9N706000000000011": ("服薬2(血糖)", "服薬2"),
    "9N711000000000011": ("服薬3(脂質)", "服薬3"),
    "9N736000000000011": ("喫煙", "喫煙歴"),
    "9N741000000000011": ("20歳からの体重変化",),
    "9N761000000000011": ("1年間の体重変化",),
}  # fmt: skip

_MARKS = re.compile(r"[-ー_・,.:;/()\[\]「」【】]")
_UNIT = re.compile(r"[(\[](?:cm|kg|kg/m\^?2|mg/dl|mmhg|mm\[hg\]|%|i?u/l|ml/min/1\.73m\^?2)[)\]]$")


def plain(cell: str) -> str:
    """How is a header of these files compared? As `text.header`, without marks, the # of a comment row and our units.

    HDL-コレステロール, ＨＤＬコレステロール(mg/dL) and #HDLコレステロール are one; another unit is kept, and no item.
    """
    return _MARKS.sub("", _UNIT.sub("", header(cell).lstrip("#")))


PEOPLE = {key: tuple(map(plain, names)) for key, names in _PEOPLE.items()}
"""Key (see `people.KEYS`; `era` is the era of a birth date in a column of its own) → its headers, as compared."""
FKAC167 = {plain(name): code for code, names in _FKAC167.items() for name in names}
"""Header, as compared → item code. HbA1c without NGSP or JDS and a bare 血糖 are none: they may be either of two."""
