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
    """Return the fonts in the order in which they are searched for a letter."""
    here = set(get_font_names())
    return [*matplotlib.rcParams["font.family"], *(name for name in CJK_FONTS if name in here)]


def create_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, without a window; its parts share the space.

    A `$` in a name is shown as it is, and begins no formula; dates are written in few letters.
    """
    matplotlib.rcParams.update({"text.parse_math": False, "date.converter": "concise"})
    matplotlib.rcParams["font.family"] = list_font_families()
    return Figure(figsize=(width, height), layout="constrained")
