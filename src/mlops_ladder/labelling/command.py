"""The command `label`: fill the queue, import labels, merge settled rows into the data, check.

The file of settled rows is written anew each time.  The same labels give the same bytes, and
another label gives another version of the data.  data/sources.toml says who labelled data that
came with labels, and when: `labels = { annotator = …, time = … }`.  For rows that were labelled
here the table of labels says it.
"""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import tomlkit
import typer

from mlops_ladder import ProjectError, raise_for_faults, write_file_atomically
from mlops_ladder.data import casting, datafile
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.data.sources import compute_sha256, read_sources, SOURCES, UNKNOWN
from mlops_ladder.labelling import labels, queue
from mlops_ladder.labelling.labels import Agreement, TABLE
from mlops_ladder.labelling.queue import DISPUTED, QUEUE
from mlops_ladder.monitoring.archive import Archive, complete_rows, to_logged_contract
from mlops_ladder.problem import read_data
from mlops_ladder.settings import CONFIG, load_settings, Settings
from mlops_ladder.templates import render_template

RELABEL = typer.Option("--relabel", help="other labels than before are meant")
CHECK = typer.Option("--check", help="has every label what it needs?")
MARK = "labelled"  # after `_` it is read after the file that it joins: rows keep their numbers
REQUIRED = ("annotator", "time")
GUIDE, REPORT = Path("docs/labelling.md"), Path(__file__).with_name("agreement.txt.j2")
ABOUT: dict[str, Any] = {
    "origin": "The prediction log, labelled here",
    "restore": "ladder label --merge",
    "labels": {"table": TABLE.as_posix()},
}


def read_agreement(settings: Settings, contract: Contract) -> Agreement:
    """Return what the labels come to, without those of rows that were forgotten."""
    spread, rows, target = None, queue.read_rows(), contract.target
    if settings.problem == "regression":
        truth = casting.validate_and_cast(read_data(settings), contract, [target])
        spread = float(truth[target].std())
    counted = [label for label in labels.read_labels() if rows.get(label.row, True)]
    return labels.judge_labels(counted, settings.labels, spread)


def list_waiting(settings: Settings, agreement: Agreement) -> list[str]:
    """Return the queued rows that too few people have labelled."""
    votes, needed = labels.collect_votes(labels.read_labels()), settings.labels.annotators
    rows = [row for row, inputs in queue.read_rows().items() if inputs]
    open_rows = [row for row in rows if row not in agreement.settled]
    return [row for row in open_rows if len(votes.get(row, {})) < needed]


def fill_queue(settings: Settings, contract: Contract) -> None:
    """Fill the queue up with logged rows, and write the sheet to label in."""
    names = list_waiting(settings, read_agreement(settings, contract))
    lines: list[dict[str, Any]] = []
    if (count := settings.labels.rows - len(names)) > 0:
        with Archive(settings.serving.prediction_log_url) as archive:
            lines = queue.draw_rows(archive, contract, settings.labels, count, settings.seed)
    if not names and not lines:
        none = f"no row of the last {settings.labels.hours:g} hours that was not queued before"
        raise ProjectError(f"the prediction log: {none}; run `make serve` and ask it")
    queue.write_lines([*queue.read_lines(), *lines])
    names += [line["row"] for line in lines]
    queue.write_sheets(QUEUE, names, settings.seed)
    reasons = Counter(line["why"] for line in lines)
    new = ", ".join(f"{count} {name}" for name, count in sorted(reasons.items())) or "none is new"
    allowed = labels.build_answers(settings, contract).allowed
    print(f"{QUEUE}: {len(names)} rows ({new}), each for {settings.labels.annotators} people")
    print(f"{QUEUE.with_suffix('.json')}: the same rows as tasks for Label Studio")
    print(f"A label is {allowed}; {GUIDE} says when")
    print("Next: each labels a copy, alone; then: make label FILE=copy.csv BY=name")


def report_agreement(settings: Settings, agreement: Agreement) -> None:
    """Print how far people agree and the next command; write the sheet of rows in dispute."""
    disputed, waiting = agreement.disputed, list_waiting(settings, agreement)
    for path in (DISPUTED, DISPUTED.with_suffix(".json")):
        path.unlink(missing_ok=True)
    if disputed:
        texts = {row: " | ".join(sorted(votes.values())) for row, votes in disputed.items()}
        queue.write_sheets(DISPUTED, sorted(disputed), settings.seed, texts)
    facts = {"agreement": agreement, "settings": settings, "waiting": waiting}
    print(render_template(REPORT, **facts, guide=GUIDE, sheet=DISPUTED), end="")


def list_originals(settings: Settings) -> list[Path]:
    """Return the configured files without the one of labelled rows."""
    merged, _ = datafile.choose_destination(settings.data.path, MARK)
    return [path for path in list_data_files(settings.data.path) if path != merged]


def write_settled_rows(settings: Settings, contract: Contract) -> tuple[Path, Agreement]:
    """Write an unfinished file of all settled rows with their labels, in the order of the queue.

    An id or a group is the name of the row, or a number after the largest one.  Raises ProjectError
    if no row is settled, or if rows break the contract or are not read back as they were.
    """
    agreement, data = read_agreement(settings, contract), settings.data
    if not agreement.settled:
        raise ProjectError(f"{TABLE}: no row is settled yet; `make label` fills the queue")
    rows, inputs, originals = queue.read_rows(), contract.inputs(), list_originals(settings)
    pairs = [(name, at) for at, name in enumerate(rows, start=1) if name in agreement.settled]
    raw = pd.DataFrame([rows[name] for name, _ in pairs], columns=inputs)
    frame = casting.validate_and_cast(raw, to_logged_contract(contract), inputs)
    frame[contract.target] = [agreement.settled[name] for name, _ in pairs]
    frame = complete_rows(frame, pairs, originals, data, contract)
    merged, _ = datafile.choose_destination(data.path, MARK)
    unfinished = merged.with_name(f".{merged.name}.part")
    datafile.write_checked(frame, originals[0], unfinished, data, contract)
    return unfinished, agreement


