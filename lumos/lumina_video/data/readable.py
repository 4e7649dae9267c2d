"""What data of Lumina-Video may be; imported without torch."""

LATENTS_READABLE = (
    "a folder of shards, its index.json, a .parquet file, a released record (.jsonl, .json, .pkl, .pth), or a data YAML"
)
LISTS = (".json", ".jsonl", ".pkl", ".pth", ".csv")
"""Endings of the names of lists of rows: of records of latents, and of files that are no latents yet."""
SUFFIXES = (".parquet", *LISTS)
"""Of the names of all files that are data, but for data YAMLs."""
