"""Merging: rows that are settled become a file of the data, of their kind, beside the others.

It is made anew from the rows and the labels each time, so that the same labels give the same bytes,
and another label gives another version of the data.

Where each label comes from, from whom, and when: of data that came with labels `data/sources.toml`
says so, once for a source: `labels = { annotator = …, time = … }`; of rows that were labelled here
the table of labels, of each.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import tomlkit

from mlops_ladder.data import casting, datafile, validation
from mlops_ladder.data.contract import Contract
from mlops_ladder.data.reading import list_data_files, read_table
from mlops_ladder.data.sources import compute_sha256, read_sources, SOURCES, UNKNOWN
from mlops_ladder.labelling.queue import rows, TABLE
from mlops_ladder.monitoring.archive import logged
from mlops_ladder.settings import Data

MARK = "labelled"  # after `_` it is read after the file that it joins: rows keep their numbers
SAID = ("annotator", "time")
GUIDE = Path("docs/labelling.md")
RESTORE = "ladder label --merge"


def originals(pattern: str) -> list[Path]:
    """The configured files without the one of labelled rows."""
    return [
        path
        for path in list_data_files(pattern)
        if path != datafile.choose_destination(pattern, MARK)[0]
    ]


def largest(name: str, data: Data, contract: Contract) -> int:
    """The largest number in a column of the data, without the rows that were labelled here."""
    found = [read_table(str(path), data, contract)[name] for path in originals(data.path)]
    return int(pd.to_numeric(pd.concat(found), errors="coerce").max())


def labelled(settled: dict[str, str], data: Data, contract: Contract) -> pd.DataFrame:
    """The settled rows with their labels, each column as its kind, in the order of the queue.

    An id, or a group, is the name of the row, or a number that goes on from those that are there.
    Raises ProjectError where a row breaks the contract.
    """
    known = rows()
    names = [name for name in known if name in settled]
    raw = pd.DataFrame([known[name] for name in names], columns=contract.inputs())
    found = casting.validate_and_cast(raw, logged(contract), contract.inputs())
    found[contract.target] = [settled[name] for name in names]
    place = {name: at for at, name in enumerate(known, start=1)}
    for column in contract.names("id", "group"):
        if contract.columns[column].kind in ("number", "integer"):
            last = largest(column, data, contract)
            found[column] = [last + place[name] for name in names]
        else:
            found[column] = names
    wanted = contract.names("feature", "time", "target", "id", "group")
    return casting.validate_and_cast(
        found, logged(contract), wanted, [validation.find_contract_violations]
    )


def merge(settled: dict[str, str], data: Data, contract: Contract) -> Path:
    """An unfinished file of labelled rows beside its place, read back as what they were.

    Raises ProjectError where they are not, and leaves everything as it was.
    """
    new, _ = datafile.choose_destination(data.path, MARK)
    found = labelled(settled, data, contract)
    unfinished = new.with_name(f".{new.name}.part")
    try:
        datafile.write_rows_like(found, originals(data.path)[0], unfinished, data, contract)
        datafile.verify_round_trip(unfinished, found, data, contract)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return unfinished


def lacking(pattern: str) -> list[str]:
    """A line for each source of the configured files that does not say who labelled, and when."""
    sources, found = read_sources(), []
    for path in map(str, list_data_files(pattern)):
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


def declared(new: Path, content: Path, count: int, like: Path) -> str:
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
        "files": {str(new): {"sha256": compute_sha256(content), "rows": count}},
    }
    return tomlkit.dumps(document)
