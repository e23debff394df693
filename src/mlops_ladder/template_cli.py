"""The command of the template's own distribution: `uvx --from TEMPLATE mlops-ladder COMMAND`.

Its commands work on any folder.  The folder that it is started in need not be trusted.
"""

import sys

from mlops_ladder.adopt import command as adopt
from mlops_ladder.climb import command as climb
from mlops_ladder.maturity import command as maturity

COMMANDS = {"adopt": adopt.main, "climb": climb.main, "maturity": maturity.main}


def main() -> None:
    """Run the command that is named first, with the other words as its arguments."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        COMMANDS[name](rest)
    elif name in ("-h", "--help"):
        print(f"Usage: mlops-ladder COMMAND [--help]\nCommands: {', '.join(COMMANDS)}")
    else:
        print(f"{name}: no such command; commands: {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
