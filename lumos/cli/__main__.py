"""`python -m lumos.cli`: the same as the console script `lumos`."""

import sys

from lumos.cli.commands import main

sys.exit(main())
