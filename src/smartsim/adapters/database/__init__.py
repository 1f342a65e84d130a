"""Database servers: the command that runs a shard, its probe and its shutdown."""
