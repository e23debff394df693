"""Renew what is generated from capabilities.yml and the checks: `make docs`.

The table of levels in README.md, docs/levels.md, and docs/maturity.md with the fault matrix.
"""

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from rendering import render

from mlops_ladder.maturity import CHECKS, grading
from mlops_ladder.maturity.capabilities import owner_of

TEMPLATE = Path(__file__).resolve().parents[1]
README, LEVELS, MATURITY, PROOFS = (
    TEMPLATE / name
    for name in ("README.md", "docs/levels.md", "docs/maturity.md", "src/mlops_ladder/proofs.toml")
)
TARGETS = TEMPLATE / "src/mlops_ladder/maturity/targets.toml"
FRAGMENTS = TEMPLATE / "{{cookiecutter.project_slug}}/make"
PHONY = re.compile(r"^\.PHONY: (.+)$", re.MULTILINE)
TEST = re.compile(r"^def (test_\w+)\(", re.MULTILINE)
BEGIN, END = "<!-- levels: begin, made by `make docs` -->", "<!-- levels: end -->"
MADE = "<!-- Made by `make docs` from capabilities.yml; do not edit it by hand. -->"
UNREAD = ("data/", ".cruft.json")
KINDS = {"sign": "of the files", "record": "of records", "trial": "tried", "fault": "planted"}
HEAD = """# Levels

For everyone who chooses a level, or wonders whether to climb.
"""
AFTER = """
Files are those that a person reads; packages are those that the lock of scikit-learn names, with all that they
need and the tools of developers.

A level is a preset over *capabilities*: `capabilities.yml` lists every one with its level, its files and
the condition under which it applies. `make maturity` in a project says which of them are there, and
`make maturity-deep` whether they work: see [maturity](maturity.md).
"""
OTHERS = """
## Beside other scales

Microsoft's [maturity model](https://learn.microsoft.com/azure/architecture/ai-ml/guide/mlops-maturity-model)
has five levels, Google's
[three](https://cloud.google.com/architecture/mlops-continuous-delivery-and-automation-pipelines-in-machine-learning).
Both rate automation; ours also asks for what the automation rests on: data, documents, decisions.
"""
EXPLAINED = """# Maturity, and what proves it

For everyone who reads what `make maturity` says, or wonders whether to believe it.

Maturity is mostly assessed by questionnaires, which flatter. `make maturity` looks: at files, at what MLflow,
git and the log of predictions have recorded, and never at a status that the repository wrote about itself.
`make maturity-deep` does it all in a copy of the repository, and plants faults there that the project has to
catch. Two answers, never mixed: *equipped*, the machinery is here, and *practised*, the team uses it on its own
data, repeatedly (3 times, on 2 days) and recently (within 90 days). A level is the minimum of all that belongs
to it. A fresh project of level N is equipped N and has practised 0.

| grade | what it means |
|---|---|
| absent | nothing of it is here |
| declared | there are files, and they do not hold what they promise |
| present | all that can be seen without trying is as it should be |
| exercised | tried in a copy: it works, and every planted fault was caught |
| practised | used by the team, repeatedly and recently |
| unknown | cannot be seen from here: no token, no network, not made by us |
| waived | two people answer for its absence, with a reason, until a date |

```text
make maturity                                   # under a minute, offline; exit code 0: the claim is upheld
make maturity ARGS=--html                       # reports/maturity.html; or --json, --markdown, --badge; --next, --explain ID
make maturity ARGS="--json --out -"             # to standard output
make maturity-deep                              # minutes; ARGS="--only registry.gate", ARGS="--seed 7"
uvx --from path/to/mlops-ladder mlops-ladder maturity path/to/a/repository/of/others
```

Exit codes of the tool: 0 the claim of `[tool.mlops-ladder]` in `pyproject.toml` is upheld or nothing is claimed, 1
the claim is not upheld, 2 that cannot be known, 3 the repository cannot be judged. From level 2 on CI fails on
1, and puts the report on the pull or merge request.

**Looking executes nothing.** The tool only reads a repository: its files, its git history and the databases of
MLflow and of the log of predictions. Git does not see the repository's own settings, so no hook, filter or
program named there runs. `--deep` does execute code of the repository: it says so and asks first. Where nobody
can answer, it refuses; `--yes` agrees. A project's own `make maturity` and `make maturity-deep` need no
agreement. They also ask the server that `MLFLOW_TRACKING_URI` names, by the project's own Python.

**A token goes to a host that you name.** With `GITHUB_TOKEN` or `GITLAB_TOKEN` the tool asks github.com or
gitlab.com whether CI passed and who approved. It asks another host only if `GH_HOST`, `GITHUB_SERVER_URL`,
`GITLAB_HOST`, `CI_SERVER_HOST` or `CI_SERVER_URL` names it; `origin` alone is not enough.

**In a folder of a larger repository** the tool reads workflows, merge request forms and `CODEOWNERS` at the top
of that repository, as a forge does. A workflow there counts if it names the folder.

A file that cannot be read is named in a note, and the rest is judged. A waiver:

```toml
[[tool.mlops-ladder.waivers]]
id = "cd.deploy"
reason = "Another team deploys the image"
by = "ada@example.com"
approved_by = "grace@example.com"
until = 2027-06-30
```
"""
TESTED = """\
Each capability has tests in the template, which run before a release: those under `tests/library` try the
machinery in place, the others generate projects and use them. In brackets is how many tests a file holds.
A project has tests of its own, of its data, model and service.
"""
MATRIX = """\
Each line is a test of the template: the fault is planted in a project, and exactly these capabilities fall.
Beside them, for each capability: its files taken away make it absent and no other; its files emptied, or
filled with nonsense or with another text, leave it declared. Of what a deep run finds, the test asks that the
capability falls, and that by files and records no other does: all trials of all others are not repeated.
"""


