"""Receives the bodies of requests, each within a bounded time and a bounded amount of memory."""

from config.bodies.middleware import refused_body_middleware
from config.bodies.reader_pool import Body
from config.bodies.receiving import REFUSED, receive

__all__ = ["REFUSED", "Body", "receive", "refused_body_middleware"]
