"""Why can this TOML not be read? The parser's English as Japanese: which line, what is wrong, what to write."""

from __future__ import annotations

import re

_QUOTED = '文字は半角の " で囲みます。例: branch = "24"'
_WRONG = (
    (r"Unescaped|escape|hex value", "\\ を読めません", r"Windowsの場所は ' で囲みます。例: path = 'C:\kenpo\data'"),
    (r"Illegal char|Unterminated|Expected \"'\"", "文字列が閉じられていません", _QUOTED),
    (r"Expected '='", "= がありません", "名前 = 値 の形で書きます。"),
    (r"twice|Cannot overwrite|Cannot mutate|Duplicate", "同じ名前が二度書かれています", "1つだけ残してください。"),
    (r"Unclosed|Expected '\]'", "カッコが閉じられていません", "[run] や [1, 2] のように閉じます。"),
    (r"Expected newline", "値の後に余分な文字があります", _QUOTED),
    (
        r"Invalid (initial character|statement)",
        "名前として読めません",
        "名前は半角の英数字で書きます。",
    ),
    (r"Invalid date", "日付を読めません", "日付は 2026-04-01 のように、実在する日を書きます。"),
    (r"Invalid value", "値を読めません", _QUOTED),
)
_LIKE_A_DATE = re.compile(r"=\s*\d{4}[-/.年]\d")
_OTHER = ("TOML の書き方ではありません", "名前 = 値 の形で書きます。")


def why_not_toml(raw: bytes, error: Exception) -> tuple[str, str]:
    """Which line of a TOML file could not be read, and what should stand there? A reason and a hint, in Japanese.

    `error` is what `tomllib.loads` or decoding as UTF-8 raised for `raw`. The reason shows the line itself.
    """
    if isinstance(error, UnicodeDecodeError):
        return "文字コードがUTF-8ではありません", "メモ帳なら「名前を付けて保存」で文字コード UTF-8 を選びます。"
    lines = raw.decode("utf-8-sig").splitlines()
    told = re.search(r"at line (\d+)", str(error))
    filled = [number for number, line in enumerate(lines, 1) if line.strip()]
    at = int(told[1]) if told else filled[-1] if filled else 1
    line = lines[at - 1].strip() if at <= len(lines) else ""
    cause = "Invalid date" if _LIKE_A_DATE.search(line) else str(error)
    reason, hint = next(((why, how) for found, why, how in _WRONG if re.search(found, cause)), _OTHER)
    return f"{at}行目{f'「{line}」' if line else ''}: {reason}", hint
