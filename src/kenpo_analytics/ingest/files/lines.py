r"""Which lines are in this file? CP932 or UTF-8, one encoding a file, block by block, damaged bytes found by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO, NamedTuple

from kenpo_analytics.errors import IngestError

BLOCK_BYTES = 4 * 2**20
MAX_LINE_BYTES = 16 * 2**20
_SAMPLE_BYTES = 2**20
_SAMPLE_LINES = 1_000  # that are not ASCII
_NOT_IN_CP932 = "\x80\xa0\uf8f0\uf8f1\uf8f2\uf8f3"  # what Python makes of bytes that are no text in code page 932


class Lines(NamedTuple):
    r"""Whole lines of a file: `text` ends each line in "\n", `first` is the 1-based physical number of its first line.

    `bad` are the numbers of lines with undecodable bytes; those bytes stand as U+FFFD in `text`.
    """

    text: str
    first: int
    bad: tuple[int, ...]


def decode(stream: BinaryIO, block: int = BLOCK_BYTES, encoding: str | None = None) -> tuple[str, Iterator[Lines]]:
    r"""In which encoding is this file, and what are its lines?

    "utf-8" or "cp932", one for the whole file: UTF-8 where a BOM says so or most of the first 1,000 non-ASCII lines
    decode, else CP932; "ascii" where the first MiB is ASCII (decided later, if need be). Lines come in blocks of
    about `block` bytes: memory is constant. CRLF and CR become "\n" (a CR alone is a space in a file that has LF); 0x1A
    at the start or end of a line and byte order marks go; the last line gets its "\n". An `encoding` that is given
    (cp932, utf-8) is taken.

    Raises
    ------
    IngestError
        UTF-16, or a line longer than 16 MiB (then while iterating).
    """
    head = stream.read(max(_SAMPLE_BYTES, block))
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise IngestError("文字コードがUTF-16です。", hint="「CSV UTF-8」か、Shift_JISのCSVで保存し直してください。")
    blocks = _blocks(head, stream, block)
    first = next(blocks, b"")
    told = "utf-8" if first.startswith(b"\xef\xbb\xbf") else None
    encoding = encoding or told or encoding_of(first[: first.find(b"\n", _SAMPLE_BYTES) + 1] or first)
    return encoding, _lines(chain([first] if first else [], blocks), encoding)


def _blocks(head: bytes, stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Blocks of whole lines, each ending in a line feed."""
    mac = b"\n" not in head and b"\r" in head[:-1]
    rest, data = b"", head
    while data:
        if data.endswith(b"\r"):
            data += stream.read(1)
        data = rest + data.replace(b"\r\n", b"\n").replace(b"\r", b"\n" if mac else b" ")
        cut = data.rfind(b"\n") + 1
        rest = data[cut:]
        if len(rest) > MAX_LINE_BYTES:
            raise IngestError("1行が長すぎます(16 MiBを超えます)。", hint="改行のあるCSVかを確かめてください。")
        if cut:
            yield _without_eof(data[:cut])
        data = stream.read(size)
    if rest.strip(b"\x1a"):
        yield _without_eof(rest + b"\n")


def _without_eof(data: bytes) -> bytes:
    return re.sub(rb"^\x1a+|\x1a+$", b"", data, flags=re.MULTILINE) if b"\x1a" in data else data


def encoding_of(data: bytes) -> str:
    """In which encoding are these lines? UTF-8 if at least half of the first non-ASCII lines are: CP932 hardly is."""
    lines = list(islice((line for line in data.split(b"\n") if not line.isascii()), _SAMPLE_LINES))
    if not lines:
        return "ascii"
    return "utf-8" if 2 * sum(map(_is_utf8, lines)) >= len(lines) else "cp932"


def _is_utf8(line: bytes) -> bool:
    """Two half-width kana (ﾐｱ) are UTF-8 as well, of a Greek or Arabic letter: Japanese needs three bytes a sign."""
    return _decodes(line, "utf-8") and (max(line.decode()) >= "\u0800" or not _decodes(line, "cp932"))


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        return not _odd(line.decode(encoding), encoding)
    except UnicodeDecodeError:
        return False


def _odd(text: str, encoding: str) -> bool:
    return encoding == "cp932" and any(sign in text for sign in _NOT_IN_CP932)


def _lines(blocks: Iterator[bytes], encoding: str) -> Iterator[Lines]:
    first = 1
    for data in blocks:
        if encoding == "ascii":
            encoding = encoding_of(data)
        try:
            text = data.decode(encoding)
            clean = not _odd(text, encoding)
        except UnicodeDecodeError:
            clean = False
        bad: tuple[int, ...] = ()
        if not clean:
            bad = tuple(first + at for at, line in enumerate(data.split(b"\n")) if not _decodes(line, encoding))
            text = data.decode(encoding, "replace")
            text = text.translate(dict.fromkeys(map(ord, _NOT_IN_CP932), "\ufffd")) if encoding == "cp932" else text
        yield Lines(text.replace("\ufeff", "") if "\ufeff" in text else text, first, bad)
        first += data.count(b"\n")
