"""Which mapping.toml would read this list? A proposal from its headers, to be checked by the one who knows the list."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from kenpo_analytics.ingest.lists.mapping import synonyms
from kenpo_analytics.ingest.lists.mapping_toml import CHOOSE_KIND, MAPPABLE, Field, Mapping, keys_of, normal_headers
from kenpo_analytics.ingest.values.text import header as normal_header

_PEOPLE = (
    (r"保険者.*(番号|no)|insurer", "insurer"),
    (r"記号.*番号|記番", "symbol_number"),
    (r"枝番|branch", "branch_number"),
    (r"記号|symbol", "symbol"),
    (r"^(被保険者.*|保険証.*|受診者.*|受診者)?番号$|^number$", "number"),
    (r"生年月日|誕生日|birth|^dob$", "birth"),
    (r"性別|男女|^sex$|gender", "sex"),
    (r"カナ|かな|フリガナ|kana", "kana"),
    (r"氏名|名前|^name$", "name"),
)
_CHECKUP = (
    (r"(受診|健診|検診|実施|検査|exam|checkup).*(日|date|dt)$|^(受診|健診|検診)日", "checkup_date"),
    (r"(健診|検診|医療|実施)?(機関|施設)(コード|番号|名)?$|institution|facility", "institution"),
    (r"(健診|検診).*(種類|種別|区分)", "kind"),
    (r"採血.*時間|食後.*時間", "fasting"),
    (r"a1c", "hba1c"),
    (r"随時.*(血糖|グルコース|glu)|(血糖|グルコース).*随時", "casual_glucose"),
    (r"空腹.*(血糖|グルコース|glu)|(血糖|グルコース).*空腹|fbs|fpg|fasting.*glu", "fpg"),
    (r"((収縮|最高|最大).*血圧|血圧.*(収縮|最高|最大|上)|sbp|systolic).*(1|一)回?", "sbp_1"),
    (r"((収縮|最高|最大).*血圧|血圧.*(収縮|最高|最大|上)|sbp|systolic).*(2|二)回?", "sbp_2"),
    (r"(収縮|最高|最大).*血圧|血圧.*(収縮|最高|最大|上)|sbp|systolic", "sbp"),
    (r"((拡張|最低|最小).*血圧|血圧.*(拡張|最低|最小|下)|dbp|diastolic).*(1|一)回?", "dbp_1"),
    (r"((拡張|最低|最小).*血圧|血圧.*(拡張|最低|最小|下)|dbp|diastolic).*(2|二)回?", "dbp_2"),
    (r"(拡張|最低|最小).*血圧|血圧.*(拡張|最低|最小|下)|dbp|diastolic", "dbp"),
    (r"中性脂肪|トリグリセ|^tg\b|triglycer", "tg"),
    (r"non-?hdl", "non_hdl"),
    (r"hdl", "hdl"),
    (r"ldl", "ldl"),
    (r"γ|ggt|gtp", "ggt"),
    (r"got|\bast\b", "ast"),
    (r"gpt|\balt\b", "alt"),
    (r"egfr|糸球体", "egfr"),
    (r"クレアチニン|creatinine|^cre$|^cr$", "creatinine"),
    (r"身長|height", "height"),
    (r"20歳.*(体重|増加)", "weight_gain_10kg"),
    (r"1年.*体重", "weight_change_1y"),
    (r"体重|weight", "weight"),
    (r"bmi|体格指数", "bmi"),
    (r"腹囲|ウエスト|waist", "waist"),
    (r"(服薬|薬).*血圧|血圧.*薬|降圧", "medication_bp"),
    (r"(服薬|薬).*(血糖|糖尿)|(血糖|糖尿).*薬|インスリン", "medication_glucose"),
    (r"(服薬|薬).*(脂質|コレステ)|(脂質|コレステ).*薬", "medication_lipid"),
    (r"喫煙|たばこ|タバコ|smok", "smoking"),
)
_MEMBER = (
    (r"資格.*取得|取得.*日", "valid_from"),
    (r"喪失", "valid_to"),
    (r"異動.*日", "changed_from"),
    (r"続柄|本人.*家族|被扶養者", "relationship"),
    (r"住所|address", "address"),
    (r"事業所.*(番号|記号|コード)", "workplace_id"),
)
GUESSES: dict[str, tuple[tuple[str, str], ...]] = {
    "checkups": (*_CHECKUP, *_PEOPLE),
    "members": (*_MEMBER, *_PEOPLE),
    "mailings": (((r"(発送|送付).*日", "sent_date")), *_PEOPLE),
    "guidance": (((r"初回.*面接", "first_interview")), *_PEOPLE),
}
"""By table: how a normal header looks that is probably this key (the first that fits); tried after known headers."""
_NOT_VALUES = re.compile(r"判定|基準|コメント|所見|備考|flag|フラグ|前回|過去|単位|家族歴")
_BY_DAY = " 2の意味は健診日で決まります(2024年3月まで「いいえ」、4月から「以前は吸っていた」)。違えば codes を書きます"
_NO_KEY = "対応する項目が分かりません"


class Proposal(NamedTuple):
    """A table, each header's key (None where unknown), which of them are guesses, and what is still missing."""

    table: str
    keys: tuple[str | None, ...]
    guessed: frozenset[int]
    missing: tuple[str, ...]


