"""The site: pages for readers and writers. Reads use the prepared queries, and writes use the
serializers and functions that the API uses."""
