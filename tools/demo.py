"""`make demo`: from nothing to a trained model, and the next three commands."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).resolve().parents[1]
FOLDER = TEMPLATE / "demo"
LEVEL = "1"
GIT = ["git", "-c", "user.name=Demo", "-c", "user.email=demo@example.com"]


def shown(*command: str, at: Path) -> None:
    """Run a command so that a person sees what it prints; end where it fails."""
    print(f"\n$ {' '.join(command)}", flush=True)
    if status := subprocess.run(command, cwd=at, check=False).returncode:
        sys.exit(status)


def edited(project: Path) -> bool:
    """Has somebody changed the demo since it was made?"""
    changes = ["git", "-C", str(project), "status", "--porcelain"]
    commits = ["git", "-C", str(project), "rev-list", "--count", "HEAD"]
    status = subprocess.run(changes, capture_output=True, text=True, check=False)
    count = subprocess.run(commits, capture_output=True, text=True, check=False)
    return bool(status.stdout.strip()) or count.stdout.strip() != "1"


def main() -> None:
    """Generate, commit, train; a demo that somebody has changed is left alone."""
    started = time.perf_counter()
    project = FOLDER / "flight-delays"
    if project.exists() and edited(project):
        sys.exit(f"{project} has changes of yours; move it away, then run make demo again")
    if project.exists():
        shutil.rmtree(project)
    print(f"Generating a level-{LEVEL} project in {project} ...", flush=True)
    answers = {"maturity_level": LEVEL}
    cookiecutter(
        str(TEMPLATE),
        no_input=True,
        default_config=True,
        extra_context=answers,
        output_dir=str(FOLDER),
    )
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "Start"]):
        subprocess.run([*GIT, *arguments], cwd=project, check=True)
    shown("make", "--no-print-directory", "train", at=project)
    print(f"\nFrom nothing to a trained model in {time.perf_counter() - started:.0f} s.  Next:")
    print(f"  cd {project.relative_to(Path.cwd())}")
    print("  make ui                                        # the run, its scores and plots")
    print("  make contract DATA=your.csv TARGET=its-column  # your own data; then make train")


if __name__ == "__main__":
    main()
