"""A call of the pipeline from within: one clip as a job of steps, and its frames as they are finished."""
