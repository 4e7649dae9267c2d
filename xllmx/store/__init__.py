"""Places by address, in an object store (`s3://bucket/folder`), beside those on the disk: named, read and written."""
