"""A project goes to any level and back, and every edit is kept or shown as a conflict."""

import difflib
import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import files, LADDER, LEVELS

pytestmark = pytest.mark.slow

PAIRS = list(itertools.permutations(LEVELS, 2))
RECORD = ".cruft.json"
IDENTITY = "[user]\n\tname = Ada Lovelace\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n[clone]\n\tdefaultRemoteName = upstream\n"
MINE = "# Mine: kept in every climb."
EDITED = ("config.toml", "README.md", "pyproject.toml", "Makefile")


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A home and a git configuration of the test's own; gives the configuration's file."""
    home = tmp_path / "home"
    home.mkdir()
    config = home / ".gitconfig"
    config.write_text(IDENTITY)
    for name, value in {
        "HOME": home,
        "GIT_CONFIG_GLOBAL": config,
        "GIT_CONFIG_NOSYSTEM": "1",
    }.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("GIT_EDITOR", "false")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    return config


def git(project, *arguments):
    """What git prints in that folder; it has to succeed."""
    command = ["git", "-c", "core.quotePath=false", *arguments]
    done = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(project, message="An edit"):
    """Everything in the folder, committed."""
    git(project, "add", "--all", ".")
    git(project, "commit", "--quiet", "--message", message)


def climb(project, *arguments, at=None, **environment):
    """The climb, run as a person runs it; gives its exit code and what it printed."""
    return subprocess.run(
        [LADDER, "climb", *arguments],
        cwd=at or project,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def climbed(project, *arguments, **environment):
    """The climb, which has to succeed and to leave nothing under way."""
    done = climb(project, *arguments, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert git(project, "status", "--porcelain") == ""
    return done.stdout


def refused(project, *arguments, **options):
    """The one line of a climb that has to be refused, and to change nothing."""
    before = files(project), state(project)
    done = climb(project, *arguments, **options)
    assert (files(project), state(project)) == before
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def state(project):
    """Where the repository stands: its commit, its index, and what is under way."""
    if not (project / ".git").exists():
        return None
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, check=False
    )
    marks = sorted(
        path.name for path in (project / ".git").glob("*_HEAD") if path.name != "ORIG_HEAD"
    )
    return head.stdout, git(project, "status", "--porcelain"), marks


@pytest.fixture
def start(generate, tmp_path):
    """`start(level)`: a committed copy of a generated project, ready for edits."""

    def start(level="1", place="project", **answers):
        made = generate(maturity_level=level, **answers)
        project = shutil.copytree(made, tmp_path / place)
        git(project, "init", "--quiet")
        git(project, "add", "--all", "--force")
        git(project, "commit", "--quiet", "--message", "Start")
        return project

    return start


@pytest.fixture
def same(generate):
    """`same(project, level)`: its files are those of a fresh generation, byte for byte."""

    def same(project, level, **answers):
        assert files(project) == files(generate(maturity_level=level, **answers))

    return same


@pytest.fixture
def versions(template, tmp_path):
    """A copy of the template, to make newer versions of; the original stays as it is."""
    return Path(shutil.copytree(template, tmp_path / "versions", symlinks=True))


def recorded_at(project, template, commit_hash=None):
    """The project, as if it had been made from that template."""
    record = json.loads((project / RECORD).read_text(encoding="utf-8"))
    record["template"] = record["context"]["cookiecutter"]["_template"] = str(template)
    record["commit"] = record["commit"] if commit_hash is None else commit_hash
    (project / RECORD).write_text(
        json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    commit(project, "The template has moved")
    return project


def module(project):
    """A module of the project's package that is on every level: its path."""
    return sorted(project.glob("src/*/problem.py"))[0].relative_to(project).as_posix()


def edit(text, other):
    """Both texts with a line of the user's in the middle of what they have most in common."""
    lines, others = text.decode().splitlines(keepends=True), other.decode().splitlines(
        keepends=True
    )
    block = difflib.SequenceMatcher(None, lines, others, autojunk=False).find_longest_match()
    half = block.size // 2
    for kept, place in ((lines, block.a + half), (others, block.b + half)):
        kept.insert(place, f"{MINE}\n")
    return "".join(lines).encode(), "".join(others).encode()


def append(path, text):
    """More at the end of a file."""
    path.write_bytes(path.read_bytes() + text.encode())


