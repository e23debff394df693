"""Provenance: where the label of each row to learn from comes from, from whom, and when.

Of data that came with labels `data/sources.toml` says so, once for a source: `labels = { annotator
= …, time = … }`.  Of rows that were labelled here the table of labels says so, of each.
"""

from pathlib import Path
from typing import Any

import tomlkit

from mlops_ladder.data.reading import files
from mlops_ladder.data.sources import checksum, read_sources, SOURCES, UNKNOWN
from mlops_ladder.labelling.queue import TABLE

SAID = ("annotator", "time")
GUIDE = Path("docs/labelling.md")
RESTORE = "ladder label --merge"


def lacking(pattern: str) -> list[str]:
    """A line for each source of the configured files that does not say who labelled, and when."""
    sources, found = read_sources(), []
    for path in map(str, files(pattern)):
        names = [name for name, it in sources.items() if path in it["files"]]
        if not names:
            found.append(f"{path}: in no source; run: make data DECLARE=yes")
        found += [f"{SOURCES}: [{name}] {it}" for name in names if (it := unsaid(sources[name]))]
    return list(dict.fromkeys(found))


def unsaid(source: dict[str, Any]) -> str:
    """What a source does not say of its labels; empty where it says all, or has a table of them."""
    said = source.get("labels", {})
    if said.get("table") == TABLE.as_posix():
        return ""
    words = [word for word in SAID if str(said.get(word, "")).strip() in ("", UNKNOWN)]
    example = 'labels = { annotator = "who", time = "when" }'
    return f"does not say its labels' {', '.join(words)}: {example}" if words else ""


def unexplained(classes: list[str]) -> list[str]:
    """A line for each class that the guide for those who label does not speak of."""
    text = GUIDE.read_text(encoding="utf-8") if GUIDE.exists() else ""
    return [f"{GUIDE}: says nothing of {name!r}" for name in classes if f"`{name}`" not in text]


def declared(new: Path, content: Path, rows: int, like: Path) -> str:
    """The text of data/sources.toml with the file of labelled rows; all else stays as it is."""
    document = tomlkit.parse(SOURCES.read_text(encoding="utf-8"))
    first: Any = next((it for it in document.values() if str(like) in it["files"]), {})
    document[new.stem] = {
        "origin": "The prediction log, labelled here",
        "licence": first.get("licence", UNKNOWN),
        "owner": first.get("owner", UNKNOWN),
        "restore": RESTORE,
        "upstream": False,
        "labels": {"table": TABLE.as_posix()},
        "files": {str(new): {"sha256": checksum(content), "rows": rows}},
    }
    return tomlkit.dumps(document)
