"""The rules for names outside of serializers: in forms and in the shell."""

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from tests.builders import make_user
from users.models import User
from users.names import fold

ODD = "janet\u034f"


@pytest.fixture
def odd(db: None) -> User:
    """An account that is older than the rules for names."""
    user = make_user("janet")
    User.objects.update(username=ODD, username_folded=fold(ODD))
    return User.objects.get(pk=user.pk)


def test_an_unchanged_name_is_accepted(odd: User) -> None:
    odd.full_clean()
    assert User.objects.get_by_natural_key("janet@example.com") == odd


@pytest.mark.parametrize("username", ["\u3164", f"{ODD}2", "a b", "..."])
def test_a_changed_name_is_checked(odd: User, username: str) -> None:
    odd.username = username

    with pytest.raises(ValidationError) as error:
        odd.full_clean()

    assert error.value.message_dict.keys() == {"username"}


@pytest.mark.parametrize(
    "names",
    [
        {"username": "ALICE"},
        {"username": "\uff41lice"},
        {"email": "Alice@EXAMPLE.com"},
        {"email": "alice@\uff45xample.com"},
    ],
)
def test_another_form_of_a_taken_name_is_refused(alice: User, names: dict[str, str]) -> None:
    twin = User(**({"username": "twin", "email": "twin@example.com", "password": "!"} | names))

    with pytest.raises(ValidationError) as error:
        twin.full_clean()

    assert error.value.message_dict.keys() == names.keys()


def test_the_admin_normalizes_and_checks_a_new_name(db: None) -> None:
    site = Client()
    site.force_login(make_user("editor", is_staff=True, is_superuser=True))
    form = {
        "email": "rene@example.com",
        "usable_password": "true",
        "password1": "correct horse",
        "password2": "correct horse",
    }
    add = reverse("admin:users_user_add")

    refused = site.post(add, form | {"username": "\u3164"})
    added = site.post(add, form | {"username": "rene\u0301"})

    assert refused.context["adminform"].errors.keys() == {"username"}
    assert added.status_code == 302
    assert User.objects.get(email="rene@example.com").username == "ren\u00e9"
