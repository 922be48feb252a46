"""Who may read the metrics."""

import pytest
from pytest_django import Settings

from tests.client import ApiClient

TOKEN = "a token for the scraper"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", ""])
def test_without_a_configured_token_this_machine_may_read_them(
    client: ApiClient, address: str
) -> None:
    response = client.get("/metrics", REMOTE_ADDR=address)

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE database_pool_waiting gauge" in response.text


@pytest.mark.parametrize("address", ["10.0.0.5", "2001:db8::1", "::ffff:10.0.0.5", "localhost"])
def test_without_a_configured_token_no_other_machine_may_read_them(
    client: ApiClient, address: str
) -> None:
    response = client.get("/metrics", REMOTE_ADDR=address)

    assert response.status_code == 403
    assert "METRICS_TOKEN" in response.text
    assert "database_" not in response.text


@pytest.mark.parametrize(
    "header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-Ip", "Via"]
)
def test_without_a_configured_token_a_request_through_a_proxy_is_refused(
    client: ApiClient, header: str
) -> None:
    response = client.get("/metrics", headers={header: "127.0.0.1"})

    assert response.status_code == 403


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Token {TOKEN}", TOKEN],
)
def test_a_configured_token_is_required(
    client: ApiClient, settings: Settings, authorization: str
) -> None:
    settings.METRICS_TOKEN = TOKEN

    response = client.get("/metrics", headers={"Authorization": authorization})

    assert response.status_code == 403


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_token_gives_access_from_any_address(
    client: ApiClient, settings: Settings, scheme: str
) -> None:
    settings.METRICS_TOKEN = TOKEN

    response = client.get(
        "/metrics",
        headers={"Authorization": f"{scheme} {TOKEN}", "X-Forwarded-For": "192.0.2.7"},
        REMOTE_ADDR="10.0.0.5",
    )

    assert response.status_code == 200


def test_they_are_read_only_over_plain_http_and_under_any_host(
    client: ApiClient, settings: Settings
) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert client.get("/metrics", headers={"Host": "10.0.0.5:8000"}).status_code == 200
    assert client.head("/metrics").status_code == 200
    assert client.post("/metrics").status_code == 405
