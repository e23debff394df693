"""PYTHONPATH=tools python -m checks.inside PACKAGE MODULE QUESTION [ARGUMENT …]

The last line that is printed is the answer, as JSON.
"""

import json
import sys
from importlib import import_module

asked = getattr(import_module(f"{__package__}.{sys.argv[2]}"), sys.argv[3])
answer = asked(*sys.argv[4:])
sys.stdout.write(f"\n{json.dumps(answer, default=str)}\n")