def new_files(generate, low, high):
    """The paths that a climb from one level to the other brings."""
    return sorted(
        files(generate(maturity_level=high)).keys() - files(generate(maturity_level=low)).keys()
    )


# ── The promise ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("low", "high"), PAIRS)
def test_a_climb_gives_what_a_fresh_generation_gives(start, same, low, high):
    """From any level to any other, up or down, the files are those of a fresh generation."""
    project = start(low)
    climbed(project, high)
    same(project, high)


@pytest.mark.parametrize(("low", "high"), PAIRS)
def test_a_climb_keeps_edits(start, generate, low, high):
    """Edits in code, configuration, README, pyproject and Makefile stand on the new level."""
    project, wanted = start(low), files(generate(maturity_level=high))
    for path in (*EDITED, module(project)):
        text, wanted[path] = edit((project / path).read_bytes(), wanted[path])
        (project / path).write_bytes(text)
    (project / "notes.md").write_bytes(b"mine")
    commit(project)
    climbed(project, high)
    assert files(project) == wanted | {"notes.md": b"mine"}


def test_every_file_keeps_its_mode(start, generate):
    """What is executable in a fresh generation is executable after a climb."""
    project = start("0")
    climbed(project, "4")
    fresh = generate(maturity_level="4")
    modes = [
        {path: os.access(folder / path, os.X_OK) for path in files(fresh)}
        for folder in (project, fresh)
    ]
    assert modes[0] == modes[1]


def test_a_climb_is_one_commit_that_can_be_reverted(start, same):
    """`git revert HEAD` is the way back: files and record are those of the level before."""
    project = start("1")
    climbed(project, "3")
    assert git(project, "rev-list", "--count", "HEAD") == "2"
    git(project, "revert", "--no-edit", "HEAD")
    same(project, "1")


def test_several_answers_change_at_once(start, same):
    """A level and two answers go in one commit."""
    project = start("1")
    climbed(project, "4", "framework=lightgbm", "cloud=aws")
    same(project, "4", framework="lightgbm", cloud="aws")
    message = git(project, "log", "-1", "--format=%B")
    assert (
        "maturity_level: 1 -> 4\nframework: scikit-learn -> lightgbm\ncloud: none -> aws" in message
    )


def test_an_answer_changes_alone(start, same):
    """An answer changes without a level."""
    project = start("2")
    climbed(project, "framework=lightgbm")
    same(project, "2", framework="lightgbm")
    assert git(project, "log", "-1", "--format=%s") == "Change framework"


@pytest.mark.parametrize(("low", "high"), [("1", "2"), ("2", "4"), ("4", "1")])
def test_a_project_without_a_service_climbs_to_one_without(start, same, low, high):
    """The answer is kept: a level brings nothing of a service."""
    project = start(low, serve="batch")
    climbed(project, high)
    same(project, high, serve="batch")


def test_a_service_goes_and_comes_back(start, same):
    """With the answer alone; each time the files are those of a fresh generation."""
    project = start("3")
    for answer in ("batch", "api", "both"):
        assert f"-> {answer}" in climbed(project, f"serve={answer}")
        same(project, "3", serve=answer)


