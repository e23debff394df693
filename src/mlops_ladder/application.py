"""The typer application: the options of a command are those of its function."""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from mlops_ladder.commands import Command

USAGE: Any = typer.BadParameter.__mro__[1]  # UsageError, of click or of typer's copy of it


class LazyCommand(TyperCommand):
    """A command whose line of help comes from the table; its module is imported when it runs."""

    def __init__(self, command: Command) -> None:
        panel = command.group.capitalize()
        super().__init__(command.name, help=command.help, rich_help_panel=panel)
        self._command = command

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parse the words with the options that the function has."""
        return build_typer_command(self._command).make_context(*args, **options)


def build_typer_command(command: Command) -> Any:
    """Return the command that typer makes of the function behind a name."""
    plain: Any = {"add_completion": False, "pretty_exceptions_enable": False}
    application = typer.Typer(**plain, rich_markup_mode=None)
    application.command(command.name, help=command.help)(command.load())
    return get_command(application)


def run_application(words: list[str], commands: dict[str, Command]) -> None:
    """Run the command that the words name.  Exit with 2 and the usage if they are wrong."""
    group = TyperGroup(
        name="ladder",
        commands={name: LazyCommand(command) for name, command in commands.items()},
        help="The commands of this project; each tells its options by --help.",
        rich_markup_mode="rich",
    )
    try:
        with group.make_context("ladder", words) as context:
            group.invoke(context)
    except USAGE as error:
        error.show()
        raise SystemExit(2) from error
    except typer.Exit as ended:
        if ended.exit_code:
            raise SystemExit(ended.exit_code) from ended
