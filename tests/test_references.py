"""Strings name modules and functions that exist: planted faults, scripts, signs of maturity."""

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from conftest import domain_tests, PROJECT, ROOT

ADDED = "mlops_ladder.errors.EDIT"  # a test adds this name itself
LIBRARY = ROOT / "src/mlops_ladder"
TESTS = sorted((ROOT / "tests").glob("*.py"))
IMPORT = re.compile(r"\bfrom (mlops_ladder[\w.]*) import ([\w, ]+)")
CALLED = re.compile(r"\bimport_module\(\"(mlops_ladder[\w.]*)\"\)")
TEXTS = [
    path
    for folder in (
        ROOT / "tests",
        ROOT / "dev",
        ROOT / "benchmarks",
        ROOT / "docs",
        PROJECT,
        LIBRARY,
    )
    for path in sorted(folder.rglob("*"))
    if path.suffix in (".py", ".md", ".mk", ".ipynb", ".toml", ".yml", ".yaml", ".sh", "")
    and path.is_file()
    and "adr" not in path.parts
]


def constants(tree: ast.Module) -> dict[str, str]:
    """Return the string constants of a module, by name."""
    known: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            value = evaluate(node.value, known)
            if isinstance(target, ast.Name) and value is not None:
                known[target.id] = value
    return known


def evaluate(node: ast.expr, known: dict[str, str]) -> str | None:
    """Return the text of an expression of literals and known names; None for other expressions."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = evaluate(node.left, known), evaluate(node.right, known)
        return None if left is None or right is None else left + right
    return None


def find_planted(text: str) -> Iterator[tuple[str, str]]:
    """Yield each module with the text that a fault replaces in it: arguments, or parts of a tuple."""
    tree = ast.parse(text)
    known = constants(tree)
    for node in ast.walk(tree):
        parts: Any = getattr(node, "elts", None) or getattr(node, "args", None)
        values = [evaluate(part, known) for part in parts] if isinstance(parts, list) else []
        for path, old, new in zip(values, values[1:], values[2:]):
            if (
                path
                and old
                and new is not None
                and path.endswith(".py")
                and (LIBRARY / path).is_file()
            ):
                yield path, old


def defined(module: str) -> set[str]:
    """Return the names that a module of the library defines or imports; of a package its modules too."""
    place = ROOT / "src" / module.replace(".", "/")
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not path.is_file():
        return set()
    names = {below.stem for below in place.iterdir()} if place.is_dir() else set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names |= {getattr(node, "name", None), getattr(node, "asname", None)} - {None}
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def find_unknown(script: str) -> list[str]:
    """Return the names that a script imports or uses from the library and that do not exist."""
    unknown, modules = [], {}
    for module, listed in IMPORT.findall(script):
        for name in (part.split(" as ") for part in listed.split(",") if part.strip()):
            imported = name[0].strip()
            if imported not in defined(module):
                unknown.append(f"{module}.{imported}")
            modules[name[-1].strip()] = f"{module}.{imported}"
    for name, module in modules.items():
        if (names := defined(module)) and (ROOT / "src" / module.replace(".", "/")).with_suffix(
            ".py"
        ).is_file():
            used = set(re.findall(rf"(?<![\w.]){name}\.(\w+)", script))
            unknown += [f"{module}.{attribute}" for attribute in used - names - {"py", "__name__"}]
    return sorted({*unknown} - {ADDED})


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_what_a_planted_fault_replaces_is_there(path: Path) -> None:
    """Each fault that a slow test plants replaces a text that its module holds."""
    text = path.read_text(encoding="utf-8")
    lost = [
        (module, old)
        for module, old in find_planted(text)
        if old not in (LIBRARY / module).read_text(encoding="utf-8")
    ]
    assert lost == []


def test_the_tests_that_are_to_catch_a_fault_are_there() -> None:
    """Each call of kill_mutant runs tests that exist: those it names, else those of the module."""
    calls, lost = 0, []
    for path in TESTS:
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "kill_mutant":
                calls += 1
                named = [ast.literal_eval(value) for value in filter(is_text, node.args)]
                modules = {module for module, _ in find_planted(text)}
                lost += [name for name in named if not (ROOT / "tests/library" / name).exists()]
                lost += [module for module in modules if not domain_tests(module)]
    assert calls >= 4 and lost == []


def is_text(node: ast.expr) -> bool:
    """Is an expression a literal string?"""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def trials_in_library() -> set[tuple[str, str]]:
    """What a deep run replaces in modules of the library, by its table and by its functions."""
    folder = LIBRARY / "maturity/trials"
    checks = tomllib.loads((folder / "trials.toml").read_text(encoding="utf-8"))["check"]
    steps = [step for check in checks for step in check.get("step", [check])]
    pairs = {tuple(step["library"][:2]) for step in steps if "library" in step}
    for path in folder.glob("*.py"):
        pairs |= set(find_planted(path.read_text(encoding="utf-8")))
    return pairs


def test_what_a_deep_run_replaces_is_there() -> None:
    """A trial that plants a fault in a module of the library finds its place."""
    pairs = trials_in_library()
    assert len(pairs) >= 4
    lost = [pair for pair in pairs if pair[1] not in (LIBRARY / pair[0]).read_text("utf-8")]
    assert lost == []


def test_faults_are_planted_in_many_modules() -> None:
    """The faults are recognised, with constants and sums of strings."""
    pairs = {pair for path in TESTS for pair in find_planted(path.read_text(encoding="utf-8"))}
    assert len(pairs) > 60
    fault = 'WORD = "no such "\nspoil(tree, "registry/gate.py", WORD + "text", "")\n'
    assert list(find_planted(fault)) == [("registry/gate.py", "no such text")]


def scripts(path: Path) -> Iterator[str]:
    """Yield the text of a file; for Python, each string that names the library."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py" or path.is_relative_to(PROJECT):
        yield text
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(text)) if "{{" not in text else ():
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and "mlops_ladder" in node.value
        ):
            yield node.value


