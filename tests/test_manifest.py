"""capabilities.yml: complete, true to the tree, and the source of the README's table."""

import re
import tomllib
from pathlib import Path

import pytest
from conftest import CHOICES, files, Generate, MANIFEST, module, PROJECT, ROOT

LADDER = module("local_extensions.py")
CAPABILITIES = MANIFEST["capabilities"]
APPLIES = {"any", "online", "batch", "tab", "people", "deployed", "labels", "upstream", "cloud"}
ANSWERS = {"affects_people": "no", "maturity_level": "1", "framework": "lightgbm", "serve": "both"}


@pytest.mark.parametrize("name", CAPABILITIES)
def test_every_entry_is_complete(name: str) -> None:
    """A capability has a level, a title, a condition, and paths or the word that it is planned."""
    entry = CAPABILITIES[name]
    assert entry["level"] in range(5) and entry["title"] and entry["if"] in APPLIES
    assert bool(entry.get("paths")) != bool(entry.get("planned"))
    known = {"level", "title", "if", "paths", "planned", "docs"}
    known |= {"do", "file", "takes", "elsewhere", "imports", "library", "tests"}
    assert entry.keys() <= known
    assert {"do", "file", "takes"} <= entry.keys() or entry.get("planned")


@pytest.mark.parametrize("name", CAPABILITIES)
def test_every_path_exists(name: str) -> None:
    """Each glob of the manifest finds something in the template."""
    patterns = CAPABILITIES[name].get("paths", [])
    assert [pattern for pattern in patterns if not list(PROJECT.glob(pattern))] == []
    modules, library = CAPABILITIES[name].get("library", []), ROOT / "src" / "mlops_ladder"
    assert [pattern for pattern in modules if not list(library.glob(pattern))] == []


@pytest.mark.parametrize("name", CAPABILITIES)
def test_every_capability_is_proved_by_a_test(name: str) -> None:
    """Each file or folder that the manifest names holds tests."""
    places = [ROOT / "tests" / place for place in CAPABILITIES[name]["tests"]]
    assert places and [place for place in places if not place.exists()] == []
    assert all(module("dev/levels.py").test_files({"tests": [place]}) for place in places)


def test_every_test_of_the_library_proves_a_capability() -> None:
    """No file under tests/library is without a capability that names it, or a folder above it."""
    tool = module("dev/levels.py")
    named = {path for entry in CAPABILITIES.values() for path in tool.test_files(entry)}
    assert set((ROOT / "tests/library").rglob("test_*.py")) - named == set()


def test_every_level_has_capabilities_in_order() -> None:
    """The entries stand in the order of their levels, and no level is empty."""
    levels = [entry["level"] for entry in CAPABILITIES.values()]
    assert levels == sorted(levels) and set(levels) == set(range(5))


def test_every_question_about_a_capability_names_a_declared_one() -> None:
    """`has("…")` in the template asks for capabilities that the manifest declares."""
    texts = [
        path.read_text(encoding="utf-8")
        for folder in (PROJECT, ROOT / "templates", ROOT / "hooks")
        for path in folder.rglob("*")
        if path.suffix in {".md", ".toml", ".py", ".mk", ".yaml", ".yml"}
    ]
    asked = {name for text in texts for name in re.findall(r'has\("([^"]*)"\)', text)}
    assert asked and asked <= CAPABILITIES.keys()


def test_a_capability_that_is_not_declared_stops_generation() -> None:
    """A mistyped name is an error, not a silent no."""
    with pytest.raises(KeyError):
        LADDER.has(MANIFEST, ANSWERS, "tracking.rnus")


def test_what_affects_people_is_asked_for() -> None:
    """A capability for people is there only where the answers say that people are affected."""
    asked = [ANSWERS | {"maturity_level": "3", "affects_people": word} for word in ("no", "yes")]
    assert [LADDER.has(MANIFEST, answers, "model.fairness") for answers in asked] == [False, True]


def test_a_cloud_is_provisioned_where_there_is_one() -> None:
    """Infrastructure is there only where the answers name a cloud."""
    asked = [ANSWERS | {"maturity_level": "4", "cloud": word} for word in ("none", "aws")]
    assert [LADDER.has(MANIFEST, answers, "infra.iac") for answers in asked] == [False, True]


def test_a_service_is_there_unless_predictions_are_made_only_in_batches() -> None:
    """A cloud runs the service, so without one there is nothing to provision."""
    answers = ANSWERS | {"maturity_level": "4", "cloud": "aws"}
    asked = [answers | {"serve": word} for word in ("both", "api", "batch")]
    names = ("serving.api", "infra.iac", "registry.rollback", "monitor.drift")
    held = [tuple(LADDER.has(MANIFEST, answers, name) for name in names) for answers in asked]
    assert held == [(True,) * 4, (True,) * 4, (False, False, True, True)]


