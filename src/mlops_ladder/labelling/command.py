"""The command `label`: fill the queue, take labels in, merge what is settled, check."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import tomlkit
import typer

from mlops_ladder import ProjectError, raise_for_faults, write_file_atomically
from mlops_ladder.data import casting, datafile
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.data.sources import compute_sha256, SOURCES
from mlops_ladder.labelling import agreement, merging, queue
from mlops_ladder.labelling.label_import import answers, classes, person, take
from mlops_ladder.monitoring.archive import Archive
from mlops_ladder.problem import read_data
from mlops_ladder.settings import CONFIG, load_settings, Settings

RELABEL = typer.Option("--relabel", help="other labels than before are meant")
CHECK = typer.Option("--check", help="has every label what it needs?")


def judged(settings: Settings, contract: Contract) -> agreement.Judged:
    """What the labels come to; those of rows that were forgotten do not count."""
    spread, known = None, queue.rows()
    if settings.problem == "regression":
        truth = casting.validate_and_cast(read_data(settings), contract, [contract.target])[
            contract.target
        ]
        spread = float(truth.std())
    counted = [it for it in queue.labels() if known.get(it.row, True)]
    return agreement.judge(counted, settings.labels, spread)


def waiting(settings: Settings, found: agreement.Judged) -> list[str]:
    """The queued rows of which too few people have said something."""
    said, least = queue.votes(queue.labels()), settings.labels.annotators
    return [
        row
        for row, inputs in queue.rows().items()
        if inputs and len(said.get(row, {})) < least and row not in found.settled
    ]


def fill(settings: Settings, contract: Contract) -> None:
    """Fill the queue up with logged rows, and write the sheet to label in."""
    names = waiting(settings, judged(settings, contract))
    drawn: list[dict[str, Any]] = []
    if (count := settings.labels.rows - len(names)) > 0:
        with Archive(settings.serving.prediction_log_url) as archive:
            drawn = queue.draw(archive, contract, settings.labels, count, settings.seed)
    if not names and not drawn:
        none = f"no row of the last {settings.labels.hours:g} hours that was not queued before"
        raise ProjectError(f"the prediction log: {none}; run `make serve` and ask it")
    queue.enqueue(drawn)
    names += [it["row"] for it in drawn]
    queue.sheet(queue.QUEUE, names, settings.seed)
    why = Counter(it["why"] for it in drawn)
    new = ", ".join(f"{count} {name}" for name, count in sorted(why.items())) or "none is new"
    print(f"{queue.QUEUE}: {len(names)} rows ({new}), each for {settings.labels.annotators} people")
    print(f"A label is {answers(settings, contract).allowed}; {merging.GUIDE} says when")
    print("Next: each labels a copy, alone; then: make label FILE=copy.csv BY=name")


def told(settings: Settings, found: agreement.Judged) -> None:
    """Say how far people agree, write the sheet of rows in dispute, and name the next command."""
    left, said = waiting(settings, found), queue.votes(queue.labels())
    print(f"{len(found.settled)} settled, {len(found.disputed)} in dispute, {len(left)} wait")
    measure = "Krippendorff's alpha" if settings.problem == "regression" else "Cohen's kappa"
    if found.shared:
        print(f"Agreement beyond chance on {found.shared} rows ({measure}): {found.agreement:.2f}")
    if found.shared and not found.trusted(settings.labels):
        print(f"Below {settings.labels.agreement:g}: only rows that somebody decides are merged;")
        print(f"make {merging.GUIDE} clearer, then label again with RELABEL=yes")
    queue.DISPUTED.unlink(missing_ok=True)
    if found.disputed:
        both = {row: " | ".join(sorted(said[row].values())) for row in found.disputed}
        queue.sheet(queue.DISPUTED, sorted(found.disputed), settings.seed, both)
        print(f"Next: settle them: make label FILE={queue.DISPUTED} BY=name DECIDE=yes")
    elif found.settled:
        print("Next: make label MERGE=yes")


def ready(settings: Settings, contract: Contract) -> tuple[Path, agreement.Judged]:
    """The unfinished file of all rows that are settled.  ProjectError where there are none."""
    found = judged(settings, contract)
    if not found.settled:
        raise ProjectError(f"{queue.TABLE}: no row is settled yet; `make label` fills the queue")
    return merging.merge(found.settled, settings.data, contract), found


def merged(settings: Settings, contract: Contract) -> None:
    """Make the file of settled rows, declare it, and have `config.toml` name it too.

    All of it, or nothing where something is wrong.
    """
    new, wide = datafile.choose_destination(settings.data.path, merging.MARK)
    config: Any = tomlkit.parse(CONFIG.read_text(encoding="utf-8"))
    if config["data"]["path"] != settings.data.path:
        other = f"the environment says {settings.data.path!r}"
        raise ProjectError(f"data.path: {other}; say it in {CONFIG}, which names the data")
    unfinished, found = ready(settings, contract)
    before = compute_sha256(new) if new.exists() else ""
    like = merging.originals(settings.data.path)[0]
    sources = merging.declared(new, unfinished, len(found.settled), like)
    unfinished.replace(new)
    write_file_atomically(SOURCES, sources)
    if wide != settings.data.path:
        config["data"]["path"] = wide
        write_file_atomically(CONFIG, tomlkit.dumps(config))
    same = " (as it was)" if compute_sha256(new) == before else ""
    print(f"{new}: {len(found.settled)} labelled rows{same}; {wide} names it")
    if found.disputed:
        print(f"{len(found.disputed)} rows in dispute are not among them; see {queue.DISPUTED}")
    print("Next: make datasheet data-version, commit: that is the new version; then make pipeline")


def expire(settings: Settings, before: datetime) -> None:
    """Have the inputs of queued rows from before that time gone, but those with a settled label."""
    if old := queue.older(before):
        queue.forget(old - judged(settings, read_contract()).settled.keys())


def check(settings: Settings, contract: Contract) -> None:
    """Say of how many rows the label has source, annotator and time.

    Raises ProjectError that lists what has not, and labelled rows that are not as in the table.
    """
    found = merging.lacking(settings.data.path)
    new, _ = datafile.choose_destination(settings.data.path, merging.MARK)
    if queue.labels():
        found += merging.unexplained(classes(settings, contract))
    if new.exists():
        unfinished, _ = ready(settings, contract)
        if compute_sha256(unfinished) != compute_sha256(new):
            found.append(f"{new}: not what {queue.TABLE} says; run: make label MERGE=yes")
        unfinished.unlink()
    raise_for_faults("labels of which not all is known", found)
    told(settings, judged(settings, contract))
    print("Every label to learn from has a source, an annotator and a time")


def main(  # pylint: disable=too-many-arguments,too-many-positional-arguments  # options
    take_in: Annotated[str, typer.Option("--take", help="a filled sheet to take in")] = "",
    by: Annotated[str, typer.Option(help="who has filled it in")] = "",
    relabel: Annotated[bool, RELABEL] = False,
    decide: Annotated[bool, typer.Option("--decide", help="it settles rows in dispute")] = False,
    merge: Annotated[bool, typer.Option("--merge", help="put settled rows among the data")] = False,
    only_check: Annotated[bool, CHECK] = False,
) -> None:
    """Fill the queue, or take a filled sheet in, or merge what is settled, or check."""
    settings, contract = load_settings(), read_contract()
    if take_in:
        source, who = queue.DECIDED if decide else queue.QUEUED, person(by)
        new = take(Path(take_in), who, source, answers(settings, contract), relabel)
        print(f"{take_in}: {len(new)} new labels by {who}")
        told(settings, judged(settings, contract))
    elif merge:
        merged(settings, contract)
    elif only_check:
        check(settings, contract)
    else:
        fill(settings, contract)
