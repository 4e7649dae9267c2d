"""A list of jobs to files: made once, whole or not at all, each with its record, divided over workers."""
