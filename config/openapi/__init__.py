"""The description of the API in OpenAPI 3.1, and the pages that show it.

`views.py` is all that a worker imports when it starts. The other modules, and drf-spectacular, are
imported when the first client asks for the description.

drf-spectacular finds the endpoints and describes the input, from the serializers. `operations.py`
describes what it cannot find: the answers. `tests/api/test_openapi_answers.py` compares them with
real answers.
"""
