"""The one project in which the tests of the library run: level 4, with the files of every answer."""

import atexit
import shutil
import sys
import tempfile
from pathlib import Path

from conftest import commit, copy_template, render

PACKAGE = "flight_delays"
EVERYTHING = {"deploy": "kubernetes", "cloud": "aws", "affects_people": "yes"}


def generate_project(folder: Path) -> Path:
    """Generate a project of the default answers; add the files that other answers would bring."""
    template = copy_template(folder / "template" / "mlops-ladder")
    project = render(template, folder / "project", maturity_level="4")
    other = render(template, folder / "other", maturity_level="4", **EVERYTHING)
    for path in other.rglob("*"):
        place = project / path.relative_to(other)
        if path.is_file() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
    commit(project, "Start")
    return project


FOLDER = Path(tempfile.mkdtemp(prefix="library-")).resolve()
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
ROOT = generate_project(FOLDER)
sys.path.insert(0, str(ROOT / "src"))
