"""Backups: runs, registry and artifacts, of this folder and of the stack, and how they come back.

The folder keeps mlflow.db and what lies beside it; the stack is dumped where deploy/stack/.env
says that there is one.   ladder backup make | restore FOLDER [--overwrite]
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

from mlops_ladder.delivery.stack import compose, ENV, Refused, settings

BACKUPS, MANIFEST = Path("backups"), "manifest.json"
DATABASE, FILES, ARTIFACTS = Path("mlflow.db"), "files.tar", "artifacts.tar"
BESIDE = ("mlruns", "mlartifacts", "models", "promotions.jsonl")
LIVE = Path("models/serving")
LOCK = Path("models/registry.lock")
ALONE = ("run", "--rm", "--no-deps", "-T")  # also where the service does not run, or fails to
TABLES = "select count(*) from pg_tables where schemaname = 'public'"
NAMES = """select datname from pg_database join pg_roles on rolname = datname
where datname <> 'postgres'"""  # a database that could not be brought back has no owner of its name
NOW = ("models/serving/keys.json", "models/serving/off")  # a key that was taken away stays so


@contextmanager
def undecided() -> Iterator[None]:
    """Meanwhile the gate decides nothing: database and log are of the same moment."""
    try:
        import fcntl  # pylint: disable=import-outside-toplevel  # Windows has none
    except ImportError:
        yield
        return
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def stamp() -> str:
    """The time, as a name."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def make() -> None:
    """Keep all that is here.  A backup is there as a whole, or not at all."""
    if not DATABASE.exists() and not ENV.exists():
        raise Refused(f"nothing to keep: no {DATABASE} here, and no {ENV}, so no stack")
    place = BACKUPS / stamp()
    BACKUPS.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix=".", dir=BACKUPS) as name:
        part = Path(name) / place.name
        part.mkdir(mode=0o700)
        files = keep(part)
        said = {"made": place.name, "folder": str(Path.cwd()), "files": files}
        (part / MANIFEST).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
        part.rename(place)
    size = sum(path.stat().st_size for path in place.iterdir()) / 1e6
    print(f"{place}: {', '.join(files)}, {size:.1f} MB.  Back: make recover FROM={place}")


def keep(part: Path) -> dict[str, str]:
    """Put all that is to be kept into a folder; the sha256 of each file, by its name."""
    if DATABASE.exists():
        with undecided():
            keep_folder(part)
    if ENV.exists():
        keep_stack(part)
    return {path.name: digest(path) for path in sorted(part.iterdir())}


def keep_folder(part: Path) -> None:
    """The database as of one moment, then the files: it names none that is not there."""
    with closing(sqlite3.connect(DATABASE)) as here:
        with closing(sqlite3.connect(part / DATABASE)) as copy:
            here.backup(copy)
    with tarfile.open(part / FILES, "w") as archive:
        for name in filter(lambda name: Path(name).exists(), BESIDE):
            archive.add(name)


def keep_stack(part: Path) -> None:
    """A dump of each database, then the artifacts.  Raises Refused where the stack does not run."""
    if "database" not in running():
        raise Refused(f"{ENV} says that there is a stack, and it does not run; run: make stack")
    for name in ask("postgres", NAMES).split():
        with (part / f"{name}.dump").open("wb") as file:
            in_database("pg_dump", "--format=custom", name, stdout=file)
    if bucket := settings().get("ARTIFACTS"):
        print(f"The artifacts are in {bucket}: its versions keep them, not this backup")
    elif "tracking" in compose("config", "--services", stdout=PIPE).stdout.decode().split():
        with (part / ARTIFACTS).open("wb") as file:
            pack = ("tracking", "tar", "-cf-", "-C/artifacts", ".")
            compose(*ALONE, *pack, stdout=file, stderr=PIPE)


def running() -> list[str]:
    """The services of the stack that run."""
    done = compose("ps", "--services", "--status", "running", stdout=PIPE, stderr=PIPE)
    return done.stdout.decode().split()


def in_database(*command: str, **options: IO[bytes] | int) -> str:
    """What a program of PostgreSQL prints, run beside the server as its owner."""
    program, *rest = command
    said = {"stdout": PIPE, "stderr": PIPE} | options
    owner = ("--username", "postgres")
    done = compose("exec", "-T", "database", program, *owner, *rest, **said)
    return (done.stdout or b"").decode()


def ask(database: str, words: str) -> str:
    """What the server answers, one value a line."""
    return in_database("psql", "-qtAX", "--set=ON_ERROR_STOP=1", database, "-c", words)