def test_scripts_in_texts_import_what_is_there() -> None:
    """Names that files and strings import from the library exist."""
    unknown = {
        str(path.relative_to(ROOT)): names
        for path in TEXTS
        for script in scripts(path)
        if (names := find_unknown(script))
    }
    assert unknown == {}
    assert find_unknown("from mlops_ladder.registry import gate; gate.nothing()") == [
        "mlops_ladder.registry.gate.nothing"
    ]


def signs() -> Iterator[tuple[str, str]]:
    """Each pattern that a sign of maturity looks for, with the module of the library in which it does."""
    table = tomllib.loads((LIBRARY / "maturity/signs.toml").read_text(encoding="utf-8"))
    for rule in (rule for entry in table["sign"] for rule in entry["rules"] if "module" in rule):
        yield from ((rule["module"], re.escape(f"{call}(")) for call in rule.get("calls", ()))
        yield from ((rule["module"], rule[key]) for key in ("pattern",) if key in rule)


def test_signs_of_maturity_look_for_what_is_there() -> None:
    """A sign that looks for a call or a pattern in a module of the library finds it there."""
    pairs = list(signs())
    assert len(pairs) > 80
    lost = [
        (module, pattern)
        for module, pattern in pairs
        if not re.search(pattern, (LIBRARY / module).read_text(encoding="utf-8"))
    ]
    assert lost == []


def test_functions_of_the_signs_are_there() -> None:
    """Each function that signs.toml names is in the module that it names."""
    text = (LIBRARY / "maturity/signs.toml").read_text(encoding="utf-8")
    named = set(re.findall(r'function = "(\w+):(\w+)"', text))
    lost = {
        (module, name)
        for module, name in named
        if name not in defined(f"mlops_ladder.maturity.{module}")
    }
    assert len(named) > 40 and lost == set()


def asked_parts(text: str) -> Iterator[tuple[str, str]]:
    """Yield each module that `part` returns, with a name that is read from it or set in it."""
    for scope in ast.parse(text).body:
        names = {}
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign):
                targets = getattr(node.targets[0], "elts", node.targets)
                values = getattr(node.value, "elts", [node.value])
                for target, value in zip(targets, values):
                    if isinstance(target, ast.Name) and (module := module_of_part(value)):
                        names[target.id] = module
        for node in ast.walk(scope):
            if isinstance(node, ast.Attribute):
                known = names.get(node.value.id) if isinstance(node.value, ast.Name) else None
                if module := known or module_of_part(node.value):
                    yield module, node.attr


def module_of_part(node: ast.expr) -> str | None:
    """Return the module that a call of `part` with a literal returns; None for all else."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "part":
        named = evaluate(node.args[0], {})
        return named and f"mlops_ladder.{named}"
    return None


def test_questions_of_a_deep_run_ask_for_what_is_there() -> None:
    """Each name that a question reads from a part of the library, or replaces in it, is there."""
    paths = (LIBRARY / "maturity/inside").glob("*.py")
    pairs = {pair for path in paths for pair in asked_parts(path.read_text(encoding="utf-8"))}
    assert len(pairs) > 40
    assert [pair for pair in sorted(pairs) if pair[1] not in defined(pair[0])] == []
    lines = 'one, two = part("errors"), 2', 'one.nothing = part("settings").no_such()'
    lost = "def ask():\n    " + "\n    ".join(lines)
    names = {("mlops_ladder.errors", "nothing"), ("mlops_ladder.settings", "no_such")}
    assert set(asked_parts(lost)) == names


HERE = re.compile(
    r"<<'END'\n(.*?)\nEND$|\bpython3? -c '([^']*)'|^\w+='([^']*\bimport\b[^']*)'$", re.S | re.M
)


def wrong_calls(text: str) -> Iterator[str]:
    """Yield the calls of a page's Python whose arguments a class or function does not take."""
    for script in (next(filter(None, groups)) for groups in HERE.findall(text)):
        tree = ast.parse(script.replace("{{ cookiecutter.package_name }}", "mine"))
        known: dict[str, Any] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("mlops_ladder"):
                module = import_module(str(node.module))
                known |= {name.asname or name.name: vars(module)[name.name] for name in node.names}
        for node in ast.walk(tree):
            called = known.get(getattr(node.func, "id", "")) if isinstance(node, ast.Call) else None
            if called:
                try:
                    inspect.signature(called).bind(
                        *node.args, **{word.arg: word for word in node.keywords}
                    )
                except TypeError as error:
                    yield f"{ast.unparse(node)}: {error}"


def test_calls_in_pages_have_the_arguments_that_are_taken() -> None:
    """The Python of runbooks and makefiles calls the library as it is."""
    texts = {path: path.read_text("utf-8") for path in TEXTS if path.suffix in (".md", ".mk")}
    assert sum(len(HERE.findall(text)) for text in texts.values()) >= 8
    wrong = {path.name: list(wrong_calls(text)) for path, text in texts.items()}
    assert {name: calls for name, calls in wrong.items() if calls} == {}
    call = "python - <<'END'\nfrom mlops_ladder.monitoring.archive import Change\nChange(1)\nEND\n"
    assert len(list(wrong_calls(call))) == 1
