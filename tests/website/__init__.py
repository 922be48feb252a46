"""The site, as a browser without JavaScript sees it. `tests/browser/` uses it in a real browser."""
