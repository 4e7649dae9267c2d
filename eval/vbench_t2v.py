"""`python -m eval.vbench_t2v`: the videos of VBench (`eval.vbench.t2v`)."""

import sys

from eval.vbench.t2v import main

if __name__ == "__main__":
    sys.exit(main())
