"""The project with additional views under /api/test/, which use or break a connection."""
