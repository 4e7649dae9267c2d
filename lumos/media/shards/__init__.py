"""Items in folders of shards: rows of Parquet files, how they are written, and what an index knows of them."""
