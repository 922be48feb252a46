"""GET /api/schema, /api/docs, /api/redoc."""

import json
from collections.abc import Callable
from functools import partial

import pytest
import yaml

from tests.client import ApiClient
from tests.processes import run

Api = Callable[..., ApiClient]

from_yaml = partial(yaml.load, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
PAGES = ["/api/docs", "/api/redoc"]
METHODS = ["get", "post", "put", "delete"]


@pytest.mark.parametrize(
    ("accept", "query", "media_type"),
    [
        ("", "", "application/json"),
        ("*/*", "", "application/json"),
        ("text/html,*/*;q=0.8", "", "application/json"),
        ("application/yaml", "", "application/yaml"),
        ("application/yaml;q=0.5, application/json;q=0.4", "", "application/yaml"),
        ("application/vnd.oai.openapi", "", "application/vnd.oai.openapi"),
        ("application/vnd.oai.openapi+json", "", "application/vnd.oai.openapi+json"),
        ("application/json", "?format=yaml", "application/yaml"),
        ("application/yaml", "?format=json", "application/json"),
        ("application/json", "?format=", "application/json"),
        ("image/png", "", "application/json"),
    ],
)
def test_the_client_chooses_json_or_yaml(
    api: Api, accept: str, query: str, media_type: str
) -> None:
    response = api().get(f"/api/schema{query}", headers={"Accept": accept} if accept else {})

    assert response.status_code == 200
    assert response.headers["Content-Type"] == media_type
    load = json.loads if "json" in media_type else from_yaml
    assert load(response.content)["openapi"] == "3.1.0"
    assert "Accept" in response.headers["Vary"]


def test_json_and_yaml_are_the_same(api: Api) -> None:
    as_json = api().get("/api/schema?format=json")
    as_yaml = api().get("/api/schema?format=yaml")

    assert from_yaml(as_yaml.content) == as_json.json()
    assert as_yaml.headers["ETag"] != as_json.headers["ETag"]


def test_all_processes_make_the_same_description(api: Api) -> None:
    # The ETag of one process is then valid for the others.
    for path, operations in api().get("/api/schema").json()["paths"].items():
        assert [*operations] == [name for name in METHODS if name in operations], path


def test_another_format_is_refused(api: Api) -> None:
    response = api().get("/api/schema?format=xml")

    assert response.status_code == 422
    assert response.json() == {"errors": {"format": ["is invalid"]}}


def test_a_client_that_has_the_description_gets_304(api: Api) -> None:
    etag = api().get("/api/schema").headers["ETag"]

    response = api().get("/api/schema", headers={"If-None-Match": etag})

    assert response.status_code == 304
    assert response.content == b""
    assert response.headers["ETag"] == etag


@pytest.mark.parametrize("path", ["/api/schema", *PAGES])
def test_it_needs_no_database_and_no_token(api: Api, path: str) -> None:
    # pytest-django raises an error for a query of this test.
    response = api(headers={"Authorization": "Token nonsense"}).get(path)

    assert response.status_code == 200
    assert response.cookies == {}


@pytest.mark.parametrize("path", ["/api/schema", *PAGES])
def test_a_write_is_refused_with_the_error_envelope(api: Api, path: str) -> None:
    response = api(enforce_csrf_checks=True).post(path, {})

    assert response.status_code == 405
    assert response.json() == {"errors": {"method": ["is not allowed"]}}
    assert response.headers["Allow"] == "GET, HEAD"


def test_a_page_of_another_origin_may_read_it(api: Api) -> None:
    response = api().get("/api/schema", headers={"Origin": "https://example.com"})

    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_allow_only_scripts_of_this_host(api: Api, path: str) -> None:
    response = api().get(path)

    assert response.headers["Content-Type"].startswith("text/html")
    policy = response.headers["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self'"
    assert directives["connect-src"] == "'self'"
    assert directives["frame-ancestors"] == "'none'"
    assert "http" not in policy
    assert b"<style" not in response.content
    assert b"://" not in response.content


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_lead_to_it(api: Api, path: str) -> None:
    content = api().get(path).content.decode()

    assert 'href="/api/schema' in content


def test_the_home_page_leads_to_the_pages(api: Api, db: None) -> None:
    assert 'href="/api/docs"' in api().get("/").content.decode()


def test_drf_spectacular_is_imported_only_for_the_first_client() -> None:
    """It would take 6 MB in each worker."""
    program = """
import sys, django
django.setup()
from django.test import Client
for path in "/api/nothing", "/api/docs", "/api/schema":
    Client(headers={"Host": "localhost"}).get(path)
    print(path, "drf_spectacular.openapi" in sys.modules, "jsonschema" in sys.modules)
"""
    result = run("-c", program, DEBUG="on", DJANGO_SETTINGS_MODULE="config.settings")

    assert result.stdout.splitlines() == [
        "/api/nothing False False",
        "/api/docs False False",
        "/api/schema True False",
    ], result.stderr
