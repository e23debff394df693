"""CI and review, proved: linted, and run; each planted fault turns the pipeline red."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

import pytest
import yaml
from conftest import commit, files, Generate, plant, rewheel, run
from engines import Engine
from forges import github, gitlab, PINNED, TAGGED, tool, WORKFLOW
from pydantic import TypeAdapter, ValidationError

FORGES = ("github", "gitlab")
GITLAB = ".gitlab-ci.yml"
JOBS = ("check", "test", "train", "smoke", "maturity")
FEW = {"tests/code/test_problem.py", "tests/data/test_contract.py", "tests/model/test_baseline.py"}
SERVED = "127.0.0.1:18710"
WITHOUT_SERVICE = {"DOCKER_HOST": "", "DOCKER_TLS_VERIFY": "", "DOCKER_CERT_PATH": ""}
FAILING = "def test_planted() -> None:\n    assert 1 == 2\n"


@pytest.fixture(name="made", scope="session")
def _made(generate: Generate) -> Callable[[str], Path]:
    """`made("github")`: a level-2 project for this forge.  Copy it before you change it."""
    return lambda forge: generate(maturity_level="2", project_name="My Problem", ci=forge)


@pytest.fixture(name="copied")
def _copied(made: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """`copied("github")`: a copy of it that may be changed, committed."""

    def copied(forge: str) -> Path:
        folder = tmp_path / forge / "my-problem"
        shutil.copytree(made(forge), folder)
        commit(folder)
        return folder

    return copied


@pytest.fixture(name="small")
def _small(copied: Callable[[str], Path]) -> Callable[[str], Path]:
    """`small("github")`: such a copy with one file of tests in each group, which are quick."""

    def small(forge: str) -> Path:
        project = copied(forge)
        for path in (project / "tests").glob("*/test_*.py"):
            if path.relative_to(project).as_posix() not in FEW:
                path.unlink()
        commit(project, "Only a few tests")
        return project

    return small


def jobs(made: Callable[[str], Path], forge: str) -> dict[str, Any]:
    """The jobs of a pipeline, by name."""
    path = made(forge) / (WORKFLOW if forge == "github" else GITLAB)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    found: dict[str, Any] = content.get("jobs") or {
        name: job for name, job in content.items() if "stage" in job and not name.startswith(".")
    }
    return found


# ---- What is generated


@pytest.mark.parametrize("forge", FORGES)
def test_a_project_holds_the_files_of_its_forge_only(
    made: Callable[[str], Path], forge: str
) -> None:
    """GitHub's files or GitLab's, and at level 1 neither's."""
    theirs = {name.split("/")[0] for name in files(made(forge))} & {".github", ".gitlab", GITLAB}
    assert theirs == ({".github"} if forge == "github" else {".gitlab", GITLAB})
    makefile = (made(forge) / "Makefile").read_text(encoding="utf-8")
    assert makefile.count("\nbranch-rules: ") == makefile.count("\ncomment: ") == 1
    assert ("GITLAB_TOKEN" in makefile) == (forge == "gitlab")


@pytest.mark.parametrize("forge", FORGES)
def test_level_1_has_no_pipeline(generate: Generate, forge: str) -> None:
    """Below level 2 there is no file of a forge."""
    held = files(generate(maturity_level="1", ci=forge))
    assert not [name for name in held if "github" in name or "gitlab" in name or "renovate" in name]


def test_every_action_is_pinned_by_sha(made: Callable[[str], Path]) -> None:
    """Each `uses` names a full commit and, behind it, the version."""
    text = (made("github") / WORKFLOW).read_text(encoding="utf-8")
    assert len(PINNED.findall(text)) == text.count("uses: ") > 0


def test_jobs_of_github_only_call_make(made: Callable[[str], Path]) -> None:
    """Each command of a job is make's, but for the job that looks at the others, and for git's."""
    found = jobs(made, "github")
    lines = [step["run"] for name in JOBS for step in found[name]["steps"] if "run" in step]
    assert [line for line in lines if not line.startswith("make ")] == []
    told = [step["run"].split()[0] for step in found["deploy"]["steps"] if "run" in step]
    assert told == ["git", "git", "make"]


