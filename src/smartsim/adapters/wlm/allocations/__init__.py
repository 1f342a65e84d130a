"""What the job of a scheduler that this process runs in says of itself."""
