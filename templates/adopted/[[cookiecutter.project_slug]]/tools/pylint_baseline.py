# This file comes from a template: formatters and linters of the repository leave it alone.
# fmt: off
# yapf: disable
# ruff: noqa
# flake8: noqa
# pylint: disable=line-too-long
"""What pylint finds may only become less: a hook, and so CI, fails on each message that is new.

tools/pylint_baseline.json says how often pylint found what in which file.  Messages are counted, so
lines may move.  What is fixed lowers the baseline: the file changes, and belongs to the commit.
What a renamed or deleted file was allowed, other files may use up.

A hook gives the files.  By hand: uvx pre-commit run pylint-baseline --all-files
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Dict, List

BASELINE = Path(__file__).with_suffix(".json")
# An environment of its own has not what the code imports; the others depend on which files are given.
UNKNOWN_HERE = "import-error,no-name-in-module,cyclic-import,duplicate-code"
BATCH = 200  # files: a command line has an end
Counts = Dict[str, Dict[str, int]]


def found(files: List[str]) -> List[dict]:
    """Each message of pylint about these files.  Ends with pylint's own words where it cannot run."""
    messages: List[dict] = []
    rules = ["--rcfile=" + str(it) for it in own_rules()]
    for start in range(0, len(files), BATCH):
        command = [sys.executable, "-m", "pylint", "--output-format=json", "--jobs=1", *rules]
        command += ["--disable=" + UNKNOWN_HERE, "--", *files[start : start + BATCH]]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
        if done.returncode >= 32 or not done.stdout.strip():
            sys.exit(done.stdout + done.stderr)
        messages += json.loads(done.stdout)
    return messages


def own_rules() -> List[Path]:
    """The file of rules of a folder in a larger repository; at the top pylint finds it by itself."""
    folder = BASELINE.parents[1]
    if folder.resolve() == Path().resolve():
        return []
    places = [folder / name for name in (".pylintrc", "pylintrc", "pyproject.toml", "setup.cfg")]
    here = [it for it in places if it.exists()]
    return [it for it in here if "pylint" in it.name or "pylint" in it.read_text("utf-8")][:1]


def counted(messages: List[dict]) -> Counts:
    """How often each file has which message."""
    counts: Counts = {}
    for message in messages:
        of_file = counts.setdefault(Path(message["path"]).as_posix(), {})
        of_file[message["symbol"]] = of_file.get(message["symbol"], 0) + 1
    return counts


def known() -> Counts:
    """What was there when the baseline was last lowered; nothing without one."""
    if not BASELINE.exists():
        return {}
    return dict(json.loads(BASELINE.read_text(encoding="utf-8")))


def judged(before: Counts, now: Counts, files: List[str]) -> "tuple[Counts, Counts]":
    """What is new in these files, and the baseline as it is from now on: nowhere higher."""
    gone = [name for name in before if name not in files and not Path(name).exists()]
    spare = sum((Counter(before[name]) for name in gone), Counter())
    new: Counts = {}
    after = {name: of_file for name, of_file in before.items() if name not in files + gone}
    for name in files:
        counts, allowed = Counter(now.get(name, {})), Counter(before.get(name, {}))
        more = counts - allowed
        borrowed = more & spare
        spare -= borrowed
        if more - borrowed:
            new[name] = dict(more - borrowed)
        after[name] = dict(counts & (allowed + borrowed))
    return new, {name: of_file for name, of_file in after.items() if of_file}


def written(counts: Counts) -> str:
    """The text of a baseline: a line a file, so that merges are few."""
    lines = [
        f"  {json.dumps(name, ensure_ascii=False)}: {json.dumps(of_file, sort_keys=True)}"
        for name, of_file in sorted(counts.items())
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n" if lines else "{}\n"


def main() -> None:
    """Judge the files that are given; `--record` first takes all that is found as known."""
    files = sorted(Path(name).as_posix() for name in sys.argv[1:] if name != "--record")
    messages = found(files)
    now, before = counted(messages), known()
    if "--record" in sys.argv:
        before = {**before, **now}
    new, after = judged(before, now, files)
    for message in messages:
        if message["symbol"] in new.get(Path(message["path"]).as_posix(), {}):
            place = f"{message['path']}:{message['line']}:{message['column']}"
            print(f"{place}: {message['message-id']} {message['message']} ({message['symbol']})")
    if new:
        total = sum(sum(of_file.values()) for of_file in new.values())
        sys.exit(f"{total} more than {BASELINE.name} allows, among those above")
    if written(after) != written(known()) or not BASELINE.exists():
        BASELINE.write_text(written(after), encoding="utf-8", newline="\n")
        print(f"{BASELINE.name} is lower now: add it to the commit")


if __name__ == "__main__":
    main()
