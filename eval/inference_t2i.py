"""The released command: images for GenEval, or for a list of your own (`eval.released`).

python eval/inference_t2i.py --part "[1, 4]" --prompt_source geneval
"""

import sys
from functools import partial
from pathlib import Path

if not __package__:  # run as a file: the folder above holds the package
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from eval.released import sample

main = partial(sample, "t2i")

if __name__ == "__main__":
    sys.exit(main())
