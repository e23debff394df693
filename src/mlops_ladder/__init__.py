"""mlops-ladder: the machinery of a machine-learning project, from its level on."""

from mlops_ladder.cli import main, refuse_other_folder, run
from mlops_ladder.errors import ProjectError, refuse_faults
from mlops_ladder.files import sync_folder, write_synced, write_whole

__all__ = ["ProjectError", "main"]
__all__ += ["refuse_faults", "refuse_other_folder", "run"]
__all__ += ["sync_folder", "write_synced", "write_whole"]
