"""Back up runs, registry and artifacts, of this folder and of the stack, and restore them.

The folder keeps mlflow.db and the files beside it.  The stack is dumped if there is a
deploy/stack/.env.   ladder backup make | restore FOLDER [--overwrite]
"""

import json
import sqlite3
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, UTC
from hashlib import file_digest
from pathlib import Path
from subprocess import PIPE
from tempfile import TemporaryDirectory
from typing import IO

from mlops_ladder.delivery.compose import Refused
from mlops_ladder.delivery.stack import ENV, read_variables, run_compose
from mlops_ladder.files import write_file_atomically

BACKUPS, MANIFEST = Path("backups"), "manifest.json"
DATABASE, FILES, ARTIFACTS = Path("mlflow.db"), "files.tar", "artifacts.tar"
BESIDE = ("mlruns", "mlartifacts", "models", "promotions.jsonl")
LIVE = Path("models/serving")
LOCK = Path("models/registry.lock")
TRACKING = ("run", "--rm", "--no-deps", "-T", "tracking")  # works also if the service is down
TABLES = "select count(*) from pg_tables where schemaname = 'public'"
NAMES = """select datname from pg_database join pg_roles on rolname = datname
where datname <> 'postgres'"""  # a database that could not be restored has no owner of its name
# Never restored: revoked stays revoked.
CURRENT = ("models/serving/keys.json", "models/serving/off")


