"""Budgets: what a person has to read stays small, and Jinja is rationed."""

import ast
import io
import re
import sys
import tokenize

import pytest
from conftest import files, Generate, LEVELS, PROJECT, ROOT, run

SEAMS = {"README.md", "pyproject.toml"}
LIBRARY = ROOT / "src" / "mlops_ladder"
BRANCH = re.compile(r"# \{%-?\s*(?:if|elif|for|set|macro)")
UNREAD = ("data/", ".cruft.json")
FILES = dict(zip(LEVELS, (20, 35, 65, 120, 160)))
PYTHON = dict(zip(LEVELS, (90, 250, 650, 950, 1200)))  # all lines of src and tests
# Code lines of the library: at most what package and tools of a level-4 project had before there was one.
LINES = 17_302  # of the machinery
JUDGES = {"maturity", "climb", "adopt"}  # parts that work on any repository
JUDGES_LINES = 7_180


def code_lines(text: str) -> int:
    """How many lines hold code: no blank ones, comments or docstrings."""
    docstrings = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in nothing and token.string
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(lines - docstrings)


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_has_few_files(generate: Generate, level: str) -> None:
    """Beside what nobody reads to work on the project, a level keeps to its number of files."""
    found = files(generate(maturity_level=level))
    names = {name for name in found if not name.startswith(UNREAD)}
    assert len(names) <= FILES[level]


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_has_little_python(generate: Generate, level: str) -> None:
    """A person reads the Python of a project, tests and all, in an hour."""
    project = generate(maturity_level=level)
    paths = [*project.glob("src/**/*.py"), *project.glob("tests/**/*.py")]
    counts = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert sum(counts.values()) <= PYTHON[level], counts


def test_the_library_has_few_lines_of_code() -> None:
    """Machinery, and what works on any repository, keep to their numbers of lines of code."""
    lines = {True: 0, False: 0}
    for path in LIBRARY.rglob("*.py"):
        judges = path.relative_to(LIBRARY).parts[0] in JUDGES
        lines[judges] += code_lines(path.read_text(encoding="utf-8"))
    assert lines[False] <= LINES
    assert lines[True] <= JUDGES_LINES


@pytest.mark.parametrize("framework", ["scikit-learn", "lightgbm", "xgboost"])
def test_a_function_fits_in_a_glance(generate: Generate, framework: str) -> None:
    """No function of library or package is longer than 25 lines with its docstring taken out."""
    project = generate(maturity_level="4", framework=framework)
    long = []
    for path in sorted([*project.glob("src/*/**/*.py"), *LIBRARY.rglob("*.py")]):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 25:
                body = ast.get_source_segment(text, node) or ""
                if (count := code_lines(body)) > 25:
                    long.append(f"{path.name}:{node.name} {count}")
    assert long == []


def test_a_module_stays_under_400_lines(generate: Generate) -> None:
    """Every module is one subject, and can be read in one go."""
    paths = [*generate(maturity_level="4").glob("src/**/*.py"), *LIBRARY.rglob("*.py")]
    counts = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {name: count for name, count in counts.items() if count > 400} == {}


def test_branches_live_only_in_seams_and_stay_few() -> None:
    """Jinja asks questions in two files, at most eleven each."""
    counts = {
        path: found
        for path in PROJECT.rglob("*")
        if path.is_file()
        and path.suffix not in (".lock", ".whl")
        and (found := len(BRANCH.findall(path.read_text(encoding="utf-8"))))
    }
    assert {path.name for path in counts} <= SEAMS
    assert max(counts.values()) <= 11


def test_no_level_number_is_asked_for() -> None:
    """Files ask for capabilities by name, never for a level."""
    texts = {
        path: path.read_text(encoding="utf-8")
        for path in PROJECT.rglob("*.*")
        if path.is_file() and path.suffix != ".whl"
    }
    assert [name for name, text in texts.items() if re.search(r"\{%.*maturity_level", text)] == []


def test_paths_hold_no_logic() -> None:
    """No file or folder name of the template holds a question."""
    assert [path for path in PROJECT.rglob("*") if "{%" in path.name] == []


@pytest.mark.parametrize("level", LEVELS)
def test_black_changes_nothing_in_a_new_project(generate: Generate, level: str) -> None:
    """Its own `make check` would change the file, and fail."""
    project = generate(maturity_level=level)
    done = run(sys.executable, "-m", "black", "--check", "--quiet", "--diff", ".", at=project)
    assert done.returncode == 0, done.stdout
