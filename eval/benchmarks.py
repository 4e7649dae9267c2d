"""The benchmarks there are, by the names that commands take."""

from eval.benchmark import Benchmark
from eval.geneval.benchmark import GENEVAL
from eval.vbench.benchmark import VBENCH, VBENCH_I2V

BENCHMARKS: dict[str, Benchmark] = {one.name: one for one in (GENEVAL, VBENCH, VBENCH_I2V)}
