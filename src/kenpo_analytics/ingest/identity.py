"""Who is a record about, without saying who? Identifiers made comparable, then replaced by keyed hashes.

Names, 記号・番号 and birth dates are hashed with HMAC-SHA-256 (RFC 2104) under a key that lies outside the data folder,
63 bits of it as an Int64: without the key nobody can look a person up, with it the same person gets the same id again.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.records import IDENTITY

SEALED: dict[str, Any] = {
    "id_number": pl.Int64,  # insurer, 記号, 番号, 枝番: null where one is missing
    "id_family": pl.Int64,  # insurer, 記号, 番号: an insured person and the dependants
    "id_birth": pl.Int64,  # birth date and sex
    "id_kana": pl.Int64,  # name in kana
    "id_born": pl.Int64,  # birth date alone: some files do not tell the sex
}
KEY_BYTES = 32
_DASHES = re.compile(r"[\s\-‐‑‒–—―−ｰー・.,'’|]+")
_SMALL = str.maketrans("ァィゥェォッャュョヮヵヶ", "アイウエオツヤユヨワカケ")


def normal_number(text: str | None) -> str | None:
    """How is a 記号, 番号 or 枝番 compared? NFKC, capitals, no spaces or dashes, no leading zeros in a number."""
    if text is None:
        return None
    plain = _DASHES.sub("", unicodedata.normalize("NFKC", text)).upper()
    return (plain.lstrip("0") or "0" if plain.isascii() and plain.isdigit() else plain) or None


def normal_kana(text: str | None) -> str | None:
    """How is a name compared? Full-width katakana without spaces, dashes and small letters; ヴ as it is."""
    if text is None:
        return None
    plain = _DASHES.sub("", unicodedata.normalize("NFKC", text)).upper()
    kata = "".join(chr(ord(c) + 0x60) if "ぁ" <= c <= "ゖ" else c for c in plain)
    return kata.translate(_SMALL) or None


class Key:
    """The secret that makes ids: 32 random bytes. Its `check` tells two stores apart without showing it."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return f"Key(check={self.check})"

    def seal(self, text: str) -> int:
        """Which 63-bit number stands for this text? The first eight bytes of its HMAC-SHA-256, sign bit dropped."""
        return int.from_bytes(hmac.digest(self._secret, text.encode(), "sha256")[:8], "big") >> 1

    @property
    def check(self) -> str:
        """Which mark says that two stores were made under the same key?"""
        return hmac.digest(self._secret, b"kenpo key check", "sha256").hex()[:16]


def read_key(path: Path, *, data: Path, synthetic: bool = False) -> Key:
    """Which key makes the ids? The file's, or a new one written there with rights for the owner alone.

    Raises
    ------
    IngestError
        The file lies inside the data folder (whoever gets the data must not get the key), holds no key, or can be read
        by others (POSIX; synthetic people need no secret).
    """
    if path.resolve().is_relative_to(data.resolve()):
        raise IngestError(
            f"鍵ファイルがデータのフォルダの中にあります: {path}",
            hint="データを渡しても個人に戻せないように、鍵は別の場所に置いてください(--key、環境変数 KENPO_KEY)。",
        )
    if not path.exists():
        _create(path)
    mode = path.stat().st_mode
    if os.name == "posix" and not synthetic and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise IngestError(f"鍵ファイルを本人以外も読めます: {path}", hint=f"chmod 600 {path} としてください。")
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        secret = b""
    if len(secret) != KEY_BYTES:
        raise IngestError(
            f"鍵ファイルの中身が鍵ではありません: {path}",
            hint="控えから戻してください。作り直すと個人IDが全て変わります。",
        )
    return Key(secret)


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")


def seal_frame(frame: pl.DataFrame, key: Key) -> pl.DataFrame:
    """Which frame may be written? The identity columns give way to `SEALED` hashes, in place; `sex` stays.

    A distinct text is hashed once: a file names the same people again and again.
    """
    symbol, number, branch = (_normal(frame[name], normal_number) for name in ("symbol", "number", "branch_number"))
    texts = frame.select(
        id_number=pl.concat_str(pl.lit("number"), "insurer", symbol, number, branch, separator="|"),
        id_family=pl.concat_str(pl.lit("family"), "insurer", symbol, number, separator="|"),
        id_birth=pl.concat_str(pl.lit("birth"), pl.col("birth").dt.to_string("%Y-%m-%d"), "sex", separator="|"),
        id_kana=pl.concat_str(pl.lit("kana"), _normal(frame["kana"], normal_kana), separator="|"),
        id_born=pl.concat_str(pl.lit("born"), pl.col("birth").dt.to_string("%Y-%m-%d"), separator="|"),
    )
    sealed = [_sealed(texts[name], key) for name in SEALED]
    kept = [name for name in frame.columns if name not in IDENTITY or name == "sex"]
    return frame.select(kept).with_columns(sealed)


def _normal(texts: pl.Series, normal: Callable[[str | None], str | None]) -> pl.Series:
    distinct = texts.unique().drop_nulls()
    made = pl.Series([normal(text) for text in distinct], dtype=pl.String)
    return texts.replace_strict(distinct, made, default=None, return_dtype=pl.String)


def _sealed(texts: pl.Series, key: Key) -> pl.Series:
    distinct = texts.unique().drop_nulls()
    made = pl.Series([key.seal(text) for text in distinct], dtype=pl.Int64)
    return texts.replace_strict(distinct, made, default=None, return_dtype=pl.Int64)


def fingerprint(path: Path) -> str:
    """What tells this file's content from another's? The first 16 hex digits of its SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
