"""mlops-ladder: the machinery of a machine-learning project, from its level on."""

from mlops_ladder.cli import main, refuse_other_folder, run_command
from mlops_ladder.errors import ProjectError, raise_for_faults
from mlops_ladder.files import read_text_if_exists, sync_folder
from mlops_ladder.files import write_file_atomically, write_synced_file

__all__ = ["ProjectError", "main", "raise_for_faults", "refuse_other_folder", "run_command"]
__all__ += ["read_text_if_exists", "sync_folder", "write_file_atomically", "write_synced_file"]