def propose(headers: Sequence[str]) -> Proposal | None:
    """Which table and keys have these headers probably? None where not two of them are known.

    Known headers first (those of the shipped mappings), then `GUESSES`; a key is guessed once at most. The kind of
    checkup is never guessed: where no column says it, the one who knows the list has to choose.
    """
    best = max((_for(table, headers) for table in MAPPABLE), key=_fit)
    return best if len(set(best.keys) - {None}) >= 2 else None


def _fit(proposal: Proposal) -> int:
    return len(set(proposal.keys) - {None}) - 2 * len(proposal.missing)


def _for(table: str, headers: Sequence[str]) -> Proposal:
    names, known = normal_headers(headers), _known(table)
    keys: list[str | None] = [known.get(name) if name else None for name in names]
    guessed = set()
    for place, name in enumerate(names):
        guess = None if keys[place] or _NOT_VALUES.search(name) else _guess(table, name)
        if guess and guess not in keys:
            keys[place] = guess
            guessed.add(place)
    columns = {name: Field(key) for name, key in zip(names, keys, strict=True) if key}
    missing = Mapping("", table, columns, {"kind": ""}).missing(headers)
    return Proposal(table, tuple(keys), frozenset(guessed), tuple(missing))


@cache
def _known(table: str) -> dict[str, str]:
    return synonyms(table)


def _guess(table: str, name: str) -> str | None:
    return next((key for pattern, key in GUESSES.get(table, ()) if re.search(pattern, name)), None)


def toml(proposal: Proposal, headers: Sequence[str], kinds: Sequence[str], name: str) -> str:
    """How is the proposal written as mapping.toml? Guesses and unknown headers are marked; `kinds`: what they hold."""
    labels = keys_of(proposal.table)
    lines = [f"name = {_quoted(name)}", f'table = "{proposal.table}"', "", "[columns]"]
    for place, (header, key, kind) in enumerate(zip(_numbered(headers), proposal.keys, kinds, strict=True)):
        sure = "" if place not in proposal.guessed else "推定です。確かめてください: "
        if header and key:
            coded = _BY_DAY if key == "smoking" and "1桁の数字" in kind else ""
            lines.append(f'{_quoted(header)} = "{key}"  # {sure}{labels[key]} [{kind}]{coded}')
        elif header:
            lines.append(f'# {_quoted(header)} = ""  # {_NO_KEY} [{kind}]')
    lines += ["", "[defaults]"]
    if proposal.table == "checkups" and "kind" not in proposal.keys:
        lines.append(f'# kind = "事業者健診"  # {CHOOSE_KIND}')
    if "insurer" in labels and "insurer" not in proposal.keys:
        lines.append('# insurer = "01240019"  # 例です。全ての行の保険者番号が同じなら、# を外して直してください')
    return "\n".join(lines) + "\n"


def _numbered(headers: Sequence[str]) -> list[str]:
    """Headers as a mapping writes them: one line each, the second of a repeated one with _2."""
    counts: dict[str, int] = {}
    made = []
    for header in headers:
        normal = normal_header(header)
        counts[normal] = counts.get(normal, 0) + 1
        shown = " ".join("".join(c if c.isprintable() else " " for c in header).split())
        made.append(shown if counts[normal] == 1 or not shown else f"{shown}_{counts[normal]}")
    return made


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
