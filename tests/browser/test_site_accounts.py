"""Registration, login, settings and deleted accounts, in a browser with and without JavaScript."""

import re

import pytest
from django.core import mail
from playwright.sync_api import expect

from tests.browser.conftest import Visit, path_of, send_form, status_of
from tests.builders import PASSWORD, make_user, write_article
from users.models import User
from users.queue_worker import worker

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_stranger_registers(visit: Visit, alice: User) -> None:
    page = visit.open("/")
    page.click('a[href="/register"]')
    page.wait_for_url("**/register")

    send_form(page, username="alice", email="new@example.com", password=PASSWORD)
    expect(page.locator("ul.error-messages")).to_contain_text("username has already been taken")
    expect(page.locator("[name=username]")).to_have_value("alice")
    expect(page.locator("[name=email]")).to_have_value("new@example.com")
    expect(page.locator("[name=password]")).to_have_value("")

    send_form(page, username="new.person", password=PASSWORD)
    page.wait_for_url("**/")
    expect(page.locator('a[href="/profile/new.person"]')).to_be_visible()
    expect(page.locator('a[href="/login"]')).to_have_count(0)


def test_a_stranger_logs_in_and_returns_to_where_they_came_from(visit: Visit, alice: User) -> None:
    page = visit.open("/editor")
    page.wait_for_url("**/login")

    send_form(page, email=alice.email, password="wrong horse")
    expect(page.locator("ul.error-messages")).to_be_visible()
    assert path_of(page) == "/login"
    expect(page.locator("[name=email]")).to_have_value(alice.email)

    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    page.wait_for_url("**/editor")
    expect(page.locator("input[name=title]")).to_be_visible()


def test_a_person_logs_out(visit: Visit, alice: User) -> None:
    page = visit.open("/", user=alice)

    page.click('a[href="/settings"]')
    page.wait_for_url("**/settings")
    page.click('button:has-text("Or click here to logout.")')

    page.wait_for_url("**/")
    expect(page.locator('a[href="/login"]')).to_be_visible()
    page.goto("/settings")
    page.wait_for_url("**/login")


def test_a_person_changes_all_settings(visit: Visit, alice: User) -> None:
    image = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
    page = visit.open("/settings", user=alice)

    send_form(
        page,
        username="alice.smith",
        bio="I train\ndragons.",
        image=image,
        email="smith@example.com",
        password="another horse",
    )

    page.wait_for_url("**/profile/alice.smith")
    expect(page.locator(".user-info h4")).to_have_text("alice.smith")
    expect(page.locator(".user-info p")).to_have_text("I train dragons.")
    expect(page.locator("img.user-img")).to_have_attribute("src", image)
    expect(page.locator("img.user-pic")).to_have_attribute("src", image)
    fresh = visit.open("/login")
    send_form(fresh, email="smith@example.com", password="another horse")
    fresh.wait_for_url("**/")
    expect(fresh.locator('a[href="/profile/alice.smith"]')).to_be_visible()


def test_a_person_empties_bio_and_image(visit: Visit) -> None:
    alice = make_user("alice", bio="I train.", image="data:image/gif;base64,R0lGODlhAQABAAAAACw=")
    page = visit.open("/settings", user=alice)

    send_form(page, bio="", image="")

    page.wait_for_url("**/profile/alice")
    expect(page.locator(".user-info p")).to_have_text("")
    expect(page.locator("img.user-img")).to_have_attribute("src", re.compile("default-avatar.svg"))
    page.goto("/settings")
    expect(page.locator("textarea[name=bio]")).to_have_value("")
    expect(page.locator("input[name=image]")).to_have_value("")


def test_a_person_deletes_the_account(visit: Visit, alice: User) -> None:
    write_article(alice, title="Of Alice")
    page = visit.open("/settings", user=alice)

    page.click('a[href="/settings/delete"]')
    page.wait_for_url("**/settings/delete")
    send_form(page, password="wrong horse")
    expect(page.locator("ul.error-messages")).to_be_visible()
    send_form(page, password=PASSWORD)

    page.wait_for_url("**/")
    expect(page.locator('a[href="/login"]')).to_be_visible()
    assert not User.objects.exists()
    assert status_of(page.goto("/profile/alice")) == 404


def test_a_person_sets_a_new_password_with_a_link_from_an_e_mail(visit: Visit, alice: User) -> None:
    page = visit.open("/login")
    page.click('a[href="/password-reset"]')
    page.wait_for_url("**/password-reset")
    send_form(page, email=alice.email)
    page.wait_for_url("**/password-reset/sent")

    worker.empty_queues()
    address = re.search(r"^http://\S+$", str(mail.outbox[-1].body), re.MULTILINE)
    assert address is not None
    page.goto(address[0])
    send_form(page, password="another horse")
    page.wait_for_url("**/password-reset/done")

    page.goto("/login")
    send_form(page, email=alice.email, password="another horse")
    page.wait_for_url("**/")
    expect(page.locator('a[href="/profile/alice"]')).to_be_visible()
