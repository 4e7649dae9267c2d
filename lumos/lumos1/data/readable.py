"""What data of Lumos-1 may be; imported without torch."""

READABLE = (
    "a folder of shards or of released pickles, index.json, merge-record.json, a *-record.jsonl, a .parquet, .pkl or "
    ".pth file, or a data YAML"
)
SUFFIXES = (".parquet", ".pkl", ".pth", ".json", ".jsonl")
"""Of the names of the files among them, but for data YAMLs."""
