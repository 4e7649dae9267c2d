"""`python -m eval.vbench_i2v`: the videos of VBench-I2V (`eval.vbench.i2v`)."""

import sys

from eval.vbench.i2v import main

if __name__ == "__main__":
    sys.exit(main())
