"""The dashboard: what the record of an experiment tells, as a web application on this machine.

It needs the extra ``dashboard`` (starlette, uvicorn); `docs/dashboard.md` has its routes.
"""
