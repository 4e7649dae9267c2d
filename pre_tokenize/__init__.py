"""From a CSV of images or videos and captions to Parquet shards of clips (SPEC §9)."""
