"""mlops-ladder: the machinery of a machine-learning project, from its level on."""

from .artifacts import code_pickled, digest
from .cli import main, refuse_other_folder, run
from .doors import doors, observers
from .errors import ProjectError
from .files import sync_folder, write_synced, write_whole

__all__ = ["ProjectError", "code_pickled", "digest", "doors", "main", "observers"]
__all__ += ["refuse_other_folder", "run", "sync_folder", "write_synced", "write_whole"]