def test_jobs_of_gitlab_only_call_make(made: Callable[[str], Path]) -> None:
    """Each command of a job is make's, but for the last one: it says that the job has passed."""
    found = jobs(made, "gitlab")
    for name in JOBS:
        *lines, last = found[name]["script"]
        assert [line for line in lines if not line.startswith("make ")] == []
        assert last.endswith('touch "reports/passed/$CI_JOB_NAME"')


@pytest.mark.parametrize("forge", FORGES)
def test_one_job_needs_all_others(made: Callable[[str], Path], forge: str) -> None:
    """`required` needs each job but the deployment, which needs it: a new job cannot be forgotten."""
    found = jobs(made, forge)
    assert set(found["required"]["needs"]) == set(found) - {"required", "deploy"} == set(JOBS)
    assert "required" in found["deploy"]["needs"]


def test_jobs_have_no_more_rights_than_they_need(made: Callable[[str], Path]) -> None:
    """No right but to read the contents, no token left in a checkout, an end to each job."""
    workflow = yaml.safe_load((made("github") / WORKFLOW).read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    rights = {name: job["permissions"] for name, job in workflow["jobs"].items()}
    assert rights.pop("maturity") == {"contents": "read", "pull-requests": "write"}
    others = {name: {"contents": "read"} for name in JOBS if name != "maturity"}
    assert rights == others | {"required": {}, "deploy": {}}
    assert all(job["timeout-minutes"] <= 20 for job in workflow["jobs"].values())
    assert set(workflow[True]) == {"push", "pull_request"}


def test_both_forges_ask_the_same_of_a_change(made: Callable[[str], Path]) -> None:
    """The template of a merge request is that of a pull request."""
    ours = made("github") / ".github/pull_request_template.md"
    theirs = made("gitlab") / ".gitlab/merge_request_templates/Default.md"
    assert ours.read_bytes() == theirs.read_bytes()


# ---- Linted

LINTERS: dict[str, list[str]] = {
    "actionlint": ["-config-file", ".github/actionlint.yaml", WORKFLOW],
    "zizmor": ["--offline", "--persona=pedantic", WORKFLOW],
    "workflow": ["--builtin-schema", "vendor.github-workflows", WORKFLOW],
    "gitlab": ["--builtin-schema", "vendor.gitlab-ci", GITLAB],
    "renovate": ["--builtin-schema", "vendor.renovate", "renovate.json"],
}
UNFIT = [
    ("actionlint", WORKFLOW, "needs.test.outputs", "needs.tset.outputs"),
    ("actionlint", WORKFLOW, 'test -n "$TESTS"', "test -n $TESTS"),
    ("zizmor", WORKFLOW, "        with: {persist-credentials: false}\n", ""),
    ("zizmor", WORKFLOW, "3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "v7"),
    (
        "zizmor",
        WORKFLOW,
        'echo "results: $RESULTS',
        'echo "${{ github.event.head_commit.message }}',
    ),
    ("zizmor", WORKFLOW, "permissions: {}\n\nconcurrency", "permissions: write-all\n\nconcurrency"),
    ("zizmor", WORKFLOW, "  pull_request:", "  pull_request_target:"),
    ("workflow", WORKFLOW, "timeout-minutes: 15", "timeout-minuts: 15"),
    ("gitlab", GITLAB, "interruptible: true", "interruptible: perhaps"),
    ("renovate", "renovate.json", '"widen"', '"as it likes"'),
]


def linted(linter: str, project: Path) -> subprocess.CompletedProcess[str]:
    """What a linter says of the project's file."""
    program = linter if linter in ("actionlint", "zizmor") else "check-jsonschema"
    path = f"{Path(tool('shellcheck')).parent}:/usr/bin:/bin"  # actionlint asks shellcheck
    return run(tool(program), *LINTERS[linter], at=project, PATH=path)


@pytest.mark.parametrize("linter", LINTERS)
def test_a_linter_finds_nothing(made: Callable[[str], Path], linter: str) -> None:
    """actionlint with shellcheck, zizmor, and the schemas of the forges and of Renovate."""
    done = linted(linter, made("gitlab" if linter == "gitlab" else "github"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("linter", "path", "old", "new"), UNFIT)
def test_a_linter_finds_a_planted_fault(
    copied: Callable[[str], Path], linter: str, path: str, old: str, new: str
) -> None:
    """The same linters fail where a fault is planted."""
    project = copied("gitlab" if linter == "gitlab" else "github")
    plant(project / path, old, new)
    assert linted(linter, project).returncode != 0


# ---- The count of tests


def counted(
    folder: Path, made: Callable[[str], Path], cases: str
) -> subprocess.CompletedProcess[str]:
    """What `make test-counts` runs says of a report with these cases."""
    for group in ("code", "data", "model", "serving"):
        (folder / "tests" / group).mkdir(parents=True)
    (folder / "tests/serving/test_app.py").touch()
    (folder / "reports").mkdir()
    report = f"<testsuites><testsuite>{cases}</testsuite></testsuites>"
    (folder / "reports/tests.xml").write_text(report, encoding="utf-8")
    shutil.copy(made("github") / "pyproject.toml", folder)
    return run(sys.executable, "-m", "mlops_ladder", "test-counts", at=folder)


PASSED = "".join(
    f'<testcase classname="tests.{group}.test_it" name="test_it" />'
    for group in ("code", "code", "data", "model", "serving")
)


def test_tests_that_passed_are_counted_by_group(
    tmp_path: Path, made: Callable[[str], Path]
) -> None:
    """One line with each group, as GitHub takes an output of a step."""
    done = counted(tmp_path, made, PASSED)
    assert (done.returncode, done.stdout) == (0, "tests=code 2, data 1, model 1, serving 1\n")


@pytest.mark.parametrize(
    "case",
    [
        "",
        '<testcase classname="tests.model.test_it"><skipped /></testcase>',
        '<testcase classname="tests.model.test_it"><failure /></testcase>',
        '<testcase classname="tests.model.test_it"><error /></testcase>',
    ],
    ids=["none", "skipped", "failed", "broken"],
)
def test_a_group_in_which_no_test_passed_fails(
    tmp_path: Path, made: Callable[[str], Path], case: str
) -> None:
    """No test, only a skipped one or only a failed one: the group is named."""
    alone = PASSED.replace('<testcase classname="tests.model.test_it" name="test_it" />', case)
    done = counted(tmp_path, made, alone)
    assert done.returncode == 1 and done.stderr.startswith("tests/model: no test passed")


# ---- One job says that all others ran


def hollow(project: Path) -> None:
    """Replace what the jobs of GitHub do by success, so that only what joins them is left."""
    text = (project / WORKFLOW).read_text(encoding="utf-8")
    text = text.replace("make --silent test-counts", "echo tests=1").replace(
        "run: make ", "run: echo "
    )
    (project / WORKFLOW).write_text(text, encoding="utf-8")
    keep = project / "models/serving"
    keep.mkdir(parents=True)
    (keep / "champion.json").write_text("{}", encoding="utf-8")
    run("git", "add", "--force", "models", at=project)
    commit(project, "Only the frame")


@pytest.mark.slow
def test_the_last_job_of_github_is_green_where_all_ran(
    copied: Callable[[str], Path], tmp_path: Path
) -> None:
    """All jobs run, and no deployment without a tag."""
    project = copied("github")
    hollow(project)
    found = github(project, tmp_path / "act")
    assert found.results == dict.fromkeys([*JOBS, "required"], "success")
    assert "results: success success success success success; passed: 1" in found.printed


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_a_skipped_job_turns_github_red(
    copied: Callable[[str], Path], tmp_path: Path, job: str
) -> None:
    """A job that `if` leaves out, which GitHub itself takes for passed."""
    project = copied("github")
    hollow(project)
    plant(project / WORKFLOW, f"\n  {job}:\n", f"\n  {job}:\n    if: github.ref == 'nowhere'\n")
    found = github(project, tmp_path / "act")
    assert found.results["required"] == "failure" and job not in found.results


@pytest.mark.slow
def test_tests_that_were_not_counted_turn_github_red(
    copied: Callable[[str], Path], tmp_path: Path
) -> None:
    """The step that counts is left out: no job fails but the last."""
    project = copied("github")
    hollow(project)
    plant(project / WORKFLOW, "        id: counts", "        id: counts\n        if: false")
    results = github(project, tmp_path / "act").results
    assert results == dict.fromkeys(JOBS, "success") | {"required": "failure"}


def hollow_gitlab(project: Path) -> None:
    """Replace what the jobs of GitLab do by success; the Docker service is not started here."""
    plant(project / GITLAB, "    - make ", "    - echo ")
    plant(project / GITLAB, '  services: ["docker:29-dind"]\n', "")
    plant(project / GITLAB, ", reports/maturity.md]", "]")


@pytest.mark.slow
def test_the_last_job_of_gitlab_is_green_where_all_ran(copied: Callable[[str], Path]) -> None:
    """All jobs run, and no deployment without a tag."""
    project = copied("gitlab")
    hollow_gitlab(project)
    found = gitlab(project)
    assert found.results == dict.fromkeys([*JOBS, "required"], "success"), found.printed


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_a_job_that_is_left_out_turns_gitlab_red(copied: Callable[[str], Path], job: str) -> None:
    """A job whose rules never hold."""
    project = copied("gitlab")
    hollow_gitlab(project)
    plant(project / GITLAB, f"\n{job}:\n", f"\n{job}:\n  rules: [{{when: never}}]\n")
    found = gitlab(project)
    assert not found.green and f"{job} is when:never, but its needed by" in found.printed


@pytest.mark.slow
def test_a_job_that_may_fail_turns_gitlab_red(copied: Callable[[str], Path]) -> None:
    """`allow_failure` lets a pipeline go on, and the last job ends it."""
    project = copied("gitlab")
    hollow_gitlab(project)
    plant(project / GITLAB, "\ncheck:\n", "\ncheck:\n  allow_failure: true\n")
    plant(project / GITLAB, "- echo check", "- exit 1")
    assert gitlab(project).results["required"] == "failure"


# ---- The jobs, run


def added(project: Path, path: str, text: str) -> None:
    """Add a file, and commit it."""
    (project / path).write_text(text, encoding="utf-8")
    commit(project, "A planted fault")


def without_model_tests(project: Path) -> None:
    """Take the tests of the model away."""
    shutil.rmtree(project / "tests/model")
    commit(project, "A planted fault")


FAULTS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a failing test": (
        "test",
        lambda project: added(project, "tests/code/test_planted.py", FAILING),
        "1 failed",
    ),
    "a group without tests": ("test", without_model_tests, "tests/model: no test passed"),
    "an unformatted file": (
        "check",
        lambda project: added(project, "src/my_problem/planted.py", '"""Planted."""\nx=1\n'),
        "reformatted src/my_problem/planted.py",
    ),
    "a wrong type": (
        "check",
        lambda project: added(
            project, "src/my_problem/planted.py", '"""Planted."""\n\nLIMIT: int = ""\n'
        ),
        "Incompatible types in assignment",  # in colours where a forge asks for them
    ),
    "a training that cannot be": (
        "train",
        lambda project: plant(project / "data/sample/flights-2013-03.csv", ",EWR,", ",XYZ,", 1),
        "XYZ",
    ),
}


@pytest.mark.slow
@pytest.mark.drawn(2)
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_turns_the_job_of_github_red(
    small: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    """The job that looks for it fails, and says why."""
    job, fault, told = FAULTS[name]
    project = small("github")
    fault(project)
    found = github(project, tmp_path / "act", "--job", job)
    assert found.results == {job: "failure"} and told in found.printed


@pytest.mark.slow
@pytest.mark.drawn(2)
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_turns_the_job_of_gitlab_red(
    small: Callable[[str], Path], name: str
) -> None:
    """The job that looks for it fails, and says why."""
    job, fault, told = FAULTS[name]
    project = small("gitlab")
    fault(project)
    found = gitlab(project, job)
    assert found.results == {job: "failure"} and told in found.printed


@pytest.mark.slow
@pytest.mark.parametrize("forge", FORGES)
def test_a_level_that_fell_turns_the_job_red(
    copied: Callable[[str], Path], tmp_path: Path, forge: str
) -> None:
    """`maturity` is green where the claim is upheld, and red where a capability of it is hollow."""
    project = copied(forge)

    def judged() -> tuple[dict[str, str], str]:
        ways = (tmp_path / "act", "--job", "maturity")
        found = github(project, *ways) if forge == "github" else gitlab(project, "maturity")
        return found.results, found.printed

    results, printed = judged()
    assert results == {"maturity": "success"} and "claimed 2 | equipped 2" in printed
    added(project, "tests/model/test_gate.py", '"""Nothing."""\n')
    results, printed = judged()
    assert results == {"maturity": "failure"} and "claimed 2 | equipped 1" in printed


MUTANTS = {
    "a feature negated": (
        "model/prediction.py",
        '    if hasattr(model, "predict_proba"):\n',
        '    if hasattr(model, "predict_proba"):\n'
        '        name = rows.select_dtypes("number").columns[0]\n'
        "        rows = rows.assign(**{name: -rows[name]})\n",
        "FAILED tests/code/test_prediction.py::test_a_prediction_is_what_the_fitted_model_says",
    ),
    "fit emptied": (
        "model/training.py",
        "settings).fit(train[inputs], target)\n        seconds",
        "settings)\n        seconds",
        "NotFittedError",
    ),
}


@pytest.mark.slow
@pytest.mark.drawn(1)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_dies_in_the_job_that_tests(
    copied: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    """A feature with the wrong sign where rows are predicted, and a model that never learns."""
    project = copied("github")
    path, old, new, told = MUTANTS[name]
    rewheel(project, path, old, new)
    commit(project, "A mutant")
    few = "-x --ignore=tests/code/test_notebooks.py"
    found = github(project, tmp_path / "act", "--job", "test", PYTEST_ADDOPTS=few)
    assert found.results == {"test": "failure"} and told in found.printed


# ---- A push and a tag, whole


def clone(project: Path, folder: Path, champion: Path) -> Path:
    """The clone of a project on the machine that serves; the champion is what CI has trained."""
    subprocess.run(["git", "clone", "--quiet", str(project), str(folder)], check=True)
    (folder / "models").mkdir()
    (folder / "models/serving").symlink_to(champion)
    return folder


@pytest.mark.slow
def test_a_tag_is_checked_trained_built_asked_and_deployed_by_github(
    copied: Callable[[str], Path], engine: Engine, tmp_path: Path
) -> None:
    """Every job is green, with no champion before; the service answers with the commit of the tag."""
    project = copied("github")
    machine = clone(project, tmp_path / "machine", tmp_path / "act/artifacts/model")
    event = tmp_path / "event.json"
    event.write_text(json.dumps(TAGGED), encoding="utf-8")
    told = ["--eventpath", str(event), "--var", f"DEPLOY_FOLDER={machine}"]
    environment = engine.environment | {"ADDRESS": SERVED}
    try:
        found = github(project, tmp_path / "act", *told, **environment)
        assert found.results == dict.fromkeys(
            [*JOBS, "required", "deploy"], "success"
        ), found.printed
        head = run("git", "rev-parse", "HEAD", at=project).stdout.strip()
        assert f"answers with {head}" in found.printed
    finally:
        run("make", "undeploy", at=machine, **environment)


@pytest.mark.slow
def test_a_push_is_checked_trained_built_and_asked_by_gitlab(
    copied: Callable[[str], Path], engine: Engine
) -> None:
    """Every job is green, with no champion before; a branch is not deployed."""
    project = copied("gitlab")
    plant(project / GITLAB, '  services: ["docker:29-dind"]\n', "")
    commit(project, "The engine of the tests")
    found = gitlab(project, **WITHOUT_SERVICE | engine.environment)
    assert found.results == dict.fromkeys([*JOBS, "required"], "success"), found.printed[-3000:]


# ---- Branch rules


class Forge(BaseHTTPRequestHandler):
    """Writes down each request, and answers from `answers`, else with 404 to DELETE and {}."""

    asked: list[tuple[str, str, Any]] = []
    answers: dict[str, Any] = {}

    def handle_one(self) -> None:
        """Answer one request of any method."""
        size = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(size).decode()
        kind = self.headers.get("Content-Type", "application/json")
        body = (json.loads(content) if "json" in kind else content) if size else None
        path = self.path.split("?")[0]
        self.asked.append((self.command, path, body))
        found = self.answers.get(f"{self.command} {path}", {})
        found = found(body) if callable(found) else found
        answer = json.dumps(found).encode()
        self.send_response(found if isinstance(found, int) else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = handle_one

    def address_string(self) -> str:
        """Somebody: a Unix socket has no address."""
        return "somebody"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(name="forge")
def _forge() -> Iterator[Callable[..., type[Forge]]]:
    """`forge(make, answers)`: what make gives for a handler answers requests until the test ends."""
    started = []

    def serve(make: Callable[..., Any], answers: dict[str, Any]) -> type[Forge]:
        handler = type("Asked", (Forge,), {"asked": [], "answers": answers})
        server = make(handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return handler

    yield serve
    for server in started:
        server.shutdown()
        server.server_close()


def ruleset(made: Callable[[str], Path]) -> Any:
    """The branch rules for GitHub."""
    path = made("github") / ".github/rulesets/main.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_rules_for_github_are_as_its_api_describes_them(made: Callable[[str], Path]) -> None:
    """The ruleset fits the model that is generated from GitHub's description; a wrong one does not."""
    from githubkit_schemas.latest.models import ReposOwnerRepoRulesetsPostBody

    fits = TypeAdapter(ReposOwnerRepoRulesetsPostBody)
    rules = ruleset(made)
    fits.validate_python(rules)
    rules["rules"][3]["parameters"]["required_status_checks"] = ["required"]
    with pytest.raises(ValidationError):
        fits.validate_python(rules)


def test_the_rules_ask_for_the_job_that_always_runs(made: Callable[[str], Path]) -> None:
    """The status that GitHub requires is the name of the last job, from GitHub's own app."""
    wanted = ruleset(made)["rules"][3]["parameters"]["required_status_checks"]
    name = jobs(made, "github")["required"]["name"]
    assert wanted == [{"context": name, "integration_id": 15368}]


@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
def test_make_brings_the_rules_to_github(
    copied: Callable[[str], Path],
    made: Callable[[str], Path],
    forge: Any,
    tmp_path: Path,
    there: bool,
) -> None:
    """`make branch-rules` makes the ruleset, or changes the one of this name."""
    project, path = copied("github"), "/repos/ada/my-problem/rulesets"
    run("git", "remote", "add", "origin", "https://github.com/ada/my-problem.git", at=project)
    known = [{"id": 6, "name": "tags"}] + [{"id": 7, "name": "main"}] * there
    socket = str(tmp_path / "forge")
    asked = forge(lambda handler: UnixStreamServer(socket, handler), {f"GET {path}": known}).asked
    (tmp_path / "config.yml").write_text(f"version: 1\nhttp_unix_socket: {socket}\n", "utf-8")
    told = {"GH_CONFIG_DIR": str(tmp_path), "GH_TOKEN": "x", "GH_NO_UPDATE_NOTIFIER": "1"}
    path_to_gh = f"{Path(tool('gh')).parent}:/usr/bin:/bin"
    done = run("make", "branch-rules", at=project, PATH=path_to_gh, **told)
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = ("PUT", f"{path}/7") if there else ("POST", path)
    assert asked == [("GET", path, None), (*wanted, ruleset(made))]


@pytest.mark.slow
def test_make_puts_the_report_on_a_pull_request(
    copied: Callable[[str], Path], forge: Any, tmp_path: Path
) -> None:
    """`make comment` asks GitHub for the request, and adds the report where there is no comment."""
    project, socket = copied("github"), str(tmp_path / "forge")
    run("git", "remote", "add", "origin", "https://github.com/ada/my-problem.git", at=project)
    run("make", "maturity-report", at=project)
    none = {"nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": ""}}
    known = {"repository": {"pullRequest": {"id": "PR_1", "number": 3, "comments": none}}}
    added = {"addComment": {"commentEdge": {"node": {"url": ""}}}}
    answers = {
        "POST /graphql": lambda body: {"data": added if "addComment" in body["query"] else known}
    }
    asked = forge(lambda handler: UnixStreamServer(socket, handler), answers).asked
    (tmp_path / "config.yml").write_text(f"version: 1\nhttp_unix_socket: {socket}\n", "utf-8")
    told = {"GH_CONFIG_DIR": str(tmp_path), "GH_TOKEN": "x", "GH_NO_UPDATE_NOTIFIER": "1"}
    path_to_gh = f"{Path(tool('gh')).parent}:/usr/bin:/bin"
    done = run("make", "comment", "PULL=3", at=project, PATH=path_to_gh, **told)
    assert done.returncode == 0, done.stdout + done.stderr
    said = asked[-1][2]["variables"]["input"]
    assert said["subjectId"] == "PR_1" and said["body"].startswith("### Maturity: claimed 2 |")


@pytest.mark.slow
def test_make_puts_the_report_on_a_merge_request(copied: Callable[[str], Path], forge: Any) -> None:
    """In a merge request the report becomes a note with GITLAB_TOKEN; without one CI goes on."""
    project = copied("gitlab")
    run("make", "maturity-report", at=project)
    asked = forge(lambda handler: HTTPServer(("127.0.0.1", 18711), handler), {}).asked
    told = {"CI_API_V4_URL": "http://127.0.0.1:18711/api/v4", "CI_PROJECT_ID": "5"}
    told |= {"CI_MERGE_REQUEST_IID": "3"}
    done = run("make", "maturity-report", at=project, GITLAB_TOKEN="x", **told)
    assert done.returncode == 0, done.stdout + done.stderr
    [(method, path, body)] = asked
    assert (method, path) == ("POST", "/api/v4/projects/5/merge_requests/3/notes")
    assert "### Maturity: claimed 2 |" in body
    done = run("make", "comment", "PULL=3", at=project, GITLAB_TOKEN="", **told)
    assert done.returncode == 0 and "gets no comment" in done.stdout and len(asked) == 1


def test_make_brings_the_rules_to_gitlab(copied: Callable[[str], Path], forge: Any) -> None:
    """`make branch-rules` sets how requests are merged, and protects the branch anew."""
    project, place = copied("gitlab"), "/api/v4/projects/ada%2Fsub%2Fmy-problem"
    run("git", "remote", "add", "origin", "git@gitlab.com:ada/sub/my-problem.git", at=project)
    answers = {f"DELETE {place}/protected_branches/main": 404}
    asked = forge(lambda handler: HTTPServer(("127.0.0.1", 18711), handler), answers).asked
    told = {"CI_API_V4_URL": "http://127.0.0.1:18711/api/v4", "GITLAB_TOKEN": "x"}
    done = run("make", "branch-rules", at=project, **told)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in (project / ".gitlab/branch-rules").glob("*.json")
    }
    assert asked == [
        ("PUT", place, rules["project"]),
        ("DELETE", f"{place}/protected_branches/main", None),
        ("POST", f"{place}/protected_branches", rules["main"]),
    ]


@pytest.mark.parametrize(
    ("answers", "told"),
    [({"PUT /api/v4/projects/ada%2Fmy-problem": 401}, "401"), ({}, "GITLAB_TOKEN: not set")],
    ids=["refused", "no token"],
)
def test_rules_that_gitlab_refuses_are_told(
    copied: Callable[[str], Path], forge: Any, answers: dict[str, int], told: str
) -> None:
    """A token without rights, or none: the command fails, and names what it asked."""
    project = copied("gitlab")
    run("git", "remote", "add", "origin", "https://gitlab.com/ada/my-problem.git", at=project)
    forge(lambda handler: HTTPServer(("127.0.0.1", 18711), handler), answers)
    token = {"GITLAB_TOKEN": "x" if answers else ""}
    address = {"CI_API_V4_URL": "http://127.0.0.1:18711/api/v4"}
    done = run("make", "branch-rules", at=project, **token, **address)
    assert done.returncode != 0 and told in done.stderr