@contextmanager
def lock_registry_file() -> Iterator[None]:
    """Keep the gate from deciding, so that database and log are of the same moment."""
    try:
        import fcntl  # pylint: disable=import-outside-toplevel  # Windows has none
    except ImportError:
        yield
        return
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def hash_file(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def name_by_time() -> str:
    """Return the current time as a file name."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def make_backup() -> None:
    """Write a backup of all that is here, whole or not at all."""
    if not DATABASE.exists() and not ENV.exists():
        raise Refused(f"nothing to keep: no {DATABASE} here, and no {ENV}, so no stack")
    target = BACKUPS / name_by_time()
    BACKUPS.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix=".", dir=BACKUPS) as name:
        part = Path(name) / target.name
        part.mkdir(mode=0o700)
        if DATABASE.exists():
            with lock_registry_file():
                back_up_folder(part)
        if ENV.exists():
            back_up_stack(part)
        files = {path.name: hash_file(path) for path in sorted(part.iterdir())}
        manifest = {"made": target.name, "folder": str(Path.cwd()), "files": files}
        (part / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        part.rename(target)
    size = sum(path.stat().st_size for path in target.iterdir()) / 1e6
    print(f"{target}: {', '.join(files)}, {size:.1f} MB.  Back: make recover FROM={target}")


def back_up_folder(part: Path) -> None:
    """Copy the database at one moment, then the files, so that it names no missing file."""
    with closing(sqlite3.connect(DATABASE)) as source:
        with closing(sqlite3.connect(part / DATABASE)) as copy:
            source.backup(copy)
    with tarfile.open(part / FILES, "w") as archive:
        for path in filter(Path.exists, map(Path, BESIDE)):
            archive.add(path)


def back_up_stack(part: Path) -> None:
    """Dump each database, then pack the artifacts.  Raise Refused if the stack does not run."""
    if "database" not in list_running_services():
        raise Refused(f"{ENV} says that there is a stack, and it does not run; run: make stack")
    for name in query("postgres", NAMES).split():
        with (part / f"{name}.dump").open("wb") as file:
            run_in_database("pg_dump", "--format=custom", name, stdout=file)
    services = run_compose("config", "--services", stdout=PIPE).stdout.decode().split()
    if bucket := read_variables().get("ARTIFACTS"):
        print(f"The artifacts are in {bucket}: its versions keep them, not this backup")
    elif "tracking" in services:
        with (part / ARTIFACTS).open("wb") as file:
            pack = ("tar", "-cf-", "-C/artifacts", ".")
            run_compose(*TRACKING, *pack, stdout=file, stderr=PIPE)


def list_running_services() -> list[str]:
    """Return the services of the stack that run."""
    done = run_compose("ps", "--services", "--status", "running", stdout=PIPE, stderr=PIPE)
    return done.stdout.decode().split()


def run_in_database(program: str, *arguments: str, **options: IO[bytes] | int) -> str:
    """Return the output of a PostgreSQL program, run beside the server as its owner."""
    command = ("exec", "-T", "database", program, "--username", "postgres", *arguments)
    done = run_compose(*command, **({"stdout": PIPE, "stderr": PIPE} | options))
    return (done.stdout or b"").decode()


def query(database: str, sql: str) -> str:
    """Return the answer of the server, one value a line."""
    return run_in_database("psql", "-qtAX", "--set=ON_ERROR_STOP=1", database, "-c", sql)


def read_manifest(backup: Path) -> dict[str, str]:
    """Return the folder of a backup, and its files.  Raise Refused that lists damaged files."""
    try:
        manifest = json.loads((backup / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        folders = ", ".join(map(str, sorted(BACKUPS.glob("2*")))) or "none; run: make backup"
        raise Refused(f"FROM={backup}: no backup ({error}); there are: {folders}") from error
    damaged = [
        f"{backup / name}: not here, or not as it was kept; its sha256 was {sha256}"
        for name, sha256 in manifest["files"].items()
        if not (backup / name).is_file() or hash_file(backup / name) != sha256
    ]
    if damaged:
        raise Refused("\n  ".join(["the backup is damaged, and nothing is changed", *damaged]))
    return {"folder": manifest["folder"], **manifest["files"]}


def restore_backup(backup: Path, overwrite: bool) -> None:
    """Restore a backup.

    Raises Refused, and changes nothing, if it is damaged, or would replace something without
    `overwrite`.
    """
    files = read_manifest(backup)
    dumps = [Path(name).stem for name in files if name.endswith(".dump")]
    occupied = find_occupied(files, dumps)
    if occupied and not overwrite:
        way_out = "to put the backup in its place: OVERWRITE=yes"
        raise Refused("\n  ".join([f"not empty, and nothing is changed; {way_out}", *occupied]))
    if dumps:
        restore_stack(backup, dumps, ARTIFACTS in files)
    if DATABASE.name in files:
        restore_folder(backup)
    print(f"{backup} is back.  Next: {'make stack' if dumps else 'make registry'}")


def find_occupied(files: dict[str, str], dumps: list[str]) -> list[str]:
    """Return the files and databases that a backup would replace."""
    occupied = []
    if DATABASE.name in files:
        if files["folder"] != str(Path.cwd()):
            raise Refused(f"{DATABASE} names files in {files['folder']}: bring it back there")
        occupied += [str(path) for path in (DATABASE, Path("promotions.jsonl")) if path.exists()]
    if dumps:
        run_compose("up", "--detach", "--wait", "database", stderr=PIPE)
        names = sorted({*query("postgres", NAMES).split()} & {*dumps})
        occupied += [f"database {name}" for name in names if query(name, TABLES).strip() != "0"]
    return occupied


def restore_stack(backup: Path, dumps: list[str], has_artifacts: bool) -> None:
    """Restore the artifacts, which only adds files; then each database, whole or not at all."""
    clients = {"tracking", "prefect", "worker"} & {*list_running_services()}
    if clients:
        run_compose("stop", *sorted(clients), stderr=PIPE)
    if has_artifacts:
        with (backup / ARTIFACTS).open("rb") as file:
            unpack = ("tar", "-xf-", "-C/artifacts")
            run_compose(*TRACKING, *unpack, stdin=file, stdout=PIPE, stderr=PIPE)
    for name in dumps:
        fresh = f"{name}_restored"
        query("postgres", f"drop database if exists {fresh}")
        query("postgres", f"create database {fresh} owner {name}")
        with (backup / f"{name}.dump").open("rb") as file:
            options = (f"--dbname={fresh}", f"--role={name}", "--no-owner")
            run_in_database("pg_restore", "--single-transaction", *options, stdin=file)
        query("postgres", f"revoke all on database {fresh} from public")
        query("postgres", f"drop database if exists {name} with (force)")
        query("postgres", f"alter database {fresh} rename to {name}")


def list_replaced(path: Path) -> list[Path]:
    """Return the parts of a file or folder that a backup replaces.

    The champion's folder stays, with the files of CURRENT: running containers have mounted it.
    """
    if path in (LIVE, *LIVE.parents):
        return [part for inner in sorted(path.glob("*")) for part in list_replaced(inner)]
    return [path] if path.exists() and str(path) not in CURRENT else []


def restore_folder(backup: Path) -> None:
    """Restore database and files; the present ones are renamed."""
    old = name_by_time()
    for path in [DATABASE, *map(Path, (*BESIDE, f"{DATABASE}-wal", f"{DATABASE}-shm"))]:
        for part in list_replaced(path):
            aside = Path(f"{path.name}.old-{old}", *part.parts[1:])
            aside.parent.mkdir(parents=True, exist_ok=True)
            part.rename(aside)
    with tarfile.open(backup / FILES) as archive:
        kept = {name for name in CURRENT if Path(name).exists()}
        members = [member for member in archive if member.name not in kept]
        archive.extractall(".", members, filter="data")
    write_file_atomically(DATABASE, (backup / DATABASE).read_bytes())


def main(arguments: list[str]) -> None:
    """Make a backup, or restore one.  End the program with the reason if that is refused."""
    if arguments[:1] != ["make"] and (len(arguments) < 2 or arguments[0] != "restore"):
        sys.exit("usage: ladder backup make | restore FOLDER [--overwrite]")
    try:
        if arguments[0] == "make":
            make_backup()
        else:
            restore_backup(Path(arguments[1]), "--overwrite" in arguments[2:])
    except Refused as refused:
        sys.exit(f"Refused: {refused}")