def ready(manifest: dict[str, Any], level: int) -> list[str]:
    """The titles of the capabilities that a level adds, without those that are only planned."""
    entries = manifest["capabilities"].values()
    return [it["title"] for it in entries if it["level"] == level and not it.get("planned")]


def python_lines(project: Path) -> int:
    """How many lines of Python a project has, its tests among them."""
    paths = [*project.glob("src/**/*.py"), *project.glob("tests/**/*.py")]
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def count_python(manifest: dict[str, Any]) -> dict[int, int]:
    """The lines of Python at each level, counted in a project of it."""
    counts = {}
    for level in manifest["levels"]:
        with tempfile.TemporaryDirectory() as folder:
            counts[level] = python_lines(render(folder, maturity_level=str(level)))
    return counts


def table(manifest: dict[str, Any], python: dict[int, int]) -> str:
    """The levels: what you have, how much of it is yours, and how many capabilities each adds."""
    lines = ["| level | you have | files | lines of Python | adds |", "|---|---|--:|--:|---|"]
    for level, words in manifest["levels"].items():
        title = f"{level} {words['name']}"
        link = f"docs/levels.md#{title.lower().replace(' ', '-')}"
        adds = f"[{len(ready(manifest, level))} capabilities]({link})"
        cells = (words["have"], str(len(read(level))), f"{python[level]:,}", adds)
        lines.append(f"| **{level}** {words['name']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def renewed(readme: str, manifest: dict[str, Any], python: dict[int, int]) -> str:
    """The README with the table that the manifest gives.  ValueError where a marker is missing."""
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table(manifest, python)}\n{END}{after}"


def read(level: int) -> list[str]:
    """The files of a level that a person reads, from its golden tree."""
    tree = (TEMPLATE / f"tests/trees/level-{level}.txt").read_text(encoding="utf-8").split("\n")
    return [name for name in tree if name and not name.startswith(UNREAD)]


def size(level: int) -> str:
    """How many files a person reads at a level, and how many packages its lock names."""
    lock = TEMPLATE / f"templates/locks/scikit-learn-{max(level, 1)}.lock"
    packages = len(re.findall(r"^\[\[package\]\]", lock.read_text(encoding="utf-8"), re.M)) - 1
    return f"{len(read(level))} files" + (f", {packages} packages" if level else ", no lock")


def levels(manifest: dict[str, Any]) -> str:
    """docs/levels.md: what each level gives and costs, when to climb, and other scales."""
    rows = ["| level | you have | it costs | climb from it when | do not climb when |"]
    scale, added = ["| ours | Microsoft | Google |", "|---|---|---|"], ["## What each level adds"]
    for level, it in manifest["levels"].items():
        cost = f"{it['costs']} ({size(level) if ready(manifest, level) else 'not built yet'})"
        told = [f"**{level}** {it['name']}", it["have"], cost, it["climb"], it["stay"]]
        rows.append(f"| {' | '.join(told)} |")
        titles = [f"- {title}" for title in ready(manifest, level)]
        added += ["", f"### {level} {it['name']}", "", *titles]
        scale.append(f"| **{level}** {it['name']} | {it['microsoft']} | {it['google']} |")
    rows.insert(1, "|---|---|---|---|---|")
    return "\n".join([HEAD, MADE, "", *rows, AFTER, *added, OTHERS, *scale, ""])


