"""`python -m mlops_ladder COMMAND`, the same as `ladder COMMAND`."""

import sys

from mlops_ladder import main

sys.exit(main())
