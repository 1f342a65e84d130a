"""Control channels: how a running driver is asked for something."""
