"""Who was forgotten: a record that names nobody, and what finds them again.

An id is kept as its HMAC-SHA256 under a key of this project that git does not hold.  A plain hash,
salted or not, would give away a customer's number: there are few enough to try them all.
"""

import hmac
import json
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd

from mlops_ladder import ProjectError, sync_folder, write_synced_file
from mlops_ladder.data.casting import broken
from mlops_ladder.data.contract import Breach, Column, Contract
from mlops_ladder.privacy.rules import read_rules

RECORD, KEY = Path("forgotten.jsonl"), Path("forgotten.key")
VARIABLE = "FORGOTTEN_KEY"  # of the environment, where the file is not: in CI
FULL = 30  # digits: longer numbers are no ids, and some would fill the memory
BACK = "hold an id that was forgotten; run `make forget ID=…` again, and ask where it came from"

Entry = dict[str, Any]


def canonical(value: object, column: Column) -> str:
    """An id as text, the same however it was written: without blanks around it, 7.0 as 7."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = normalize("NFC", str(value)).strip()
    if column.kind in ("number", "integer"):
        try:
            number = Decimal(text)
        except InvalidOperation:
            return text
        if number.is_finite() and abs(number.adjusted()) < FULL:
            return f"{number.normalize():f}"
    return text


def entries() -> list[Entry]:
    """The lines of the record.  ProjectError that names one that cannot be read."""
    lines = RECORD.read_text(encoding="utf-8").splitlines() if RECORD.exists() else []
    found = []
    for number, line in enumerate(lines, 1):
        try:
            entry: Entry = json.loads(line)
            found.append(entry | {"ids": dict(entry["ids"])})
        except (ValueError, KeyError, TypeError) as error:
            told = "is no entry; git checkout it, for it says who was forgotten"
            raise ProjectError(f"{RECORD}: line {number} {told}") from error
    return found


def key() -> bytes | None:
    """The key of the record: from the environment, else from its file; None where it is not here.

    Raises ProjectError where it is none.
    """
    text = os.environ.get(VARIABLE) or (KEY.read_text("ascii") if KEY.exists() else "")
    try:
        found = bytes.fromhex(text.strip())
        if text and len(found) != 32:
            raise ValueError("not 32 bytes")
    except ValueError as error:
        told = f"{error}; bring back the one that the record was made with"
        raise ProjectError(f"{KEY}: {told}") from error
    return found or None


def made() -> bytes:
    """The key, made at the first use.  ProjectError where a record was made with another one."""
    if found := key():
        return found
    if RECORD.exists():
        told = f"bring it back, or set {VARIABLE}: with a new one nobody is known again"
        raise ProjectError(f"{KEY}: not here, and {RECORD} was made with it; {told}")
    part = KEY.with_name(f"{os.getpid()}.part{KEY.suffix}")  # .gitignore covers it, as the key
    try:
        write_synced_file(part, secrets.token_hex(32).encode(), 0o600)
        if KEY.exists() and not KEY.read_text("ascii").strip():
            KEY.unlink()  # empty, as a full disk leaves it
        os.link(part, KEY)  # refuses one that was made meanwhile, with which others may be marked
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(KEY)) from error
    finally:
        part.unlink(missing_ok=True)
    sync_folder(KEY.resolve().parent)
    print(f"Made {KEY}.  Keep it where the team keeps its secrets; git does not hold it")
    return bytes.fromhex(KEY.read_text("ascii"))


def mark(secret: bytes, name: str, text: str) -> str:
    """What stands for an id of a column in the record."""
    return hmac.digest(secret, f"{name}\0{text}".encode(), "sha256").hex()


def back(
    frame: pd.DataFrame, columns: Mapping[str, Column], secret: bytes, known: list[Entry]
) -> Iterator[Breach]:
    """A breach for each column that holds an id which was forgotten; no value is shown."""
    for name in [it for it in columns if it in frame.columns]:
        marks = {entry["ids"].get(name) for entry in known} - {None}
        values, column = frame[name].reset_index(drop=True), columns[name]
        words: Iterable[object] = values.dropna().unique() if marks else []
        bad = [it for it in words if mark(secret, name, canonical(it, column)) in marks]
        if bad:
            wrong = broken(values, np.asarray(values.isin(bad)), BACK)
            yield replace(wrong, example="")


def breaches(frame: pd.DataFrame, contract: Contract) -> list[Breach]:
    """What keeps rows from being learned from: banned columns, and ids that were forgotten.

    Without the key of the record nobody can be known again; then that is said.
    """
    found, known = list(read_rules(contract).breaches(contract)), entries()
    secret = key() if known else None
    if known and not secret:
        told = f"neither {KEY} nor {VARIABLE} is here; whether one is back is not known"
        print(f"{RECORD}: {len(known)} were forgotten, and {told}", file=sys.stderr)
    return found + list(back(frame, contract.columns, secret, known) if secret else [])
