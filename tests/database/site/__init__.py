"""The project as it is, with views under /api/test/ that do to a connection what a test needs."""
