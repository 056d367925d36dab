"""What do figures look like? One theme, one Japanese font, colours and patterns that all eyes can tell apart."""

from __future__ import annotations

import base64
import io
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.report._emit import CONTEXT, SYNTHETIC, emit, emit_html
from kenpo_analytics.report._format import Col

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FONT = "IPAexGothic"
# Okabe & Ito (2008), Color Universal Design; yellow is left out (too pale on white)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++", "oo")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STROKES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (7, 2)), (0, (1, 2)))
PLAIN, STRONG, QUIET = "#56B4E9", "#D55E00", "#7a7a7a"
DPI, TALL, COARSE = 110, 5.5, 80
"""A figure taller than `TALL` inches is nearly all text: drawn coarser, it stays readable at two thirds of the size."""
_COLOURS_KEPT = 24

# seaborn's "whitegrid" written out (a test holds it to seaborn's own): importing seaborn costs five CPU seconds a page
WHITEGRID: dict[str, Any] = {
    "figure.facecolor": "white",
    "axes.labelcolor": ".15",
    "xtick.direction": "out",
    "ytick.direction": "out",
    "xtick.color": ".15",
    "ytick.color": ".15",
    "axes.axisbelow": True,
    "grid.linestyle": "-",
    "text.color": ".15",
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "xtick.top": False,
    "ytick.right": False,
    "axes.grid": True,
    "axes.facecolor": "white",
    "axes.edgecolor": ".8",
    "grid.color": ".8",
    "axes.spines.left": True,
    "axes.spines.bottom": True,
    "axes.spines.right": True,
    "axes.spines.top": True,
    "xtick.bottom": False,
    "ytick.left": False,
}
_OURS: dict[str, Any] = {
    "font.family": [FONT],
    "axes.unicode_minus": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "hatch.linewidth": 0.7,
    "grid.linewidth": 0.6,
    "svg.hashsalt": "kenpo",
}


def setup() -> None:
    """Make a notebook ready: Japanese figures (also those of seaborn), and tables that print in full.

    Sets the theme before the font, since a theme set later would take the font away again; a character that the font
    lacks becomes an error instead of a box.
    """
    import matplotlib
    import polars as pl

    if "seaborn" in sys.modules:
        sys.modules["seaborn"].set_theme(style="whitegrid", font=FONT)
    _register_font()
    matplotlib.rcParams.update(_theme())
    warnings.filterwarnings("error", message=r"Glyph .* missing", category=UserWarning)
    pl.Config.set_tbl_rows(40)
    pl.Config.set_tbl_cols(20)
    pl.Config.set_fmt_str_lengths(40)
    pl.Config.set_tbl_width_chars(160)
    if "pandas" in sys.modules:
        options = sys.modules["pandas"].set_option
        options("display.max_rows", 40, "display.max_columns", 20, "display.width", 160)
        options("display.unicode.east_asian_width", True)


def _theme() -> Any:
    return WHITEGRID | _OURS


def _register_font() -> None:
    import matplotlib_fontja  # noqa: F401  registers the font on import


@contextmanager
def canvas(width: float, height: float, title: str) -> Iterator[tuple[Figure, Axes]]:
    """An empty figure in our theme, whatever the notebook has set; a missing character is an error.

    Made without pyplot, so that nothing shows itself behind our back, unchecked and unstamped.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    _register_font()
    with warnings.catch_warnings(), matplotlib.rc_context(_theme()):
        warnings.filterwarnings("error", message=r"Glyph .* missing", category=UserWarning)
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        figure.suptitle(title, x=0.01, ha="left", fontsize=13)
        yield figure, axes


def png(figure: Figure, dpi: int | None = None) -> str:
    """The picture as base64: the same bytes in every run (no dates, no versions), in its 24 commonest colours.

    A quarter of the size of full colour. Common colours stay exact, shades at the edges of letters take the nearest.
    """
    import numpy as np
    from PIL import Image

    raw = io.BytesIO()
    dpi = dpi or (COARSE if figure.get_figheight() > TALL else DPI)
    figure.savefig(raw, format="png", dpi=dpi, metadata={"Software": None})
    raw.seek(0)
    image = Image.open(raw).convert("RGB")
    channels = np.asarray(image).reshape(-1, 3).astype(np.int64)
    packed = channels @ np.array([1 << 16, 1 << 8, 1])
    codes, which, counts = np.unique(packed, return_inverse=True, return_counts=True)
    colours = np.stack([codes >> 16, (codes >> 8) & 255, codes & 255], axis=1)
    ours = np.isin(codes, [int(colour[1:], 16) for colour in (*COLOURS, PLAIN, STRONG, QUIET)])
    palette = colours[np.lexsort((-counts, ~ours))[:_COLOURS_KEPT]]  # a thin line in our colours keeps its colour
    nearest = np.square(colours[:, None, :] - palette[None]).sum(axis=2).argmin(axis=1)
    flat = Image.frombytes("P", image.size, nearest[which.ravel()].astype(np.uint8).tobytes())
    flat.putpalette(palette.astype(np.uint8).tobytes())
    small = io.BytesIO()
    flat.save(small, format="png", optimize=True)
    return base64.b64encode(small.getvalue()).decode("ascii")


def finish(
    figure: Figure,
    checked: Checked,
    *,
    title: str,
    alt: str,
    columns: Mapping[str, Col | str] | None,
    credit: str = "",
    dpi: int | None = None,
) -> None:
    """Sign the figure, show it with its text alternative, and fold the numbers behind it underneath.

    `columns` None: the page shows these numbers as a table of its own, right beside the figure. `dpi`: dots per inch,
    default as its height asks for; a page with many figures of few words can do with `COARSE`.
    """
    from kenpo_analytics.report.tables import table_html

    lines = [credit] if credit else []
    lines += [f"出典：{checked.source}"] if checked.public else []
    if lines:
        figure.supxlabel("\n".join(lines), x=0.99, ha="right", fontsize=7.5, color=".35")
    if CONTEXT.synthetic and not checked.public:
        figure.text(
            0.5, 0.5, SYNTHETIC, fontsize=46, color=".5", alpha=0.16, ha="center", va="center", rotation=24, zorder=20
        )
    plain = f"<図: {title}>"
    emit({"image/png": png(figure, dpi), "text/plain": plain}, log=checked.log, alt=f"{title}。{alt}")
    if columns is None:
        return
    numbers = table_html(checked, title=f"{title}（数値）", columns=columns, note=credit or None)
    words = f"<summary>図の説明と数値</summary><p>{escape(alt)}</p>"
    html = f'<details class="kenpo-numbers" lang="ja">{words}{numbers}</details>'
    emit_html(html, f"<表: {title}（数値）>", log=checked.log)
