"""A project whose predictions are made only in batches: no service, and everything else."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import commands, files, Generate, LADDER, LEVELS, ok, PROJECT
from test_level_1 import clone_of
from test_makefile import find_targets

from mlops_ladder import ProjectError
from mlops_ladder.plugins import list_library_plugins
from mlops_ladder.project import Project, read_project

MODES = ("batch", "both")
SERVED = ["2", "3", "4"]  # levels at which other projects have a service
SAID = {"CONTRIBUTING.md"}  # names a command of the service in a word
# What only a service needs, by a part of its path.
OF_A_SERVICE = re.compile(
    r"service\.|serving|openapi|^Dockerfile|deploy/(?:compose|kubernetes|infra)|rollout|experiments"
    r"|config/(?:access|load|fallback|objectives|costs)|docs/(?:cloud|promotion|scaling|security)"
    r"|runbooks/(?:deploy|objectives)|monitoring/slo|grafana/(?:model|objectives)"
)


def batch_only(generate: Generate, level: str, **answers: str) -> Path:
    """A project of a level without a service."""
    return generate(maturity_level=level, serve="batch", **answers)


@pytest.mark.parametrize("deploy", ["compose", "kubernetes"])
@pytest.mark.parametrize("level", LEVELS)
def test_no_file_is_about_a_service(generate: Generate, level: str, deploy: str) -> None:
    """It has the files of any project but those of a service; a cloud would run only that."""
    project = files(batch_only(generate, level, deploy=deploy, cloud="aws"))
    whole = files(generate(maturity_level=level, deploy=deploy))
    assert [name for name in project if OF_A_SERVICE.search(name)] == []
    assert project.keys() == {name for name in whole if not OF_A_SERVICE.search(name)}


@pytest.mark.parametrize("ci", ["github", "gitlab"])
@pytest.mark.parametrize("level", SERVED)
def test_only_what_names_a_service_differs(generate: Generate, level: str, ci: str) -> None:
    """Every other file is that of any project; a variant in the template takes the place of one."""
    project, whole = (files(generate(maturity_level=level, ci=ci, serve=it)) for it in MODES)
    changed = {name for name in project if project[name] != whole[name]}
    variants = [path.relative_to(PROJECT).as_posix() for path in PROJECT.rglob("*.batch.*")]
    known = {name.replace(".batch.", ".") for name in variants}
    assert changed - {".cruft.json"} <= known | {"Makefile", "README.md", "pyproject.toml"} | SAID
    assert [name for name in [*project, *whole] if ".batch." in name] == []
    assert [
        name for name in variants if not (PROJECT / name.replace(".batch.", ".")).exists()
    ] == []


def test_no_document_names_a_target_that_is_not_there(generate: Generate) -> None:
    """Of the Makefile, in pages, settings, rules and workflows."""
    project = batch_only(generate, "4")
    here, every = (list_targets(it) for it in (project, generate(maturity_level="4")))
    texts = {
        path: re.sub(r" +# .*", "", path.read_text(encoding="utf-8"))
        for path in project.rglob("*")
        if path.suffix in (".md", ".toml", ".yml", ".yaml") and "data" not in path.parts
    }
    named = {path.name: (find_targets(text) & every) - here for path, text in texts.items()}
    assert here < every and {name: gone for name, gone in named.items() if gone} == {}


def list_targets(project: Path) -> set[str]:
    """The targets of a project's Makefile."""
    return set(re.findall(r"^([a-z-]+):", (project / "Makefile").read_text("utf-8"), re.M))


def test_its_workflow_is_that_of_a_service_without_image_and_deployment(generate: Generate) -> None:
    """The same jobs, step by step, but smoke and deploy; nothing waits for these."""
    for ci, name in (("github", ".github/workflows/ci.yml"), ("gitlab", ".gitlab-ci.yml")):
        made = [generate(maturity_level="2", ci=ci, serve=mode) for mode in MODES]
        own, whole = (yaml.safe_load((project / name).read_text("utf-8")) for project in made)
        jobs, others = own.get("jobs", own), whole.get("jobs", whole)
        assert others.keys() - jobs.keys() - {"include"} == {"smoke", "deploy"}
        same = jobs.keys() - {"required", "stages"}
        assert {job: jobs[job] for job in same} == {job: others[job] for job in same}
        assert jobs["required"]["needs"] == [
            it for it in others["required"]["needs"] if it != "smoke"
        ]


