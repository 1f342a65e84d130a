"""The levels of log lines, where scripts of old import them from."""  # noqa: N999 - the name is theirs

from smartsim.client import SRLoggingLevel

__all__ = ["SRLoggingLevel"]
