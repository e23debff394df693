"""What a Python text imports, defines and tests, by its syntax; it is never run."""

import ast
from functools import cache


@cache
def tree(text: str) -> ast.Module | None:
    """The parsed text, or None where it is no Python."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
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


def proves(node: ast.AST) -> bool:
    """Does a test compare something?  A constant that is asserted proves nothing."""
    for it in ast.walk(node):
        if isinstance(it, ast.Assert) and not isinstance(it.test, ast.Constant):
            if any(isinstance(part, ast.Call | ast.Name) for part in ast.walk(it.test)):
                return True
        if isinstance(it, ast.Call) and ast.unparse(it.func).endswith(("raises", "warns", "fail")):
            return True
    return False


def tests(text: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The test functions of a Python text that compare something."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [it for it in nodes(text) if isinstance(it, kinds)]
    return [it for it in found if it.name.startswith("test") and proves(it)]
