"""The released command: videos for VBench, or for a list of your own (`eval.released`).

python eval/inference_t2v.py --part "[1, 4]" --mask_history_ratio 0.7 --prompt_source vbench
"""

import sys
from functools import partial
from pathlib import Path

if not __package__:  # run as a file: the folder above holds the package
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from eval.released import sample

main = partial(sample, "t2v")

if __name__ == "__main__":
    sys.exit(main())
