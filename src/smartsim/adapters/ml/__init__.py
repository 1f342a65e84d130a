"""Frameworks that run models and scripts, and serialize them. Each is imported when it is first used."""
