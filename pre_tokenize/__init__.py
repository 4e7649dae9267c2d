"""From a CSV of images or videos and captions to Parquet shards of clips (lumos/lumos1/README.md, section 9)."""
