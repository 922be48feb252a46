"""Receives the bodies of requests, each within a bounded time and a bounded amount of memory."""

from config.bodies.readers import Body
from config.bodies.receiving import REFUSED, receive, refused

__all__ = ["REFUSED", "Body", "receive", "refused"]