def test_files(entry: dict[str, Any]) -> list[Path]:
    """The files of tests that prove a capability."""
    places = [TEMPLATE / "tests" / name for name in entry["tests"]]
    return [
        path
        for place in places
        for path in (sorted(place.rglob("test_*.py")) if place.is_dir() else [place])
    ]


def test_names(path: Path) -> list[str]:
    """The tests of a file."""
    return TEST.findall(path.read_text(encoding="utf-8"))


def tested(manifest: dict[str, Any]) -> list[str]:
    """A line for each capability: the files of tests that prove it, with how many they hold."""
    lines = ["| capability | tests |", "|---|---|"]
    for name, entry in manifest["capabilities"].items():
        told = [
            f"`{path.relative_to(TEMPLATE)}` ({len(test_names(path))})"
            for path in test_files(entry)
        ]
        lines.append(f"| {name} | {', '.join(told)} |")
    return lines


def library_proofs(manifest: dict[str, Any]) -> str:
    """proofs.toml of the library: the names of its tests, by the capability that they prove."""
    lines = ["# Made by `make docs`: the tests of the library, by the capability that they prove."]
    for name, entry in manifest["capabilities"].items():
        paths = [path for path in test_files(entry) if "library" in path.parts]
        names = sorted({test for path in paths for test in test_names(path)})
        if names:
            lines += [f'"{name}" = [', *(f'    "{test}",' for test in names), "]"]
    return "\n".join(lines) + "\n"


def make_targets(manifest: dict[str, Any]) -> str:
    """targets.toml of the library: the targets of the Makefile, by capability."""
    lines = ["# Made by `make docs`: the targets of the Makefile, by capability."]
    targets: dict[str, list[str]] = {}
    for path in sorted(FRAGMENTS.rglob("*.mk")):
        owner = owner_of(path.relative_to(FRAGMENTS.parent).as_posix(), manifest["capabilities"])
        for names in PHONY.findall(path.read_text(encoding="utf-8")):
            targets[owner] = sorted({*targets.get(owner, []), *names.split()})
    for name in manifest["capabilities"]:
        if name in targets:
            quoted = ", ".join(f'"{target}"' for target in targets[name])
            lines.append(f'"{name}" = [{quoted}]')
    return "\n".join(lines) + "\n"


def proofs(manifest: dict[str, Any]) -> list[str]:
    """A line for each check: the capability, what is promised, and how it is found out."""
    grading.load()
    lines = ["| capability | how | what has to hold |", "|---|---|---|"]
    kinds = list(KINDS)
    # Checks are known in the order of imports, which differs from process to process.
    checks = sorted(CHECKS, key=lambda check: (kinds.index(check.kind), check.promise))
    for name in manifest["capabilities"]:
        for check in (it for it in checks if it.capability == name):
            lines.append(f"| {name} | {KINDS[check.kind]} | {check.promise} |")
    return lines


def matrix() -> list[str]:
    """A line for each fault of tests/faults.py, and the capabilities that it lowers."""
    sys.path.insert(0, str(TEMPLATE / "tests"))
    # pylint: disable-next=import-error,import-outside-toplevel  # found once the path above is known
    from faults import MACHINES, RECORDS  # type: ignore[import-not-found]  # as above

    lines = ["| planted | found by | lowers |", "|---|---|---|"]
    for found, faults in (("`make maturity`", RECORDS), ("`make maturity-deep`", MACHINES)):
        for fault in faults:
            lines.append(f"| {fault.name} | {found} | {', '.join(fault.lowers.split())} |")
    return lines


def maturity(manifest: dict[str, Any]) -> str:
    """docs/maturity.md: what is checked, and the matrix of faults and capabilities."""
    return "\n".join(
        [
            EXPLAINED,
            MADE,
            "\n## What is checked\n",
            *proofs(manifest),
            "\n## What is tested\n",
            TESTED,
            *tested(manifest),
            "\n## The fault matrix\n",
            MATRIX,
            *matrix(),
            "",
        ]
    )


if __name__ == "__main__":
    loaded = yaml.safe_load((TEMPLATE / "capabilities.yml").read_text(encoding="utf-8"))
    text = renewed(README.read_text(encoding="utf-8"), loaded, count_python(loaded))
    README.write_text(text, encoding="utf-8")
    LEVELS.write_text(levels(loaded), encoding="utf-8")
    MATURITY.write_text(maturity(loaded), encoding="utf-8")
    PROOFS.write_text(library_proofs(loaded), encoding="utf-8")
    TARGETS.write_text(make_targets(loaded), encoding="utf-8")