def sound(place: Path) -> dict[str, str]:
    """What the manifest of a backup says.  Raises Refused that lists every damaged file."""
    try:
        said = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        known = ", ".join(map(str, sorted(BACKUPS.glob("2*")))) or "none; run: make backup"
        raise Refused(f"FROM={place}: no backup ({error}); there are: {known}") from error
    damaged = [
        f"{place / name}: not here, or not as it was kept; its sha256 was {was}"
        for name, was in said["files"].items()
        if not (place / name).is_file() or digest(place / name) != was
    ]
    if damaged:
        raise Refused("\n  ".join(["the backup is damaged, and nothing is changed", *damaged]))
    return {"folder": said["folder"], **said["files"]}


def restore(place: Path, overwrite: bool) -> None:
    """Bring back what a backup holds.

    Raises Refused, and changes nothing, where it is damaged or would take the place of something.
    """
    files = sound(place)
    dumps = [Path(name).stem for name in files if name.endswith(".dump")]
    full = occupied(files, dumps)
    if full and not overwrite:
        way = "; to put the backup in its place: OVERWRITE=yes"
        raise Refused("\n  ".join(["not empty, and nothing is changed" + way, *full]))
    if dumps:
        restore_stack(place, dumps, ARTIFACTS in files)
    if DATABASE.name in files:
        restore_folder(place)
    print(f"{place} is back.  Next: {'make stack' if dumps else 'make registry'}")


def occupied(files: dict[str, str], dumps: list[str]) -> list[str]:
    """What a backup would take the place of."""
    full = []
    if DATABASE.name in files:
        if files["folder"] != str(Path.cwd()):
            raise Refused(f"{DATABASE} names files in {files['folder']}: bring it back there")
        full += [str(path) for path in (DATABASE, Path("promotions.jsonl")) if path.exists()]
    if dumps:
        compose("up", "--detach", "--wait", "database", stderr=PIPE)
        here = {*ask("postgres", NAMES).split()} & {*dumps}
        full += [f"database {name}" for name in sorted(here) if ask(name, TABLES).strip() != "0"]
    return full


def restore_stack(place: Path, dumps: list[str], artifacts: bool) -> None:
    """Artifacts first, which only adds files; then each database, whole or not at all."""
    others = [name for name in running() if name in ("tracking", "prefect", "worker")]
    if others:
        compose("stop", *others, stderr=PIPE)
    if artifacts:
        with (place / ARTIFACTS).open("rb") as file:
            bring = ("tracking", "tar", "-xf-", "-C/artifacts")
            compose(*ALONE, *bring, stdin=file, stdout=PIPE, stderr=PIPE)
    for name in dumps:
        fresh = f"{name}_restored"
        ask("postgres", f"drop database if exists {fresh}")
        ask("postgres", f"create database {fresh} owner {name}")
        with (place / f"{name}.dump").open("rb") as file:
            into = (f"--dbname={fresh}", f"--role={name}", "--no-owner")
            in_database("pg_restore", "--single-transaction", *into, stdin=file)
        ask("postgres", f"revoke all on database {fresh} from public")
        ask("postgres", f"drop database if exists {name} with (force)")
        ask("postgres", f"alter database {fresh} rename to {name}")


def parts(path: Path) -> list[Path]:
    """What is to be set aside of a file or folder that may be there: it, or what is in it."""
    if path in (LIVE, *LIVE.parents):
        return [part for inner in sorted(path.glob("*")) for part in parts(inner)]
    return [path] if path.exists() and str(path) not in NOW else []


def restore_folder(place: Path) -> None:
    """Database and files; what is there already is set aside.

    The folder of the champion stays, with NOW in it: containers that run have mounted that one.
    """
    old = stamp()
    for path in [DATABASE, *map(Path, (*BESIDE, f"{DATABASE}-wal", f"{DATABASE}-shm"))]:
        for part in parts(path):
            aside = Path(f"{path.name}.old-{old}", *part.parts[1:])
            aside.parent.mkdir(parents=True, exist_ok=True)
            part.rename(aside)
    with tarfile.open(place / FILES) as archive:
        wanted = [it for it in archive if it.name not in NOW or not Path(it.name).exists()]
        archive.extractall(".", wanted, filter="data")
    unfinished = DATABASE.with_suffix(".part")
    unfinished.write_bytes((place / DATABASE).read_bytes())
    unfinished.rename(DATABASE)


def main(arguments: list[str]) -> None:
    """Make a backup, or restore one.  SystemExit with the reason if it is refused."""
    if arguments[:1] != ["make"] and (len(arguments) < 2 or arguments[0] != "restore"):
        sys.exit("usage: ladder backup make | restore FOLDER [--overwrite]")
    try:
        if arguments[0] == "make":
            make()
        else:
            restore(Path(arguments[1]), "--overwrite" in arguments[2:])
    except Refused as refused:
        sys.exit(f"Refused: {refused}")
