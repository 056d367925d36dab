"""What tree is in this XML file? Bytes from outside → elements, safely.

Parsed with the standard library's expat. No DTD, hence no entity, is ever read; nothing outside the bytes is opened;
size, number of tags and attributes, and depth have limits. Reference: OWASP XML External Entity Prevention.
"""

from __future__ import annotations

import codecs
import re
from xml.etree.ElementTree import Element, ParseError, XMLParser

from kenpo_analytics.ingest.rules import REASONS

MAX_BYTES = 20 * 2**20
MAX_DEPTH = 100
MAX_MARKS = 400_000  # tags and attributes together; a checkup has about two thousand
_DECLARED = re.compile(rb"""<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_CODECS = {
    **dict.fromkeys(
        ("shift_jis", "shift-jis", "sjis", "x-sjis", "windows-31j", "cp932", "ms932", "csshiftjis"), "cp932"
    ),
    **dict.fromkeys(("utf-16", "utf-16le", "utf-16be"), "utf-16"),
    **dict.fromkeys(("utf-8", "utf8", "us-ascii"), "utf-8"),
    "euc-jp": "euc_jp",
}


class RefusedDocument(Exception):
    """A document that is not read at all; `rule` says why."""

    def __init__(self, rule: str) -> None:
        super().__init__(REASONS[rule])
        self.rule = rule


def tree(data: bytes) -> Element:
    """Which tree is in these bytes?

    Raises
    ------
    RefusedDocument
        Too large or deep, a DTD, not UTF-8, UTF-16, CP932 or EUC-JP, or not well formed.
    """
    if len(data) > MAX_BYTES:
        raise RefusedDocument("too_large")
    data = _utf8(data)
    if data.count(b"<") + data.count(b"=") > MAX_MARKS:
        raise RefusedDocument("too_large")
    if b"<!DOCTYPE" in data:  # complete: the bytes are UTF-8 by now, and XML knows no other spelling
        raise RefusedDocument("dtd")
    parser = XMLParser(encoding="utf-8")
    try:
        parser.feed(data)
        root = parser.close()
    except (ParseError, ValueError):
        raise RefusedDocument("unreadable") from None
    _refuse_depth(root)
    return root


def _utf8(data: bytes) -> bytes:
    while data.startswith(codecs.BOM_UTF8):
        data = data.removeprefix(codecs.BOM_UTF8)
        if not data.startswith(codecs.BOM_UTF8):
            return data
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return _recoded(data, "utf-16")
    if data[:1] == b"\0" or data[1:2] == b"\0":
        return _recoded(data, "utf-16-be" if data[:1] == b"\0" else "utf-16-le")
    declared = _DECLARED.match(data)
    codec = _CODECS.get(declared[1].decode("ascii").lower()) if declared else "utf-8"
    if codec is None or codec == "utf-16":  # UTF-16 would have shown itself by its zero bytes
        raise RefusedDocument("encoding")
    if codec == "utf-8" or data.isascii():
        return data
    if _is_utf8(data):  # what is UTF-8 is never meant as CP932, whatever was declared: one of the two is wrong
        raise RefusedDocument("encoding")
    return _recoded(data, codec)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _recoded(data: bytes, codec: str) -> bytes:
    try:
        return data.decode(codec).encode()
    except UnicodeError:
        raise RefusedDocument("encoding") from None


def _refuse_depth(root: Element) -> None:
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [child for element in level for child in element]
        if not level:
            return
    raise RefusedDocument("too_large")
