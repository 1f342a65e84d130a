"""Process runners: find a program, run it to its end."""
