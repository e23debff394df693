"""mlops-ladder: the machinery of a machine-learning project, from its level on."""

from mlops_ladder.cli import main, refuse_other_folder, run
from mlops_ladder.errors import ProjectError
from mlops_ladder.files import sync_folder, write_synced, write_whole

__all__ = ["ProjectError", "main"]
__all__ += ["refuse_other_folder", "run", "sync_folder", "write_synced", "write_whole"]
