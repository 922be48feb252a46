"""Receives the bodies of requests, each within a bounded time and a bounded amount of memory."""