def test_a_project_from_before_the_question_has_a_service(start, same):
    """Without the answer in its record it is as before, and the climb records the answer."""
    project = start("2")
    record = json.loads((project / RECORD).read_text(encoding="utf-8"))
    del record["context"]["cookiecutter"]["serve"]
    (project / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    commit(project, "As it was")
    climbed(project, "3")
    same(project, "3", serve="both")


def test_free_text_survives(start):
    """Quotes, accents, emoji, equals signs and spaces arrive in the record as they were typed."""
    project, text = start("1"), """Zoë "the 🦙" O'Neill = a\\b $HOME 100%"""
    climbed(project, "2", f"author_name={text}", PYTHONIOENCODING="ascii")
    climbed(project, "3")
    answer = f'"author_name": {json.dumps(text, ensure_ascii=False)},'
    assert answer in (project / RECORD).read_text(encoding="utf-8")


def test_success_says_what_happened_and_what_is_next(start, generate):
    """The levels, how many files came, changed and went, and the next commands, aligned."""
    project, came = start("1"), len(new_files(generate, "1", "2"))
    low, high = (files(generate(maturity_level=level)) for level in "12")
    changed = sum(text != high[path] for path, text in low.items())
    assert climbed(project, "2").splitlines() == [
        "maturity_level  1 -> 2",
        f"files           {came} came, {changed} changed, 0 went",
        "look            git show --stat HEAD",
        "next            make setup, then make help",
        "back            git revert HEAD",
    ]
    assert git(project, "log", "-1", "--format=%s") == "Climb to maturity level 2"


def test_the_same_level_changes_nothing(start):
    """A project that is there already is told so, with exit code 0 and no commit."""
    project = start("2")
    assert climbed(project, "2") == "Already at level 2: nothing to change.\n"
    assert climbed(project, "2", "ci=github") == "Already at level 2: nothing to change.\n"
    assert git(project, "rev-list", "--count", "HEAD") == "1"


def test_nothing_is_written_to_the_home(start, machine):
    """cookiecutter leaves no replay file, and reads no configuration of the user's."""
    (machine.parent / ".cookiecutterrc").write_text("default_context: {author_name: Wrong}\n")
    project = start("1")
    climbed(project, "2")
    assert sorted(os.listdir(machine.parent)) == [".cookiecutterrc", ".gitconfig"]
    assert '"Wrong"' not in (project / RECORD).read_text(encoding="utf-8")


# ── Edits that meet the climb ────────────────────────────────────────────────────────────────


@pytest.fixture
def conflicting(start):
    """A project in which the user rewrote the lines that the template changes too."""
    project = start("1")
    for path in ("uv.lock", "pyproject.toml"):
        lines = (project / path).read_text(encoding="utf-8").splitlines()
        (project / path).write_text(
            "\n".join(f"{line} mine" for line in lines) + "\n", encoding="utf-8"
        )
    commit(project)
    return project


def test_the_same_line_is_a_conflict(conflicting):
    """An edit of a line that the template changes too: exit code 1, the file, the ways on and back."""
    done = climb(conflicting, "4", "framework=lightgbm")
    assert (done.returncode, done.stdout) == (1, "")
    assert "  pyproject.toml\n  uv.lock\n" in done.stderr
    assert "git cherry-pick --continue" in done.stderr and "git cherry-pick --abort" in done.stderr
    assert "git checkout --theirs uv.lock && uv lock && git add uv.lock" in done.stderr
    assert "<<<<<<<" in (conflicting / "pyproject.toml").read_text(encoding="utf-8")


def test_abort_brings_everything_back(conflicting):
    """After a conflict, `git cherry-pick --abort` leaves the files and the branch as they were."""
    before = files(conflicting), state(conflicting)
    assert climb(conflicting, "4", "framework=lightgbm").returncode == 1
    git(conflicting, "cherry-pick", "--abort")
    assert (files(conflicting), state(conflicting)) == before


def test_a_conflict_can_be_ended(conflicting):
    """After a conflict, edits, `git add` and `git cherry-pick --continue` end the climb."""
    assert climb(conflicting, "4", "framework=lightgbm").returncode == 1
    git(conflicting, "checkout", "--theirs", ".")
    git(conflicting, "add", ".")
    git(conflicting, "-c", "core.editor=true", "cherry-pick", "--continue")
    assert climbed(conflicting, "4") == "Already at level 4: nothing to change.\n"


def test_an_edited_file_that_goes_is_a_conflict(start, generate):
    """Going down, a file that the user edited is not deleted without a question."""
    project = start("4")
    path = next(path for path in new_files(generate, "0", "4") if path.endswith(".py"))
    append(project / path, f"{MINE}\n")
    commit(project)
    done = climb(project, "0")
    assert done.returncode == 1 and f"  {path}\n" in done.stderr
    assert MINE in (project / path).read_text(encoding="utf-8")


def test_a_renamed_file_keeps_its_new_name_and_gets_the_change(start, generate):
    """A file that the user renamed is changed where it is now."""
    project = start("1")
    git(project, "mv", "pyproject.toml", "project.toml")
    commit(project)
    climbed(project, "4", "framework=lightgbm")
    fresh = files(generate(maturity_level="4", framework="lightgbm"))
    assert not (project / "pyproject.toml").exists()
    assert (project / "project.toml").read_bytes() == fresh["pyproject.toml"]


def test_a_deleted_file_stays_deleted(start):
    """A file that the user deleted, and the template does not change, does not come back."""
    project = start("1")
    path = module(project)
    git(project, "rm", "--quiet", path)
    commit(project)
    climbed(project, "4")
    assert not (project / path).exists()


def test_a_deleted_file_that_changes_is_a_conflict(start):
    """A file that the user deleted, and the template changes, is asked about."""
    project = start("0")
    git(project, "rm", "--quiet", "pyproject.toml")
    commit(project)
    done = climb(project, "4")
    assert done.returncode == 1 and "  pyproject.toml\n" in done.stderr


def test_a_formatter_before_the_first_commit_does_no_harm(start, generate):
    """Other indentation in Python and another layout of the record: the climb is without conflict."""
    project = start("1")
    for path in (project / "src").rglob("*.py"):
        if (
            path.read_bytes()
            == (generate(maturity_level="4") / path.relative_to(project)).read_bytes()
        ):
            path.write_text(
                path.read_text(encoding="utf-8").replace("    ", "\t"), encoding="utf-8"
            )
    record = json.loads((project / RECORD).read_text(encoding="utf-8"))
    (project / RECORD).write_text(json.dumps(record, indent=4, sort_keys=True), encoding="utf-8")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--amend", "--no-edit")
    formatted = files(project)
    climbed(project, "4")
    wanted, found = files(generate(maturity_level="4")), files(project)
    assert found.keys() == wanted.keys()
    assert all(found[p] in (wanted[p], formatted.get(p)) for p in wanted if p != RECORD)
    assert json.loads(found[RECORD]) == json.loads(wanted[RECORD])


def test_changes_made_by_hand_already_do_no_harm(start, same, generate):
    """Whoever copied the new level's files in by hand gets the record, and nothing is left open."""
    project = start("0")
    shutil.copytree(
        generate(maturity_level="4"),
        project,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns(RECORD),
    )
    commit(project)
    climbed(project, "4")
    same(project, "4")


def test_extras_in_the_record_are_kept(start):
    """What else stands in the record, such as cruft's `skip`, is there after the climb."""
    project = start("1")
    record = json.loads((project / RECORD).read_text(encoding="utf-8")) | {"skip": ["data"]}
    (project / RECORD).write_text(json.dumps(record), encoding="utf-8")
    commit(project)
    climbed(project, "2")
    assert json.loads((project / RECORD).read_text(encoding="utf-8"))["skip"] == ["data"]


# ── Files that git does not keep ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ignored", [False, True])
def test_untracked_files_in_the_way_are_refused(start, generate, ignored):
    """A file on disk where the new level brings one is named, whether git ignores it or not."""
    project, path = start("0"), new_files(generate, "0", "4")[-1]
    if ignored:
        append(project / ".gitignore", f"/{path}\n")
        commit(project)
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_bytes(b"mine")
    line = refused(project, "4")
    assert line == f"In the way, and not committed: {path}. First move, commit or delete them\n"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_file_in_place_of_a_folder_is_refused(start, generate, kind):
    """A file, or a link, that has the name of a folder that comes is named."""
    project = start("0")
    folders = {path.split("/")[0] for path in new_files(generate, "0", "4") if "/" in path}
    folder = sorted(folder for folder in folders if not (project / folder).exists())[0]
    append(project / ".gitignore", f"/{folder}\n")
    commit(project)
    if kind == "link":
        (project / folder).symlink_to(project.parent)
    else:
        (project / folder).write_bytes(b"mine")
    assert f"not committed: {folder}." in refused(project, "4")


def test_a_file_that_git_no_longer_keeps_is_refused(start, generate):
    """A file that the user took out of git, but keeps on disk, is not overwritten."""
    project = start("0")
    git(project, "rm", "--quiet", "--cached", "pyproject.toml")
    append(project / ".gitignore", "/pyproject.toml\n")
    commit(project)
    assert "not committed: pyproject.toml." in refused(project, "4")


def test_other_untracked_files_stay(start, same):
    """Untracked and ignored files elsewhere are left alone."""
    project = start("1")
    (project / "scratch.txt").write_bytes(b"mine")
    assert climb(project, "2").returncode == 0
    assert (project / "scratch.txt").read_bytes() == b"mine"
    (project / "scratch.txt").unlink()
    same(project, "2")


# ── Repositories of every kind ───────────────────────────────────────────────────────────────


def test_a_second_climb_on_a_fresh_clone(start, same, tmp_path):
    """What one person climbed, another clones and climbs on."""
    project = start("1")
    climbed(project, "2")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(project), str(clone))
    climbed(clone, "4")
    same(clone, "4")


