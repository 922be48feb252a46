from datetime import UTC, datetime, timedelta, timezone

import pytest
from pytest_django import Settings

from articles.page_keys import InvalidPageKey, PageKey
from tests.processes import free_port, run

TIMES = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2001, 2, 3, 4, 5, 6, 789, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
]


@pytest.mark.parametrize("article_id", [1, 2**63 - 1])
@pytest.mark.parametrize("created_at", TIMES, ids=str)
def test_a_key_keeps_every_microsecond_and_every_id(created_at: datetime, article_id: int) -> None:
    key = PageKey(created_at, article_id)

    assert PageKey.decoded(key.encoded()) == key


def test_the_time_zone_makes_no_difference() -> None:
    elsewhere = TIMES[2].astimezone(timezone(timedelta(hours=-5)))

    assert PageKey(elsewhere, 1).encoded() == PageKey(TIMES[2], 1).encoded()


def test_each_time_and_id_has_a_key_of_its_own() -> None:
    texts = {PageKey(time, number).encoded() for time in TIMES for number in range(1, 100)}

    assert len(texts) == len(TIMES) * 99
    assert {len(text) for text in texts} == {32}


def test_a_key_depends_on_the_secret_key(settings: Settings) -> None:
    text = PageKey(TIMES[2], 1).encoded()
    settings.SECRET_KEY = "another key, as long as the first one was"

    with pytest.raises(InvalidPageKey):
        PageKey.decoded(text)


def test_another_process_with_the_same_secret_key_accepts_a_key() -> None:
    text = PageKey(TIMES[2], 1).encoded()
    program = (
        "import django; django.setup();"
        "from articles.page_keys import PageKey;"
        f"print(*PageKey.decoded({text!r}))"
    )

    url = f"postgresql://conduit@127.0.0.1:{free_port()}/conduit"  # no server: none is needed
    process = run("-c", program, DATABASE_URL=url, DJANGO_SETTINGS_MODULE="config.settings")

    assert process.stdout.strip() == f"{TIMES[2]} 1", process.stderr
