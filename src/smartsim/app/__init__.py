"""Use cases and the composition root: experiments, the application client, the command line."""