def test_a_project_in_a_folder_of_a_larger_repository(generate, same, tmp_path):
    """Only the project's folder changes, whatever its name; messages name its files from there."""
    top = tmp_path / "größer [1]"
    project = top / ":teams" / "ml *flights*"
    shutil.copytree(generate(maturity_level="1"), project)
    (top / "Makefile").write_bytes(b"mine")
    git(top, "init", "--quiet")
    commit(top)
    climbed(project, "3")
    same(project, "3")
    assert (top / "Makefile").read_bytes() == b"mine"
    append(project / "README.md", "more")
    append(top / "Makefile", "more")
    stopped = climb(project, "4").stderr
    assert stopped == "Not committed: README.md, ../../Makefile. First git commit, or git stash\n"


def test_spaces_letters_and_another_folder(start, same):
    """Paths may hold spaces and any letters, and the command may be given in any folder of the project."""
    project = start("1", place="Über uns/flug daten 🦙")
    assert climb(project, "3", at=project / "src").returncode == 0
    same(project, "3")


def test_a_detached_head_and_a_worktree(start, same, tmp_path):
    """A climb works in a worktree, and on no branch; the first checkout is left alone."""
    project, other = start("1"), tmp_path / "other"
    git(project, "worktree", "add", "--quiet", "--detach", str(other))
    climbed(other, "3")
    same(other, "3")
    same(project, "1")


