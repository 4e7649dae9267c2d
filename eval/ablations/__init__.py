"""The paper's comparisons on the shapes world: trainings that differ in one line, and settings of sampling in turn."""
