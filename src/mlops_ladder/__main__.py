"""`python -m mlops_ladder COMMAND`, the same as `ladder COMMAND`."""

import sys

from . import main

sys.exit(main())
