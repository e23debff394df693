"""The record of erased ids, `forgotten.jsonl`: it names nobody, and finds an id that is back.

An id is kept as its HMAC-SHA256 under a key of this project that git does not hold.  A plain hash,
salted or not, would reveal a customer's number: there are few enough numbers to try them all.
"""

import hmac
import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pandas as pd

from mlops_ladder import ProjectError, read_text_if_exists
from mlops_ladder import sync_folder, write_synced_file
from mlops_ladder.data.casting import make_violation
from mlops_ladder.data.contract import Column, Contract, Violation

RECORD, KEY = Path("forgotten.jsonl"), Path("forgotten.key")
KEY_VARIABLE = "FORGOTTEN_KEY"  # holds the key if there is no file, as in CI
MAX_ID_DIGITS = 30  # a longer number is no id, and some would fill the memory
RETURNED_RULE = (
    "hold an id that was forgotten; run `make forget ID=…` again, and ask where it came from"
)

Entry = dict[str, Any]


def normalize_id(value: object, column: Column) -> str:
    """Return an id as text, the same however it was written: without blanks, 7.0 as 7."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = normalize("NFC", str(value)).strip()
    if column.kind in ("number", "integer"):
        try:
            number = Decimal(text)
        except InvalidOperation:
            return text
        if number.is_finite() and abs(number.adjusted()) < MAX_ID_DIGITS:
            return f"{number.normalize():f}"
    return text


def read_erasures() -> list[Entry]:
    """Return the entries of the record.  Raise ProjectError that names an unreadable line."""
    entries = []
    for number, line in enumerate(read_text_if_exists(RECORD).splitlines(), 1):
        try:
            entry: Entry = json.loads(line)
            entries.append(entry | {"ids": dict(entry["ids"])})
        except (ValueError, KeyError, TypeError) as error:
            reason = "is no entry; git checkout it, for it says who was forgotten"
            raise ProjectError(f"{RECORD}: line {number} {reason}") from error
    return entries


def read_key() -> bytes | None:
    """Return the key of the record from the environment or its file, or None without a key.

    Raise ProjectError if the text is no key.
    """
    text = os.environ.get(KEY_VARIABLE) or read_text_if_exists(KEY)
    try:
        key = bytes.fromhex(text.strip())
        if text and len(key) != 32:
            raise ValueError("not 32 bytes")
    except ValueError as error:
        way_out = "bring back the one that the record was made with"
        raise ProjectError(f"{KEY}: {error}; {way_out}") from error
    return key or None


def ensure_key() -> bytes:
    """Return the key, and create it at the first use.

    Raise ProjectError if the key of an existing record is not here.
    """
    if key := read_key():
        return key
    if RECORD.exists():
        way_out = f"bring it back, or set {KEY_VARIABLE}: with a new one nobody is known again"
        raise ProjectError(f"{KEY}: not here, and {RECORD} was made with it; {way_out}")
    secret, part = secrets.token_bytes(32), KEY.with_name(f"part{KEY.suffix}")  # git ignores both
    try:
        write_synced_file(part, secret.hex().encode(), 0o600)
        part.replace(KEY)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(KEY)) from error
    sync_folder(KEY.resolve().parent)
    print(f"Made {KEY}.  Keep it where the team keeps its secrets; git does not hold it")
    return secret


def make_mark(secret: bytes, name: str, text: str) -> str:
    """Return the mark of an id of a column in the record."""
    return hmac.digest(secret, f"{name}\0{text}".encode(), "sha256").hex()


def make_marks(text: str, columns: Mapping[str, Column]) -> dict[str, str]:
    """Return the marks of an id in the record, by column; create the key at the first use."""
    secret = ensure_key()
    return {name: make_mark(secret, name, normalize_id(text, columns[name])) for name in columns}


def find_erased_ids(frame: pd.DataFrame, contract: Contract) -> list[Violation]:
    """Return a violation for each column that holds an erased id; it shows no value.

    Without the key of the record no id can be recognised; then print that.
    """
    entries, violations = read_erasures(), []
    secret = (read_key() if entries else None) or b""
    if entries and not secret:
        reason = f"neither {KEY} nor {KEY_VARIABLE} is here; whether one is back is not known"
        print(f"{RECORD}: {len(entries)} were forgotten, and {reason}", file=sys.stderr)
    for name in [name for name in contract.columns if secret and name in frame.columns]:
        marks = {entry["ids"].get(name) for entry in entries}
        values, column = frame[name].reset_index(drop=True), contract.columns[name]
        ids: list[object] = list(values.dropna().unique()) if marks != {None} else []
        hits = [hit for hit in ids if make_mark(secret, name, normalize_id(hit, column)) in marks]
        if hits:
            mask = values.isin(hits).to_numpy()
            violations.append(replace(make_violation(values, mask, RETURNED_RULE), example=""))
    return violations
