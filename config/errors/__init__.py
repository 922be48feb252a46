"""The responses to errors: `{"errors": {"<key>": ["<text>", …]}}` under /api, a page elsewhere."""
