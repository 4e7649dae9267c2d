"""What a list or a data YAML names: where the files are, several sets as one, whether they are those they were."""
