"""The site file: read, checked and compiled to the plan the agent follows."""

from edge.config.compile import compile_site, load

__all__ = ["compile_site", "load"]
