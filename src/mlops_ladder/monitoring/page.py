"""Pages: HTML files that need no other file, with pictures."""

import html
from base64 import b64encode
from collections.abc import Mapping
from importlib.resources import files
from io import BytesIO
from string import Template

from matplotlib.figure import Figure


def render_page(title: str, note: str, *parts: str) -> str:
    """Return a page with this heading, a note below it as HTML, and these parts."""
    template = Template((files(__package__) / "page.html").read_text(encoding="utf-8"))
    return template.substitute(title=html.escape(title), note=note, body="\n".join(parts))


def render_figures(figures: Mapping[str, Figure]) -> str:
    """Return these figures beside each other, each below its title."""
    cells = (
        f'<figure><h2>{title}</h2><img alt="{title}" src="{embed_figure(figure)}"></figure>'
        for title, figure in figures.items()
    )
    return f'<div class="pictures">{"".join(cells)}</div>'


def embed_figure(figure: Figure) -> str:
    """Return the figure as an address that holds it, for `src`."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
