"""Limits on failed logins, and on the requests of a client address or an account."""
