# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7,<3", "jinja2>=3.1", "pyyaml>=6"]
# ///
"""Render the template with the arguments of `cookiecutter()`, as JSON on standard input.

It runs as a script: a project and the image of a service do not contain what templates need.
Cookiecutter's own command line would silently ignore an unknown answer.
"""

import json
import logging
import sys

from cookiecutter.main import cookiecutter


def main() -> None:
    """Render.  An error goes to standard error; a hook has already printed its own."""
    logging.disable()
    sys.dont_write_bytecode = True
    try:
        cookiecutter(**json.load(sys.stdin))
    except Exception as error:  # pylint: disable=broad-exception-caught  # a hook can raise any
        name = type(error).__name__
        sys.exit("" if name == "FailedHookException" else f"{name}: {error}")


if __name__ == "__main__":
    main()