def merge_labels(settings: Settings, contract: Contract) -> None:
    """Write the file of settled rows, declare it, and have `config.toml` name it too.

    If something is wrong, nothing is changed.
    """
    new, wide = datafile.choose_destination(settings.data.path, MARK)
    if tomlkit.parse(CONFIG.read_text("utf-8")).unwrap()["data"]["path"] != settings.data.path:
        other = f"the environment says {settings.data.path!r}"
        raise ProjectError(f"data.path: {other}; say it in {CONFIG}, which names the data")
    unfinished, agreement = write_settled_rows(settings, contract)
    is_same = new.exists() and compute_sha256(new) == compute_sha256(unfinished)
    document, like = tomlkit.parse(SOURCES.read_text("utf-8")), str(list_originals(settings)[0])
    original: Any = next((entry for entry in document.values() if like in entry["files"]), {})
    source = datafile.describe_source(original, **ABOUT)
    count, disputed = len(agreement.settled), len(agreement.disputed)
    source["files"][str(new)] = {"sha256": compute_sha256(unfinished), "rows": count}
    document[new.stem] = source
    unfinished.replace(new)
    write_file_atomically(SOURCES, tomlkit.dumps(document))
    datafile.set_data_path(wide)
    print(f"{new}: {count} labelled rows{' (as it was)' if is_same else ''}; {wide} names it")
    if disputed:
        print(f"{disputed} rows in dispute are not among them; see {DISPUTED}")
    print("Next: make datasheet data-version, commit: that is the new version; then make pipeline")


def expire_rows(settings: Settings, before: datetime) -> None:
    """Delete the inputs of queued rows from before that time, save of settled ones; a hook."""
    if old := queue.find_rows_before(before):
        queue.forget_rows(old - read_agreement(settings, read_contract()).settled.keys())


def find_unlabelled_sources(pattern: str) -> list[str]:
    """Return a line for each source of the data that does not say who labelled it, and when."""
    sources, faults = read_sources(), []
    for path in map(str, list_data_files(pattern)):
        names = [name for name, source in sources.items() if path in source["files"]]
        if not names:
            faults.append(f"{path}: in no source; run: make data DECLARE=yes")
        for name in names:
            about = sources[name].get("labels", {})
            unknown = [key for key in REQUIRED if str(about.get(key, "")).strip() in ("", UNKNOWN)]
            if unknown and about.get("table") != TABLE.as_posix():
                example = 'labels = { annotator = "who", time = "when" }'
                reason = f"does not say its labels' {', '.join(unknown)}: {example}"
                faults.append(f"{SOURCES}: [{name}] {reason}")
    return list(dict.fromkeys(faults))


def check_labels(settings: Settings, contract: Contract) -> None:
    """Check that every label has a source, an annotator and a time, and report the agreement.

    Raises ProjectError that lists what is missing, and labelled rows that differ from the table.
    """
    faults = find_unlabelled_sources(settings.data.path)
    merged, _ = datafile.choose_destination(settings.data.path, MARK)
    if labels.read_labels():
        classes = labels.list_classes(settings, contract)
        text = GUIDE.read_text(encoding="utf-8") if GUIDE.exists() else ""
        missing = [name for name in classes if f"`{name}`" not in text]
        faults += [f"{GUIDE}: says nothing of {name!r}" for name in missing]
    if merged.exists():
        unfinished, _ = write_settled_rows(settings, contract)
        if compute_sha256(unfinished) != compute_sha256(merged):
            faults.append(f"{merged}: not what {TABLE} says; run: make label MERGE=yes")
        unfinished.unlink()
    raise_for_faults("incomplete labels", faults)
    report_agreement(settings, read_agreement(settings, contract))
    print("Every label to learn from has a source, an annotator and a time")


def main(  # pylint: disable=too-many-arguments,too-many-positional-arguments  # options of a command
    take_in: Annotated[str, typer.Option("--take", help="a filled sheet to take in")] = "",
    by: Annotated[str, typer.Option(help="who has filled it in")] = "",
    relabel: Annotated[bool, RELABEL] = False,
    decide: Annotated[bool, typer.Option("--decide", help="it settles rows in dispute")] = False,
    merge: Annotated[bool, typer.Option("--merge", help="put settled rows among the data")] = False,
    only_check: Annotated[bool, CHECK] = False,
) -> None:
    """Fill the queue, or import labels, or merge settled rows, or check."""
    settings, contract = load_settings(), read_contract()
    if take_in:
        source = labels.DECIDED if decide else labels.QUEUED
        answers = labels.build_answers(settings, contract)
        new = labels.import_labels(Path(take_in), by, source, answers, relabel)
        people = ", ".join(sorted({label.annotator for label in new})) or "nobody"
        print(f"{take_in}: {len(new)} new labels by {people}")
        report_agreement(settings, read_agreement(settings, contract))
    elif merge:
        merge_labels(settings, contract)
    elif only_check:
        check_labels(settings, contract)
    else:
        fill_queue(settings, contract)