@pytest.mark.parametrize(
    "setting", ["autocrlf = true", "autocrlf = input", "autocrlf = true\n\tsafecrlf = true"]
)
def test_line_endings_of_the_machine(start, same, machine, setting):
    """Whatever git does to line endings on this machine, the commit holds the template's files."""
    project = start("1")
    machine.write_text(f"{IDENTITY}[core]\n\t{setting}\n")
    git(project, "rm", "--quiet", "-r", "--cached", ".")
    git(project, "reset", "--quiet", "--hard")
    climbed(project, "3")
    machine.write_text(IDENTITY)
    clone = project.with_name("clone")
    git(project, "clone", "--quiet", str(project), str(clone))
    same(clone, "3")


def test_the_machine_ignores_files_that_come(start, same, machine):
    """Files that the user's global gitignore names come all the same."""
    (machine.parent / "ignored").write_text("*.md\n*.yml\n*.yaml\n*.py\n")
    machine.write_text(f"{IDENTITY}[core]\n\texcludesFile = {machine.parent / 'ignored'}\n")
    project = start("1")
    climbed(project, "4")
    same(project, "4")


def test_settings_of_the_machine_do_not_matter(start, same, machine):
    """Merge, colour, status and checkout settings of the user's do not change what comes."""
    hooks = machine.parent / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "post-checkout").chmod(0o755)
    machine.write_text(
        f"{IDENTITY}[core]\n\thooksPath = {hooks}\n[merge]\n\trenames = false\n\tconflictStyle = diff3\n"
        "[color]\n\tui = always\n[status]\n\trelativePaths = false\n\tshowUntrackedFiles = all\n"
        "[diff]\n\tnoprefix = true\n\trelative = true\n"
    )
    project = start("1")
    git(project, "mv", "pyproject.toml", "project.toml")
    commit(project)
    climbed(project, "3")
    git(project, "mv", "project.toml", "pyproject.toml")
    same(project, "3")


def test_a_climb_from_inside_a_git_hook(start, same, tmp_path):
    """Variables that git sets for hooks and aliases do not lead the climb elsewhere."""
    project = start("1")
    elsewhere = {
        "GIT_DIR": str(tmp_path / "no"),
        "GIT_INDEX_FILE": "x",
        "GIT_WORK_TREE": str(tmp_path),
    }
    assert climb(project, "2", **elsewhere).returncode == 0
    same(project, "2")


# ── Templates of every kind ──────────────────────────────────────────────────────────────────