def test_every_condition_names_answers_that_are_offered() -> None:
    """The questions and answers of the conditions are those of cookiecutter.json."""
    asked = [pair for table in MANIFEST["conditions"].values() for pair in table.items()]
    assert asked and [pair for pair in asked if pair[1] not in CHOICES.get(pair[0], [])] == []
    assert MANIFEST["conditions"].keys() <= APPLIES


def test_a_choice_leaves_out_the_paths_of_the_others() -> None:
    """Paths of an answer that was not given are left out, those of the given one stay."""
    ladder = {"capabilities": {}, "choices": {"ci": {"github": ["a"], "gitlab": ["b"]}}}
    assert LADDER.left_out(ladder, {"ci": "github"}) == ["b"]
    ladder["choices"] = {"serve": {"both api": ["a"]}}
    left = [LADDER.left_out(ladder, {"serve": word}) for word in ("both", "api", "batch")]
    assert left == [[], [], ["a"]]


def test_a_path_of_two_owners_needs_both() -> None:
    """A path stays only if everything that names it holds."""
    low, high = ({"level": level, "if": "any", "paths": ["x"]} for level in (0, 2))
    ladder = {"capabilities": {"low": low, "high": high}, "choices": {}, "conditions": {}}
    kept = [level for level in "0123" if not LADDER.left_out(ladder, {"maturity_level": level})]
    assert kept == ["2", "3"]


def test_the_lock_is_that_of_the_framework_and_of_the_highest_level_reached() -> None:
    """Levels without dependencies of their own share the lock of the level below."""
    ladder = {"locks": [1, 3]}
    asked = [LADDER.lock_file(ladder, ANSWERS | {"maturity_level": level}) for level in "01234"]
    assert asked == [f"lightgbm-{level}.lock" for level in (1, 1, 1, 3, 3)]


def test_the_default_python_is_one_that_is_here_and_supported() -> None:
    """The default is the Python that renders, or the newest that the template supports."""
    assert re.fullmatch(r"3\.1[1-4]", LADDER.this_python())


def test_the_table_of_the_readme_is_made_from_manifest_and_projects(generate: Generate) -> None:
    """README.md shows what a project of each level holds: `make docs` would change nothing."""
    tool = module("dev/levels.py")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    python = {
        level: tool.python_lines(generate(maturity_level=str(level)))
        for level in MANIFEST["levels"]
    }
    assert tool.renewed(readme, MANIFEST, python) == readme


@pytest.mark.parametrize("name", ["levels", "maturity"])
def test_what_the_docs_say_of_levels_and_checks_is_generated(name: str) -> None:
    """docs/levels.md and docs/maturity.md are what `make docs` would write."""
    text = (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
    assert getattr(module("dev/levels.py"), name)(MANIFEST) == text


def test_the_library_names_the_tests_that_prove_a_capability() -> None:
    """proofs.toml is what `make docs` would write."""
    text = (ROOT / "src/mlops_ladder/proofs.toml").read_text(encoding="utf-8")
    assert module("dev/levels.py").library_proofs(MANIFEST) == text


def test_the_library_names_the_targets_that_a_capability_brings() -> None:
    """targets.toml is what `make docs` would write, and each target has a rule in its file."""
    tool = module("dev/levels.py")
    text = (ROOT / "src/mlops_ladder/maturity/targets.toml").read_text(encoding="utf-8")
    assert tool.make_targets(MANIFEST) == text
    rules = "\n".join(path.read_text(encoding="utf-8") for path in PROJECT.glob("make/*/*.mk"))
    named = [name for names in tomllib.loads(text).values() for name in names]
    assert [name for name in named if not re.search(rf"^{name}:.*\n\t", rules, re.M)] == []


def test_what_a_level_adds_is_named_by_a_capability(generate: Generate) -> None:
    """Every file that level 0 lacks belongs to a capability of a level above."""
    owned = {
        path.relative_to(PROJECT)
        for entry in CAPABILITIES.values()
        for pattern in entry.get("paths", [])
        if entry["level"]
        for path in PROJECT.glob(pattern)
    }
    added = files(generate(maturity_level="4")).keys() - files(generate(maturity_level="0")).keys()
    places = [
        Path(name.replace("flight_delays", "{{cookiecutter.package_name}}")) for name in added
    ]
    assert added and [at for at in places if not {at, *at.parents} & owned] == []


def test_every_domain_has_a_title_in_the_report_of_maturity() -> None:
    """Else its capabilities would be left out of what a person reads."""
    path = ROOT / "src/mlops_ladder/maturity/report.toml"
    titles = tomllib.loads(path.read_text(encoding="utf-8"))["domains"]
    assert {name.partition(".")[0] for name in MANIFEST["capabilities"]} == set(titles)
