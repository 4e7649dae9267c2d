"""What torchrun starts: `python -m lumos.train --config FILE key=value ...`."""

import sys

from lumos.cli.training.train_program import main

if __name__ == "__main__":
    sys.exit(main())