def test_a_template_that_is_a_plain_folder(start, generate, template, tmp_path):
    """A template without git is rendered as it is; it has no versions, and nothing is written to it."""
    plain = tmp_path / "plain template"
    shutil.copytree(template, plain, ignore=shutil.ignore_patterns(".git", "__pycache__"))
    before = sorted(plain.rglob("*"))
    project = recorded_at(start("1"), plain, "")
    climbed(project, "3")
    wanted = files(generate(maturity_level="3"))
    assert files(project) | {RECORD: b""} == wanted | {RECORD: b""}
    assert json.loads((project / RECORD).read_bytes())["commit"] == ""
    assert f"The template {plain} is recorded without a commit" in refused(
        project, "--template-version", "v1"
    )
    assert sorted(plain.rglob("*")) == before


def newer(template):
    """A version v1 of the template: a file more, a question more, a question less."""
    (made,) = template.glob("{{*")
    (made / "NEWS.md").write_text("{{ cookiecutter.region }}\n")
    questions = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    asked = {"region": ["eu", "us"]} | {k: v for k, v in questions.items() if k != "author_name"}
    (template / "cookiecutter.json").write_text(json.dumps(asked), encoding="utf-8")
    for path in template.rglob("*"):
        if (
            path.is_file()
            and ".git" not in path.parts
            and b"cookiecutter.author_name" in path.read_bytes()
        ):
            path.write_bytes(
                path.read_bytes().replace(b"cookiecutter.author_name", b"cookiecutter.region")
            )
    commit(template, "Newer")
    git(template, "tag", "v1")
    return git(template, "rev-parse", "v1")


@pytest.mark.parametrize(("version", "level"), [("v1", "1"), ("dev", "1"), ("hash", "3")])
def test_a_newer_version_of_the_template(start, versions, version, level):
    """A tag, branch or hash; new questions take their defaults, answers to old ones are dropped."""
    project = recorded_at(start("1"), versions)
    wanted = newer(versions)
    if version == "dev":
        git(versions, "branch", "dev")
    git(versions, "reset", "--quiet", "--hard", "v0")
    climbed(project, level, "--template-version", wanted if version == "hash" else version)
    record = json.loads((project / RECORD).read_text(encoding="utf-8"))
    answers = record["context"]["cookiecutter"]
    assert (record["commit"], record["template"]) == (wanted, str(versions))
    assert answers["_template"] == str(versions)
    assert (answers["region"], answers["maturity_level"], "author_name" in answers) == (
        "eu",
        level,
        False,
    )
    assert (project / "NEWS.md").read_text() == "eu\n"


def test_the_recorded_version_is_the_one_that_is_rendered(start, same, versions):
    """A level alone does not bring a newer template."""
    project = recorded_at(start("1"), versions)
    newer(versions)
    climbed(project, "3")
    assert not (project / "NEWS.md").exists()


def test_the_same_version_changes_nothing(start):
    """A version that the project has already: nothing to change."""
    project = start("1")
    assert (
        climbed(project, "--template-version", "v0") == "Already at level 1: nothing to change.\n"
    )


def test_a_template_behind_an_address(start, template):
    """A template is cloned from an address as from a folder."""
    project = recorded_at(start("1"), template.as_uri())
    climbed(project, "3")
    assert json.loads((project / RECORD).read_bytes())["template"] == template.as_uri()


# ── Refused, in one line, before anything changes ────────────────────────────────────────────


def test_a_level_that_does_not_exist(start):
    """An unknown level is named, with those that there are."""
    assert refused(start("1"), "9") == "maturity_level: '9' is not one of 0, 1, 2, 3, 4\n"


def test_an_unknown_question(start):
    """An unknown question is named, with those that there are."""
    line = refused(start("1"), "2", "colour=red")
    assert line.startswith("colour: no such question. There are: project_name, project_slug, ")


def test_an_answer_that_is_not_offered(start):
    """An answer outside the choices is named, with the choices."""
    line = refused(start("1"), "framework=magic")
    assert line == "framework: 'magic' is not one of lightgbm, scikit-learn, xgboost\n"


def test_every_wrong_answer_is_named_at_once(start):
    """Two wrong answers are two lines."""
    done = climb(start("1"), "9", "framework=magic")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == [
        "maturity_level",
        "framework",
    ]


