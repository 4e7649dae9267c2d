"""VBench and VBench-I2V: videos of a text, or of a text and its first frame; drivers, check, report."""
