"""How is a generated page written? Tables and blocks of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOTE = "<!-- 自動生成: python -m kenpo_analytics.definitions.pages。手で直さないでください。 -->"


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a heading row."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def page(parts: Iterable[str]) -> str:
    """Blocks, parted by blank lines."""
    return "\n\n".join(parts) + "\n"
