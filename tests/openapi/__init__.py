"""Other programs use the description of the API: one that makes up requests, and a client."""
