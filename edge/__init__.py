"""The Seamline agent: time, meaning, storage and people."""

__version__ = "0.1.0"
