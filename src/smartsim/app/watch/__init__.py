"""`smart watch`: experiments in a terminal, also over a slow line."""
