"""Pages that are rendered by Jinja from a template beside the code that collects their facts."""

from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader

from mlops_ladder.markdown import escape_text, format_code, list_as_code


def render_template(path: Path, **facts: Any) -> str:
    """Return the text of a template with these facts in it.

    A fact that is missing counts as false, and prints nothing.
    """
    blanks: Any = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
    loader: Any = {"loader": FileSystemLoader(path.parent), "undefined": ChainableUndefined}
    # It writes Markdown, whose values the filters escape.
    environment = Environment(**loader, **blanks)  # nosec B701: as above
    environment.filters |= {"code": format_code, "words": escape_text, "codes": list_as_code}
    return environment.get_template(path.name).render(facts)
