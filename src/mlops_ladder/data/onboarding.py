"""Own data: a file that nobody has described becomes a contract and settings to read it by."""

import shutil
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal
from unicodedata import normalize

import pandas as pd
import tomlkit
import typer

from mlops_ladder import plugins, ProjectError, write_synced_file
from mlops_ladder.data import dialect, formats, inference
from mlops_ladder.data.casting import cast_booleans, cast_text
from mlops_ladder.data.contract import Column, CONTRACT, Contract
from mlops_ladder.settings import CONFIG, Data, load_settings, Problem

HEADER = Path(__file__).with_name("contract_header.txt")
MAX_COLUMNS_PRINTED = 50
Decimal = Literal[".", ","] | None


def resolve_target(target: str, names: list[str], why: str = "") -> str:
    """Return the column of this name, or the only one that differs in case, blanks or accents.

    Raises ProjectError if there is none; `why` says what may be the reason.
    """

    def plain(name: str) -> str:
        return " ".join(normalize("NFKC", name).casefold().split())

    alike = [name for name in names if plain(name) == plain(target)]
    if target in names or len(alike) == 1:
        return target if target in names else alike[0]
    near = get_close_matches(target, names, n=3)
    shown = list(dict.fromkeys([*near, *names]))[:20]
    more = f", and {len(names) - 20} more" if len(names) > 20 else ""
    listing = ", ".join(shown) + more
    raise ProjectError(f"TARGET {target!r}: no such column; there are: {listing}{why}")


def format_summary(frame: pd.DataFrame, contract: Contract, remarks: dict[str, str]) -> str:
    """Return a line for each of the first columns: name, kind, role, missing share, values."""
    width = min(40, max(map(len, contract.columns)))
    lines = []
    for name, column in list(contract.columns.items())[:MAX_COLUMNS_PRINTED]:
        lost = f"{frame[name].isna().mean():.1%} missing" if column.nullable else ""
        remark = " ".join(remarks[name].split())
        shown = " ".join(name.split())[:width]
        line = f"  {shown:{width}} {column.kind:9} {column.role:8} {lost:14} {remark[:120]}"
        lines.append(line.rstrip())
    if (more := len(contract.columns) - MAX_COLUMNS_PRINTED) > 0:
        lines.append(f"  ... and {more:,} more columns: see {CONTRACT}")
    return "\n".join(lines)


def format_problem(
    contract: Contract, problem: Problem, answers: pd.Series, hint: str | None
) -> str:
    """Return what will be learned, how many rows lack the target, and how to change that."""
    empty = int(answers.isna().sum())
    rest = f"; {empty:,} rows without one are left out of training" if empty else ""
    text = f"\n{problem.capitalize()} of {contract.target}{rest}."
    if hint or contract.columns[contract.target].kind != "integer" or answers.nunique() < 3:
        return text
    if problem == "regression":
        return f"{text}\nAre its whole numbers classes?  Then add PROBLEM=classification."
    return f"{text}\nAre its whole numbers amounts?  Then add PROBLEM=regression."


def render_config(data: Data, target: str, problem: Problem, classes: int) -> str:
    """Return the text of `config.toml` for these data; comments and other keys stay.

    Raises ProjectError if the changed file would not be valid.
    """
    load_settings(problem=problem, data=data.model_dump())
    config: Any = tomlkit.parse(CONFIG.read_text(encoding="utf-8"))
    about = config.setdefault("about", {})
    fresh = config["data"].get("path") != data.path or config["problem"] != problem
    if fresh or str(about.get("question", "")).startswith("What is "):
        about["question"] = f"What is {target.rstrip('?')}?"
    if fresh:
        about.update({"intended_use": "", "limits": []})
        metric = "roc_auc" if classes == 2 else "balanced_accuracy"
        config["metric"] = metric if problem == "classification" else "mae"
    config["problem"] = problem
    config["data"].pop("thousands", None)
    config["data"].update(data.model_dump(exclude_none=True))
    return tomlkit.dumps(config)


