"""How the tests are distributed to processes: by file, so that its fixtures are made once."""

from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

# There is one Docker engine at a time: these files run in one process, one after the other.
ENGINE = set("level_2_ci level_2_delivery level_3_kubernetes level_3_stack level_4_pods".split())


def find_group(nodeid: str) -> str:
    """Return the group of a test: its file, or `engine`."""
    file = nodeid.partition("::")[0]
    return "engine" if Path(file).stem.removeprefix("test_") in ENGINE else file


# xdist 3.8 leaves two methods abstract in its own scheduler, and calls neither.
class FileScheduling(LoadScopeScheduling):  # pylint: disable=abstract-method
    """Gives each group to one process.

    xdist 3.8 ignores `--dist loadgroup` with pytest 9.2, and prints nothing about it.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Return the group of a test (xdist's extension point)."""
        return find_group(nodeid)
