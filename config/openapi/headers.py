"""The headers of answers. An answer names those that it always has, and those that it may have."""

from config.openapi.schemas import Json


def _header(description: str, example: str, *, required: bool = False, **schema: object) -> Json:
    header: Json = {
        "description": description,
        "schema": {"type": "string", **schema},
        "example": example,
    }
    return header | {"required": True} if required else header


HEADERS: dict[str, Json] = {
    "X-Request-Id": _header(
        "The id of the request in the log of the server: the one that the request has in this "
        "header, or a new one.",
        "8c1f0e6a52d94b7e",
        required=True,
        pattern="^[A-Za-z0-9._-]{1,64}$",
    ),
    "Vary": _header(
        "The headers of the request on which the answer depends.",
        "Authorization, origin",
        required=True,
    ),
    "Allow": _header("The methods of this path.", "GET, HEAD, OPTIONS"),
    "Cache-Control": _header(
        "An answer to a valid token is for its user only.", "private, no-cache"
    ),
    "Link": _header(
        "The next page. Absent on the last one.",
        '<https://example.com/api/articles?offset=20>; rel="next"',
        pattern='^<[^<>]+>; rel="next"$',
    ),
    "Location": _header(
        "The same path with the current slug of the article.",
        "/api/articles/how-to-train-your-dragon",
        required=True,
    ),
    "Retry-After": _header(
        "Seconds after which the request may be sent again.", "1", pattern="^[1-9][0-9]*$"
    ),
    "WWW-Authenticate": _header(
        'The scheme of the token. With `error="invalid_token"`, the token of the request is '
        "invalid.",
        'Token error="invalid_token"',
        enum=["Token", 'Token error="invalid_token"'],
    ),
}


def references(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
