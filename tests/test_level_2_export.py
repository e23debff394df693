"""Level 2, the export: every framework and problem, data of other kinds, and faults in the service."""

import json
from pathlib import Path

import pytest
from conftest import Generate, run

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("level 2 export")]
