"""Which columns of a checkup CSV go unread that look like a measurement or an identity? Told once a file, as a note.

Headers are no personal data; one is named only where it holds a word of the lists below.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from kenpo_analytics.ingest.values.text import header, item_code

_MEASURED = re.compile(
    r"身長|体重|腹囲|血圧|中性脂肪|トリグリセ|コレステロール|血糖|グルコース|ヘモグロビンa1c|hba1c|クレアチニン|採血時間|服薬|喫煙|"
    r"(?:γ|ガンマ)-?gt|(?<![a-z])(?:bmi|tg|hdl|ldl|got|gpt|ast|alt|egfr)(?![a-z])|^#?[0-9][a-z][0-9]{8}"
)
_IDENTITY = {
    "insurer": re.compile("(?<!被)保険者番号"),
    "symbol": re.compile("記号"),
    "number": re.compile("^番号|(?:被保険者|保険証)(?:証?等?)番号"),
    "branch_number": re.compile("枝番"),
    "kana": re.compile("氏名|受診者名|カナ|フリガナ"),
    "sex": re.compile("性別"),
    "institution": re.compile("機関.*(?:番号|コード)"),
    "report": re.compile("報告区分"),
    "programme": re.compile("プログラム(?:種別|.*コード)"),
}
_OTHER = re.compile(
    "^hl|判定|基準|所見|医師|確認者|方法|測定法|理由|コメント|単位|指導|前回|過去|上限|下限|異常|フラグ|事業所|会社|所属"
)  # about a measurement or another person, no measurement itself
_MOST, _LONGEST = 40, 40  # headers named in a note, characters of one


def looks_read(cell: str, told: Collection[str]) -> bool:
    """Would one expect that this header's column is read? `told` are the keys of `people.KEYS` the file has already.

    An item code, also of an item that is not used here, needs no word; one of the wrong length does.
    """
    said = header(cell)
    if item_code(cell) is not None or _OTHER.search(said):
        return False
    open_keys = (pattern for key, pattern in _IDENTITY.items() if key not in told)
    return any(pattern.search(said) for pattern in (_MEASURED, *open_keys))


def unread(headers: Sequence[str], line: int) -> list[dict[str, Any]]:
    """The note that names these headers (see `records.rejected`); none where there are none."""
    if not headers:
        return []
    shown = "、".join(f"「{' '.join(one.split())[:_LONGEST]}」" for one in headers[:_MOST])
    more = f"、ほか{len(headers) - _MOST}列" if len(headers) > _MOST else ""
    reason = f"健診項目か本人の番号らしい見出しで、読まなかった列: {shown}{more}。"
    return [{"line": line, "level": "note", "item": "file", "rule": "column_not_read", "reason": reason}]
