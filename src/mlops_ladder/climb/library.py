"""The library of this project: whether it is the wheel in the lock, and can be rebuilt.

`--edit` unpacks it into `vendor/mlops_ladder`, and the environment then runs that source.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

from mlops_ladder.climb.command import EDITED, fetch_templates, read_record, Refused, run_or_refuse
from mlops_ladder.errors import ProjectError

LOCK, PYPROJECT = Path("uv.lock"), Path("pyproject.toml")
UV = os.environ.get("UV", "uv")
SOURCE = re.compile(r'(?m)^mlops-ladder = \{ path = "wheels/[^}]*\}$')
HERE = Path(__file__).resolve().parents[1]


def find_wheel() -> Path:
    """Return the wheel of the library.  Raise ProjectError unless there is exactly one."""
    wheels = list(Path("wheels").glob("mlops_ladder-*.whl"))
    if len(wheels) != 1:
        raise ProjectError(f"wheels/: {len(wheels)} wheels of mlops_ladder; leave the right one")
    return wheels[0]


def find_differences(wheel: Path) -> Iterator[str]:
    """Yield a line for each difference between lock, wheel and installed library."""
    if LOCK.exists() and sha256(wheel.read_bytes()).hexdigest() not in LOCK.read_text("utf-8"):
        yield f"{LOCK}: names another sha256 than that of {wheel}; restore it, or run: uv lock"
    with ZipFile(wheel) as archive:
        for name in archive.namelist() if HERE.is_dir() else ():
            path = HERE.parent / name
            if re.match("mlops_ladder/.*[^/]$", name):
                if not path.is_file() or path.read_bytes() != archive.read(name):
                    yield f"{path}: is not as in {wheel}; remove .venv, and run: make setup"


def compare_with_template(wheel: Path, folder: Path) -> str:
    """Return how the wheel compares with one that is built anew from the template's source."""
    try:
        record = read_record()
        template, *_ = fetch_templates(record, "", folder)
        run_or_refuse(
            UV, "build", "--quiet", "--wheel", "--out-dir", str(folder), str(template / "src")
        )
        same = Path(folder, wheel.name).read_bytes() == wheel.read_bytes()
    except (OSError, Refused) as reason:
        return f"not compared: {str(reason).splitlines()[-1]}"
    place = f"{record['template']} {record['commit'][:12]}".strip()
    return f"{place} builds {'the same' if same else 'OTHER'} bytes"


def edit_library(wheel: Path) -> None:
    """Unpack the source, and let uv use it.  Raise ProjectError if that is not possible."""
    text = PYPROJECT.read_text(encoding="utf-8")
    if EDITED.exists() or not SOURCE.search(text):
        raise ProjectError(f"{EDITED} is there, or {PYPROJECT} names no library in wheels/")
    with ZipFile(wheel) as archive:
        archive.extractall(EDITED, [name for name in archive.namelist() if "dist-info" not in name])
    shutil.move(EDITED / "mlops_ladder/library.toml", EDITED / "pyproject.toml")
    (EDITED / "README.md").write_text(f"The library of this project, from {wheel}: edit it here.\n")
    source = f'mlops-ladder = {{ path = "{EDITED.as_posix()}", editable = true }}'
    PYPROJECT.write_text(SOURCE.sub(source, text), encoding="utf-8", newline="\n")
    if LOCK.exists():
        run_or_refuse(UV, "lock", "--quiet")
    print(f"{EDITED}: edit it here, and commit it.  Next: make setup.  An image takes only a wheel")


def show_library(wheel: Path) -> None:
    """Print the state of the library.  Exit with 1 if something differs."""
    differences = [] if EDITED.exists() else list(find_differences(wheel))
    as_is = f"edited in {EDITED}" if EDITED.exists() else "as locked and installed"
    print(f"library   {wheel}", *(differences or [f"here      {as_is}"]), sep="\n")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        comparison = compare_with_template(wheel, Path(folder))
    print(f"template  {comparison}")
    sys.exit(bool(differences) or "OTHER" in comparison)


def main(arguments: list[str]) -> None:
    """Print the state of the library, or unpack it for editing."""
    (edit_library if arguments == ["--edit"] else show_library)(find_wheel())
