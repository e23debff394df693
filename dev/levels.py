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

from mlops_ladder.maturity import CHECKS, signs
from mlops_ladder.maturity.capabilities import find_owner

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
KINDS = {
    "sign": "files",
    "record": "records",
    "trial": "a run in a copy",
    "fault": "a planted fault",
}
HEAD = """# Levels

For everyone who chooses a level, or considers a climb.
"""
AFTER = """
Files are the files that a person reads. Packages are those of the lock for scikit-learn, with transitive dependencies and
development tools.

A level is a preset of *capabilities*. `capabilities.yml` lists each one with its level, its files and its condition.
In a project, `make maturity` reports which capabilities are there, and `make maturity-deep` tests whether they work: see
[maturity](maturity.md).

The answer `serve` says how predictions are used. `serve = batch` is for whole files at a time: no service, no image of it,
and nothing else that only a service needs, at each level. The pipeline, the gate, rollback, `make predict`, monitoring and
governance stay. `serve = api` and `serve = both` have the service; `make predict` is there at every level. Another answer
later is a [climb](climbing.md).
"""
OTHERS = """
## Beside other scales

Microsoft's [maturity model](https://learn.microsoft.com/azure/architecture/ai-ml/guide/mlops-maturity-model)
has five levels, Google's
[three](https://cloud.google.com/architecture/mlops-continuous-delivery-and-automation-pipelines-in-machine-learning).
Both rate automation. Ours also rates the basis of automation: data, documents and decisions.
"""
EXPLAINED = """# Maturity, and what proves it

For everyone who reads the report of `make maturity`, or doubts it.

Most maturity assessments are questionnaires, and questionnaires flatter. `make maturity` reads evidence: files, git
history, and the records of MLflow and the prediction log. It never reads a status that the repository declares about
itself. `make maturity-deep` runs each capability in a copy of the repository, and plants faults there that the project
must catch.

There are two answers. *Equipped* means that the machinery is there. *Practised* means that the team uses it on its own
data, repeatedly (3 times, on 2 days) and recently (within 90 days). A level is reached if all its capabilities are. A fresh
project of level N is equipped N and practised 0.

| grade | what it means |
|---|---|
| absent | no file of it is there |
| declared | files are there, but their content is not what they promise |
| present | every check that runs nothing passes |
| exercised | it worked in a copy, and every planted fault was caught |
| practised | used by the team, repeatedly and recently |
| unknown | it cannot be checked here: no token, no network, or not made by this template |
| waived | two people accept its absence, with a reason, until a date |

```text
make maturity                                   # under a minute, offline; exit code 0: the claim is upheld
make maturity ARGS=--html                       # reports/maturity.html; or --json, --markdown, --badge; --next, --explain ID
make maturity ARGS="--json --out -"             # to standard output
make maturity-deep                              # minutes; ARGS="--only registry.gate", ARGS="--seed 7"
uvx --from path/to/mlops-ladder mlops-ladder maturity path/to/a/repository/of/others
```

The level that a project claims stands in `[tool.mlops-ladder]` of `pyproject.toml`. Exit codes: 0 the claim holds or there
is none, 1 the claim does not hold, 2 the claim cannot be checked, 3 the repository cannot be assessed. From level 2 on, CI
fails on 1 and puts the report on the pull or merge request.

**Looking executes nothing.** The tool only reads a repository: its files, its git history and the databases of
MLflow and of the prediction log. Git does not read the repository's own settings, so no hook, filter or
program named there runs. `--deep` executes code of the repository, so it asks first. Without a terminal it refuses unless
`--yes` is given. A project's own `make maturity` and `make maturity-deep` do not ask. They also query the server that
`MLFLOW_TRACKING_URI` names, with the project's own Python.

**A token goes to a host that you name.** With `GITHUB_TOKEN` or `GITLAB_TOKEN` the tool asks github.com or
gitlab.com whether CI passed and who approved. It asks another host only if `GH_HOST`, `GITHUB_SERVER_URL`,
`GITLAB_HOST`, `CI_SERVER_HOST` or `CI_SERVER_URL` names it; `origin` alone is not enough.

**In a folder of a larger repository** the tool reads workflows, merge request forms and `CODEOWNERS` at the top
of that repository, as a forge does. A workflow there counts if it names the folder.

A file that cannot be read is named in a note, and the rest is assessed. A waiver:

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
Each capability has tests in the template, which run before a release. Those under `tests/library` test the library in
place; the others generate projects and use them. The number of tests of a file is in brackets. A project has its own tests
of its data, model and service.
"""
MATRIX = """\
Each line is a test of the template. It plants the fault in a project, and exactly these capabilities get a lower grade.
Other tests do this for each capability: without its files it is absent, and no other is; with empty files, nonsense or
other text it is declared. For a deep run, the test checks that the capability falls, and that no other falls by files
and records. It does not repeat the runs of all other capabilities.
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
        owner = find_owner(path.relative_to(FRAGMENTS.parent).as_posix(), manifest["capabilities"])
        for names in PHONY.findall(path.read_text(encoding="utf-8")):
            targets[owner] = sorted({*targets.get(owner, []), *names.split()})
    for name in manifest["capabilities"]:
        if name in targets:
            quoted = ", ".join(f'"{target}"' for target in targets[name])
            lines.append(f'"{name}" = [{quoted}]')
    return "\n".join(lines) + "\n"


def proofs(manifest: dict[str, Any]) -> list[str]:
    """A line for each check: the capability, what is promised, and how it is found out."""
    signs.load_checks()
    lines = ["| capability | evidence | promise |", "|---|---|---|"]
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
