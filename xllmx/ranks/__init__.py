"""What depends on how many ranks there are: communication, sharding, engines, memory by arithmetic."""
