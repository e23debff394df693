"""Timing by turns: A B A B in one run, so that a noisy machine is noisy for every party alike."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

UNCOUNTED = {".git", ".venv", "__pycache__"}


@dataclass(frozen=True)
class Party:
    """A shell command in a folder of its own, which `prepare` makes, untimed, before each round."""

    name: str
    command: str
    prepare: Callable[[Path], object] = Path.mkdir


@dataclass
class Timed:
    """What a party took in each round, in seconds; the files that it left, and the packages."""

    name: str
    seconds: list[float] = field(default_factory=list)
    files: int = 0
    packages: int = 0

    def ratio(self, peer: "Timed") -> float:
        """The median, over the rounds, of this party's seconds to the peer's in the same round."""
        return median(a / b for a, b in zip(self.seconds, peer.seconds, strict=True))


def wall_seconds(party: Party, folder: Path, environment: Mapping[str, str]) -> float:
    """What the whole process takes on the clock; RuntimeError with its words where it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        ["sh", "-c", party.command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{party.name}: {party.command}\n{done.stdout}{done.stderr}")
    return seconds


def files(folder: Path) -> Iterator[Path]:
    """Every file in the folder but those of git, of environments and of Python's own cache."""
    for path in folder.rglob("*"):
        if path.is_file() and not UNCOUNTED & set(path.relative_to(folder).parts):
            yield path


def by_turns(
    parties: Sequence[Party], rounds: int, scratch: Path, environment: Mapping[str, str]
) -> list[Timed]:
    """Each party once a round, in the order given; one round more goes before, uncounted.

    That first round fills the caches: those of packages, of compiled Python and of the disk.
    """
    timed = [Timed(party.name) for party in parties]
    for turn in range(rounds + 1):
        for party, result in zip(parties, timed, strict=True):
            folder = scratch / "turn"
            party.prepare(folder)
            seconds = wall_seconds(party, folder, environment)
            result.seconds += [seconds] * (turn > 0)
            result.files = len(list(files(folder)))
            result.packages = len(list(folder.rglob(".venv/lib/*/site-packages/*.dist-info")))
            shutil.rmtree(folder)
    return timed


def table(timed: Sequence[Timed]) -> str:
    """A Markdown table, aligned; the ratio is that of the first party to each of the others."""
    head = ["party", "files", "packages", "median s", "min–max s", "ours / peer"]
    rows = [head, *(row(party, timed[0].ratio(party)) for party in timed)]
    rows[1][-1] = ""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [cells(values, widths) for values in rows]
    rule = [
        "-" * width if place == 0 else "-" * (width - 1) + ":" for place, width in enumerate(widths)
    ]
    return "\n".join([lines[0], cells(rule, widths), *lines[1:]])


def row(party: Timed, ratio: float) -> list[str]:
    """The cells of one party; no file or package is an empty cell."""
    spread = f"{min(party.seconds):.2f}–{max(party.seconds):.2f}"
    packages = str(party.packages or "")
    return [
        party.name,
        str(party.files or ""),
        packages,
        f"{median(party.seconds):.2f}",
        spread,
        f"{ratio:.2f}",
    ]


def cells(values: Sequence[str], widths: Sequence[int]) -> str:
    """One line of the table: the first column to the left, numbers to the right."""
    first = values[0].ljust(widths[0])
    rest = [value.rjust(width) for value, width in zip(values[1:], widths[1:], strict=True)]
    return f"| {' | '.join([first, *rest])} |"
