"""Settings: how an application is run, and in which batch job."""
