"""Fast paths against literal ones: see README.md beside this file."""

import lumos  # noqa: F401  (how threads wait, before PyTorch is loaded)
