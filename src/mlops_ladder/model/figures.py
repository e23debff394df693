"""Figures: the one place that says by which fonts their words are drawn.

matplotlib brings one that has no Chinese, Japanese or Korean.  Where this machine has another one,
it draws what the first one lacks; where it has none, matplotlib warns and draws boxes.
"""

from functools import cache

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names

CJK_FONTS = (
    "Noto Sans CJK JP, Noto Sans CJK SC, Source Han Sans, WenQuanYi Micro Hei, WenQuanYi Zen Hei,"
    " Droid Sans Fallback, PingFang SC, Hiragino Sans, Apple SD Gothic Neo, Microsoft YaHei,"
    " Yu Gothic, Malgun Gothic, Arial Unicode MS"
).split(", ")


@cache
def list_font_families() -> list[str]:
    """The fonts in the order in which they are asked for a letter."""
    here = set(get_font_names())
    return [*matplotlib.rcParams["font.family"], *(name for name in CJK_FONTS if name in here)]


def create_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, without a window; what is put on it shares its room.

    A `$` in a name is a sign there, and begins no formula.
    """
    matplotlib.rcParams.update({"font.family": list_font_families(), "text.parse_math": False})
    return Figure(figsize=(width, height), layout="constrained")
