"""Reads the settings of a process from its environment and a `.env` file."""

from config.environment.hosts import is_host, is_origin
from config.environment.reader import Env

__all__ = ["Env", "is_host", "is_origin"]
