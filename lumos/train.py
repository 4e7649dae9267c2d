"""What torchrun starts: `python -m lumos.train --config FILE key=value ...`."""

import sys

from lumos.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
