"""Work for the processes that run models: from a shard."""