def to_toml(contract: Contract) -> str:
    """Return the text of `contract.toml`."""
    text = tomlkit.document()
    for line in HEADER.read_text(encoding="utf-8").splitlines():
        text.add(tomlkit.comment(line))
    text.add("reviewed", contract.reviewed)
    text.add("columns", contract.model_dump(exclude_defaults=True)["columns"])
    return tomlkit.dumps(text)


def write_files_atomically(texts: dict[Path, str]) -> None:
    """Write these files, all or none; copy each that changes to a free name first.

    Raises ProjectError if a file cannot be written.
    """
    contents = {path: text.encode() for path, text in texts.items()}
    before = {path: path.read_bytes() for path in contents if path.exists()}
    changed = {path: text for path, text in contents.items() if before.get(path) != text}
    parts = {path: path.with_name(f"{path.name}.part") for path in changed}
    olds: dict[Path, Path] = {}
    try:
        for path, text in changed.items():
            write_synced_file(parts[path], text)
        for path in filter(Path.exists, changed):
            olds[path] = backup_file(path)
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        for path, old in olds.items():
            old.replace(path)
        for part in filter(Path.is_file, parts.values()):
            part.unlink()
        name = error.filename or " and ".join(map(str, changed))
        fault = f"{name}: cannot be written: {error.strerror}; nothing is changed"
        raise ProjectError(fault) from error
    for path in texts:
        note = f" (the old one is {olds[path]})" if path in olds else ""
        print(f"Wrote {path}{note}" if path in changed else f"{path} is as it was")


def backup_file(path: Path) -> Path:
    """Copy the file to a free name, and return the copy."""
    names = (Path(f"{path}.old-{number}") for number in count(1))
    return Path(shutil.copy2(path, next(name for name in names if not name.exists())))


def read_described_file(
    pattern: str, column: str, encoding: str | None, decimal: str | None
) -> tuple[Data, formats.Format, pd.DataFrame, str]:
    """Return dialect, format, rows and target.  Raise ProjectError for wrong names."""
    data, kind, raw = dialect.sniff_file(pattern, encoding)
    why, text = "", kind in (formats.CSV, formats.EXCEL)
    if text:
        dialect.check_names(raw, data.path)
        why = dialect.explain_missing_target(raw, column, data.separator)
    target = resolve_target(column, list(raw.columns), why)
    data, frame = dialect.apply_number_format(data, raw, target, decimal)
    if text:
        dialect.check_units(raw, data.path, data)
    return data, kind, frame, target


def count_classes(values: pd.Series, column: Column) -> int:
    """Return the number of different values of the target, as training reads it."""
    return (cast_booleans if column.kind == "boolean" else cast_text)(values, column).nunique()


def describe_data(
    data: Annotated[str, typer.Option(help="file, pattern, table or bucket")],
    target: Annotated[str, typer.Option(help="the column to predict")],
    problem: Annotated[Problem | None, typer.Option(help="if inferred wrong")] = None,
    encoding: Annotated[str | None, typer.Option(help="of a CSV, if found wrong")] = None,
    decimal: Annotated[Decimal, typer.Option(help="mark of decimals, if found wrong")] = None,
) -> None:
    """Infer the contract of a file, write it and what changes in `config.toml`, keep the old."""
    if not (data and target):
        raise ProjectError("DATA and TARGET are needed: make contract DATA=file TARGET=column")
    marks, kind, frame, name = read_described_file(data, target, encoding, decimal)
    contract, task, remarks = inference.infer_contract(frame, marks, name, problem)
    for other, column in contract.columns.items():
        if column.kind in ("text", "category"):
            remarks[other] += dialect.suggest_decimal_mark(frame[other], marks)
    config = render_config(marks, name, task, count_classes(frame[name], contract.columns[name]))
    write_files_atomically({CONFIG: config, CONTRACT: to_toml(contract)})
    for renew in plugins.get_implementations("after_contract_change"):
        write_files_atomically(renew(load_settings(), frame) or {})
    print(f"\n{len(frame):,} rows of {marks.path}, read {dialect.describe_dialect(marks, kind)}")
    print(format_summary(frame, contract, remarks))
    print(format_problem(contract, task, frame[name], problem))
    print(f"Next: read {CONTRACT} and set reviewed = true; then `make train`.")
