"""A call of the pipeline from within: clips in groups, frames as they are finished, going on, prompts that change."""
