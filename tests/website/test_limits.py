"""The limits on the rate of writes."""

import pytest
from django.test import Client

from tests.builders import write_article, write_comment
from users.limits.throttles import RateThrottle
from users.models import User

FIELDS = {"title": "Own", "description": "About", "body": "Text"}


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ("favorite", "/article/{slug}/favorite"),
        ("favorite", "/article/{slug}/unfavorite"),
        ("follow", "/profile/alice/follow"),
        ("follow", "/profile/alice/unfollow"),
        ("comment", "/article/{slug}/comments"),
        ("comment", "/article/{slug}/comments/{comment}/delete"),
        ("article", "/editor"),
        ("article", "/editor/{own}"),
        ("article", "/article/{own}/delete"),
    ],
)
def test_every_write_is_counted(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch, scope: str, path: str
) -> None:
    article = write_article(alice)
    comment = write_comment(bob, article)
    own = write_article(bob, title="Own")
    client = Client()
    client.force_login(bob)
    monkeypatch.setitem(RateThrottle.THROTTLE_RATES, scope, "1/minute")
    path = path.format(slug=article.slug, comment=comment.pk, own=own.slug)

    accepted, refused = client.post(path, FIELDS), client.post(path, FIELDS)

    assert (accepted.status_code, refused.status_code) == (303, 429)
    assert 1 <= int(refused["Retry-After"]) <= 60
