"""Reports of errors, as they are sent to operators."""

import pytest
from django.test import Client
from django.views.debug import SafeExceptionReporterFilter

from users.models import User

PASSWORD = "a secret password"


@pytest.mark.parametrize(
    "path", ["/login", "/register", "/settings", "/settings/delete", "/password-reset/x/x"]
)
def test_they_do_not_contain_passwords(alice: User, path: str) -> None:
    client = Client()
    if path.startswith("/settings"):
        client.force_login(alice)

    request = client.post(path, {"password": PASSWORD, "email": "x"}).wsgi_request
    reported = SafeExceptionReporterFilter().get_post_parameters(request)

    assert reported["email"] == "x"
    assert PASSWORD not in reported.values()