def test_what_the_template_refuses(start):
    """The template's own refusal arrives as its own line, without cookiecutter's noise."""
    line = refused(start("1"), "package_name=1a")
    assert "package_name: '1a'" in line and "Hook" not in line


def test_template_code_in_an_answer(start):
    """An answer that would come out changed is refused."""
    line = refused(start("1"), "author_name={{ 7*7 }}")
    assert line == "author_name: '{{ 7*7 }}' would become '49': no Jinja here\n"


@pytest.mark.parametrize("arguments", [[], ["2", "3"]])
def test_no_level_or_two(start, arguments):
    """Without a level, or with two, the usage is shown."""
    done = climb(start("1"), *arguments)
    assert done.returncode == 2 and "name one level" in done.stderr


def test_no_git_repository(start):
    """A project outside of git is told how to begin."""
    project = start("1")
    shutil.rmtree(project / ".git")
    assert (
        refused(project, "2") == "No git repository here: git init && git add --all && git commit\n"
    )


def test_no_git_at_all(start, tmp_path):
    """A machine without git is told so."""
    assert refused(start("1"), "2", PATH=str(tmp_path)).startswith("git is not installed")


def test_no_commit_yet(start):
    """A repository without a commit is told to make one."""
    project = start("1")
    shutil.rmtree(project / ".git")
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    assert refused(project, "2") == f"{RECORD} is not committed: git add --all && git commit\n"


@pytest.mark.parametrize("staged", [False, True])
def test_changes_that_are_not_committed(start, staged):
    """Changes in tracked files, staged or not, are named."""
    project = start("1")
    append(project / "README.md", "more\n")
    if staged:
        git(project, "add", "README.md")
    assert refused(project, "2") == "Not committed: README.md. First git commit, or git stash\n"


@pytest.mark.parametrize("command", ["merge", "rebase", "cherry-pick", "revert"])
def test_something_else_is_under_way(start, command):
    """In the middle of a merge, rebase, cherry-pick or revert there is no climb."""
    project = start("1")
    for branch in ("theirs", "ours"):
        git(project, "switch", "--quiet", "--create", branch, "main")
        (project / "same.txt").write_text(branch)
        commit(project, branch)
    append(project / "same.txt", "more")
    commit(project, "more")
    what = {"revert": "HEAD~"}.get(command, "theirs")
    assert subprocess.run(
        ["git", command, what], cwd=project, capture_output=True, check=False
    ).returncode
    assert refused(project, "2").startswith("A merge, rebase, cherry-pick or revert is under way")


def test_nobody_to_commit_as(start, machine):
    """Without a name and an address, git could not commit: the two commands are named."""
    project = start("1")
    machine.write_text("[user]\n\tuseConfigOnly = true\n")
    assert "git config user.name NAME" in refused(project, "2")


@pytest.mark.parametrize(
    "text", [None, "{", "[]", "{}", '{"template": "x", "commit": null, "context": {}}']
)
def test_a_record_that_is_missing_or_broken(start, text):
    """Without a readable record there is no climb; git knows how it was."""
    project = start("1")
    (project / RECORD).unlink()
    if text is not None:
        (project / RECORD).write_text(text)
    commit(project)
    line = refused(project, "2")
    assert (
        line.startswith(f"{RECORD} is missing or broken") and f"git log --patch -- {RECORD}" in line
    )


@pytest.mark.parametrize("commit_hash", [None, ""])
def test_a_template_that_is_gone(start, tmp_path, commit_hash):
    """A template that cannot be reached is named, with the place to mend."""
    project = recorded_at(start("1"), tmp_path / "gone", commit_hash)
    line = refused(project, "2")
    assert str(tmp_path / "gone") in line and f'mend "template" in {RECORD}' in line


def test_a_commit_that_the_template_does_not_have(start, template):
    """A recorded commit that the template has lost is named."""
    project = recorded_at(start("1"), template, "0" * 40)
    assert f"{template} has no version {'0' * 40}; its tags: v0" in refused(project, "2")


def test_a_version_that_does_not_exist(start, template):
    """An unknown version is named, with the newest tags."""
    line = refused(start("1"), "--template-version", "v9")
    assert line == f"The template {template} has no version v9; its tags: v0\n"
