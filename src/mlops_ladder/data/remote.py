"""Remote data: tables of databases and objects in buckets, and their snapshots below data/.

Training reads a snapshot, so that a checksum, a version and a rerun are about rows that stay.
"""

import os
import re
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlops_ladder import ProjectError
from mlops_ladder.data.formats import require_module

SNAPSHOTS = Path("data/snapshots")
BUCKETS = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}  # and the packages that read them
REMOTE = re.compile(r"[A-Za-z][\w+.-]*://")
SECRET_NAMES = re.compile(r"PASS|PWD|SECRET|TOKEN|KEY|CREDENTIAL|CONNECTION_STRING", re.I)
SECRET_OPTION = re.compile(r"[?&]\w*(?:passw\w*|pwd|secret|token)\w*=", re.I)
WAY_OUT = "set PGPASSWORD, or set MY_URL to the whole URL and write sql://MY_URL#table"
BUCKET_WAY_OUT = "set the variables of its store, such as AWS_ACCESS_KEY_ID"


class NoSource(ProjectError):
    """No file or object matches."""


def is_remote(source: str) -> bool:
    """Return whether this text names a table or a bucket."""
    return REMOTE.match(source) is not None


def is_bucket(source: str) -> bool:
    """Return whether this text names objects in a bucket."""
    return source.partition("://")[0] in BUCKETS


def refuse_credentials(source: str) -> None:
    """Raise ProjectError, without the credential, if a table or a bucket is named with one."""
    address = source.partition("#")[0]
    scheme, _, rest = address.partition("://")
    if ":" in rest.rpartition("@")[0] or SECRET_OPTION.search(address):
        way_out = BUCKET_WAY_OUT if scheme in BUCKETS else WAY_OUT
        raise ProjectError(f"{scheme}://***: holds a password or key; take it out and {way_out}")


def mask_secrets(text: object, *secrets: str) -> str:
    """Return a message in one line without these secrets, and without those of the environment."""
    line = " ".join(str(text).split())
    known = [value for name, value in os.environ.items() if SECRET_NAMES.search(name)]
    for secret in [*secrets, *(value for value in known if len(value) > 3)]:
        line = line.replace(secret, "***")
    return re.sub(r"://[^\s/]*:\S*@", "://***@", line)


def load_module(source: str) -> Any:
    """Return the module that reads and writes a table or a bucket.

    Raises ProjectError for a credential in its name, or a package that is not installed.
    """
    refuse_credentials(source)
    if package := BUCKETS.get(source.partition("://")[0]):
        require_module(package, package)
        return require_module("mlops_ladder.data.buckets", "fsspec")
    return require_module("mlops_ladder.data.tables", "sqlalchemy<2.1")


def get_snapshot_folder(source: str) -> Path:
    """Return the folder of the snapshot of a table or a bucket."""
    *_, last = re.split("[#/]", source)
    name = last.partition(".")[0] if is_bucket(source) else last.rpartition(".")[2]
    name = re.sub(r"\W+", "-", name).strip("-")
    return SNAPSHOTS / f"{name[:30] or 'rows'}-{sha256(source.encode()).hexdigest()[:8]}"


def list_snapshot(source: str) -> list[Path]:
    """Return the files of the snapshot, sorted; make one first if there is none."""
    refuse_credentials(source)
    paths = sorted(get_snapshot_folder(source).glob("[!.]*"))
    return [path for path in paths if path.suffix != ".dvc"] or refresh_snapshot(source)


def refresh_snapshot(source: str) -> list[Path]:
    """Read a table or a bucket anew into its snapshot, and return the files.

    A file on this machine has no snapshot.  The old snapshot stays if the new one is not complete.
    """
    if not is_remote(source):
        return []
    module, folder = load_module(source), get_snapshot_folder(source)
    unfinished = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        module.SAVE(source, unfinished)
        new = {path.name: path for path in unfinished.iterdir()}
        folder.mkdir(exist_ok=True)
        for path in folder.glob("[!.]*"):
            if path.suffix != ".dvc" and path.name not in new:
                path.unlink()
        return sorted(path.replace(folder / name) for name, path in new.items())
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
