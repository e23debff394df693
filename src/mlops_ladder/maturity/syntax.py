"""What a Python text imports, defines and tests, by its syntax; it is never run."""

import ast
import doctest
import re
from functools import cache
from typing import Any

MAGIC = re.compile(r"^(\s*)(?:[%!?]|\w+ *= *[%!]).*|.*\?$", re.MULTILINE)  # no Python in a notebook
OTHERS = re.compile(r"\s*%%(?!time|capture|prun)")  # cells in another language, or a file
MOCKS = re.compile("assert_(?:called|any_call|has_calls|not_called|await|any_await|has_await)")


@cache
def tree(text: str) -> ast.Module | None:
    """The parsed text, or None where it is no Python."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@cache
def nodes(text: str) -> tuple[ast.AST, ...]:
    """All of the syntax of a Python text; nothing where it is no Python."""
    return tuple(ast.walk(parsed)) if (parsed := tree(text)) else ()


@cache
def imported(text: str) -> frozenset[str]:
    """The modules that a Python text imports, and the packages above them; not its own."""
    found: set[str] = set()
    for node in nodes(text):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    parts = [name.split(".") for name in found]
    found = {".".join(it[:end]) for it in parts for end in range(1, len(it) + 1)}
    return frozenset(found)


@cache
def defined(text: str) -> frozenset[str]:
    """The names at the top of a Python text: functions, classes, constants, imports."""
    found: set[str] = set()
    for node in nodes(text):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return frozenset(found)


def idle(node: ast.AST) -> bool:
    """Does a body do nothing: a docstring, `pass`, `...`, or a constant that is returned?"""
    rest = [
        it
        for it in getattr(node, "body", [])
        if not isinstance(it, ast.Pass)
        and not (isinstance(it, ast.Expr) and isinstance(it.value, ast.Constant))
        and not (isinstance(it, ast.Return) and isinstance(it.value, ast.Constant | None))
    ]
    return not rest


def notebook_code(notebook: Any) -> str:
    """The Python in the cells of a notebook, without magics and what is for a shell."""
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    code = []
    for cell in cells if isinstance(cells, list) else ():
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source = cell.get("source", "")
            text = "".join(map(str, source)) if isinstance(source, list) else str(source)
            plain = MAGIC.sub(r"\1pass", text)
            if not OTHERS.match(text) and tree(plain):
                code.append(plain)
    return "\n".join(code)


def compares(call: ast.Call) -> bool:
    """Is it a call of an assertion, of unittest, numpy, pandas, pytest or a helper?

    One whose arguments are constants compares nothing.
    """
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name.endswith(("raises", "warns", "fail", "raises_regex")) or MOCKS.match(name):
        return True
    given = [*call.args, *(it.value for it in call.keywords)]
    varies = any(isinstance(it, ast.Call | ast.Name) for part in given for it in ast.walk(part))
    return varies and name.lower().lstrip("_").startswith("assert")


def proves(node: ast.AST, helpers: frozenset[str] = frozenset()) -> bool:
    """Does a test compare something, itself or by one of these helpers?"""
    for it in ast.walk(node):
        if isinstance(it, ast.Assert) and not isinstance(it.test, ast.Constant):
            if any(isinstance(part, ast.Call | ast.Name) for part in ast.walk(it.test)):
                return True
        if isinstance(it, ast.Call):
            name = getattr(it.func, "attr", getattr(it.func, "id", ""))
            if compares(it) or name in helpers:
                return True
    return False


def list_tests(text: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The test functions of a Python text that compare something."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [it for it in nodes(text) if isinstance(it, kinds)]
    helpers = frozenset(it.name for it in found if not it.name.startswith("test") and proves(it))
    return [it for it in found if it.name.startswith("test") and proves(it, helpers)]


def has_examples(text: str) -> bool:
    """Has a docstring an example with its answer, as doctest runs them?"""
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in nodes(text) if ">>>" in text else ():
        words = ast.get_docstring(node) if isinstance(node, holders) else None
        try:
            if any(it.want for it in doctest.DocTestParser().get_examples(words or "")):
                return True
        except ValueError:
            continue
    return False
