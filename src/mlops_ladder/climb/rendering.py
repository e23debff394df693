# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7,<3", "jinja2>=3.1", "pyyaml>=6"]
# ///
"""Render the template, as JSON on standard input says.

It runs as a script: what templates need is no part of a project, nor of the image of a service.  An
unknown answer would be lost without a word on cookiecutter's command line.
"""

import json
import logging
import sys

from cookiecutter.main import cookiecutter


def main() -> None:
    """Render; a refusal goes to standard error, that of a hook in its own words."""
    logging.disable()
    sys.dont_write_bytecode = True
    try:
        cookiecutter(**json.load(sys.stdin))
    except Exception as error:  # pylint: disable=broad-exception-caught  # whatever a hook raises
        name = type(error).__name__
        sys.exit("" if name == "FailedHookException" else f"{name}: {error}")


if __name__ == "__main__":
    main()
