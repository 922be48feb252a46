"""Reads the settings of a process from its environment and a `.env` file."""