def test_its_alerts_and_panels_are_among_those_of_a_service(generate: Generate) -> None:
    """The same rules, and the same panels elsewhere; only what a service measures is left out."""
    own, whole = (generate(maturity_level="4", serve=mode) for mode in MODES)
    for path in sorted(own.glob("monitoring/*alerts.yml")):
        rules, others = (read_rules(folder / path.relative_to(own)) for folder in (own, whole))
        assert rules and {name: others[name] for name in rules} == rules
    boards = [read_panels(project) for project in (own, whole)]
    assert boards[0] and {title: boards[1][title] for title in boards[0]} == boards[0]
    texts = [path.read_text("utf-8") for path in own.glob("monitoring/*alerts.yml")]
    measured = set(re.findall(r"\b(?:serving|slo)_\w+", "".join(texts)))
    assert measured == {"serving_model_trained_timestamp_seconds", "serving_model_max_age_seconds"}


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here: make alerts")
def test_its_alerts_fire_where_they_should(generate: Generate) -> None:
    """Prometheus's own tool finds no fault in the rules, and every case of their tests holds."""
    folder = batch_only(generate, "4") / "monitoring"
    for kind, pattern in (("check", "*alerts.yml"), ("test", "*alerts_test.yml")):
        ok("promtool", kind, "rules", *(path.name for path in folder.glob(pattern)), at=folder)
    tested = (folder / "alerts_test.yml").read_text(encoding="utf-8")
    names = read_rules(folder / "alerts.yml")
    assert [name for name in names if f"alertname: {name}\n        eval_time" not in tested] == []


def read_rules(path: Path) -> dict[str, Any]:
    """The rules of a file, by the name of their alert."""
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def read_panels(project: Path) -> dict[str, list[str]]:
    """The queries of the panels of all dashboards, by their titles."""
    boards = [
        json.loads(path.read_text("utf-8")) for path in project.glob("monitoring/grafana/*.json")
    ]
    panels = [panel for board in boards for panel in board["panels"]]
    return {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in panels}


def test_every_control_of_its_risks_is_there(generate: Generate) -> None:
    """Each alert and test that governance/risk.toml names, as `make risks` asks."""
    project = batch_only(generate, "3")
    assert "no control" not in ok(LADDER, "risks", at=project)


def test_a_service_has_no_plugin_and_no_command(generate: Generate) -> None:
    """Nothing of a service is loaded, and no command of one is offered."""
    plugins = {
        mode: list_library_plugins(Project("p", 4, "compose", serve=mode))
        for mode in ("both", "api", "batch")
    }
    hooks = {hook for table in plugins["batch"].values() for hook in table}
    modules = {target for table in plugins["batch"].values() for target in table.values()}
    assert plugins["both"] == plugins["api"] and "load_batch_model" in hooks
    served = [target for target in modules if target.startswith("serving.")]
    assert served == ["serving.store:delete_variants"]  # a service that was here has left rows
    assert not hooks & {"after_contract_change.openapi", "extend_service", "hand_to_rollout"}
    listed = ok(LADDER, "--help", at=batch_only(generate, "4"))
    names = set(re.findall(r"^\W*([a-z-]+) +\w", listed, re.M))
    assert {"predict", "pipeline", "drift", "trace"} <= names
    assert not names & {"serve", "load", "rollout", "experiment", "deploy", "stage"}


def test_its_stack_needs_no_image_of_a_service(generate: Generate, tmp_path: Path) -> None:
    """`make stack` builds its own image from a commit, and no other."""
    project = clone_of(batch_only(generate, "3"), tmp_path)
    words = ok("make", "-n", "stack", at=project)
    assert words.count("docker build") == 1 and "--file deploy/stack/Dockerfile" in words
    assert "git archive" in words


def test_an_unknown_answer_in_pyproject_is_refused(tmp_path: Path) -> None:
    """The line names what is allowed."""
    table = '[tool.mlops-ladder]\nlevel = 2\npackage = "p"\nserve = "never"\n'
    (tmp_path / "pyproject.toml").write_text(table, encoding="utf-8")
    with pytest.raises(ProjectError, match="serve is both, api or batch$"):
        read_project(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("level", SERVED)
def test_each_command_of_the_readme_runs_in_an_empty_clone(
    generate: Generate, tmp_path: Path, level: str
) -> None:
    """In order; afterwards the project is at its level, and only documents have changed."""
    project = clone_of(batch_only(generate, level, project_name="My Problem"), tmp_path)
    lines = commands(project / "README.md")
    assert {"make train", "make pipeline", "make predict", "make check", "make test"} <= set(lines)
    for line in lines:
        ok("bash", "-c", line, at=project)
    changed = ok("git", "status", "--porcelain", at=project).split()[1::2]
    assert [name for name in changed if not name.startswith(("MODEL_CARD.md", "docs/"))] == []
    assert f"claimed {level} | equipped {level} |" in ok("make", "maturity", at=project)
