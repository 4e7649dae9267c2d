"""The toy task is a module of its own, so that worker processes can import it too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
