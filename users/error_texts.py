"""The text of each error, chosen by the error's code.

A code without a text here belongs to an error that has a text of its own, for example one with a
number in it (`users/serializer_fields.py`).
"""

TEXTS = {
    "required": "can't be blank",
    "blank": "can't be blank",
    "null": "can't be blank",
    "invalid": "is invalid",
    "not_a_list": "must be a list",
    "null_characters_not_allowed": "must not contain a NUL character",
    "username_not_allowed": "must be letters, digits and . _ + -, with at least one letter or "
    "digit, and no invisible characters",
    "not_one_line": "must be one line",
    "self_follow": "can't follow yourself",
    "taken": "has already been taken",
    "invalid_credentials": "invalid",
    "not_authenticated": "is missing",
    "authentication_failed": "is invalid",
    "token_expired": "has expired",
    "permission_denied": "forbidden",
    "not_found": "not found",
    "parse_error": "is not valid JSON",
    "not_an_object": "must be an object",
    "too_large": "is too large",
    "unsupported_media_type": "must be application/json",
    "compressed": "must not be compressed",
    "method_not_allowed": "is not allowed",
    "malformed": "is invalid",
    "throttled": "was throttled",
    "key_reused": "was used with another request",
    "unavailable": "is unavailable",
    "outcome_unknown": "outcome is unknown",
    "timed_out": "took too long",
    "failed": "has failed",
    "not_received": "was not received in time",
    "incomplete": "is incomplete",
    "length_required": "needs a Content-Length",
}

# The key of an error that is not about a field. For all other codes it is the view's `envelope`.
KEYS = {
    "not_authenticated": "token",
    "authentication_failed": "token",
    "token_expired": "token",
    "parse_error": "body",
    "not_an_object": "body",
    "too_large": "body",
    "unsupported_media_type": "body",
    "compressed": "body",
    "not_received": "body",
    "incomplete": "body",
    "length_required": "body",
    "method_not_allowed": "method",
    "malformed": "request",
    "throttled": "request",
    "failed": "server",
    "unavailable": "database",
    "outcome_unknown": "database",
    "timed_out": "database",
}

# For pages, if the key and the text make no useful sentence.
SENTENCES = {
    "outcome_unknown": "The connection to the database broke, so it is not known whether your "
    "change was saved. Look before you send it again.",
    "throttled": "The server has too many requests. Try again soon.",
}
