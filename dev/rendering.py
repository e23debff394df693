"""Render a project of the template, for what is made from one."""

from pathlib import Path

from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).resolve().parents[1]


def render(folder: str, **answers: str) -> Path:
    """Return a new project in a folder, with these answers and else the defaults."""
    return Path(
        cookiecutter(
            str(TEMPLATE),
            no_input=True,
            default_config=True,
            extra_context=answers,
            output_dir=folder,
        )
    )
