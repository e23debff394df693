"""PYTHON -P FOLDER/inside/__main__.py MODULE QUESTION [ARGUMENT …]

The last line that is printed is the answer, as JSON.  The questions are those of this folder, also
if the project's own library brings others: that library may be older than this one.
"""

import json
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

NAME, HERE = "mlops_ladder.maturity.inside", Path(__file__).resolve().parent


def load_questions() -> None:
    """Load this folder as the package that the library knows under this name."""
    place = str(HERE / "__init__.py")
    spec = spec_from_file_location(NAME, place, submodule_search_locations=[str(HERE)])
    assert spec and spec.loader
    sys.modules[NAME] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])


def answer(module: str, question: str, *arguments: str) -> Any:
    """Return the answer of a function in a module of questions."""
    return getattr(import_module(f"{NAME}.{module}"), question)(*arguments)


if __name__ == "__main__":
    load_questions()
    sys.stdout.write(f"\n{json.dumps(answer(*sys.argv[1:]), default=str)}\n")
