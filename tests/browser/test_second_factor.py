"""The second factor of staff, in a browser."""

import re
from base64 import b32decode
from collections.abc import Callable

import pytest
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import WIDTHS, Open, fits
from tests.builders import PASSWORD, make_staff
from tests.codes import add_device, code_of, wrong_code_of
from users.second_factor.devices import new_recovery_codes

pytestmark = pytest.mark.browser

PAGE = "/admin/second-factor/"


def log_in(page: Page, email: str) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def enter(page: Page, code: str) -> None:
    page.get_by_role("textbox", name="Code").fill(code)
    page.keyboard.press("Enter")


@pytest.mark.parametrize(
    ("window", "colors"), [("phone", "dark"), ("desktop", "light")], ids=["phone", "desktop"]
)
def test_staff_enrol_and_log_in_with_a_code(
    live_server: LiveServer,
    open_page: Open,
    accessible: Callable[[Page], None],
    window: str,
    colors: str,
) -> None:
    staff = make_staff("staff", "view_article")
    page = open_page(PAGE, width=WIDTHS[window], scheme=colors)

    def check() -> None:
        accessible(page)
        assert fits(page)

    log_in(page, staff.email)
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    check()
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")

    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    check()
    secret = b32decode((page.locator("#secret").text_content() or "").replace(" ", ""))
    enter(page, f"{totp(secret):06}")

    expect(page.locator("#recovery-codes li")).to_have_count(10)
    check()
    page.get_by_role("link", name="Back to the admin").click()
    expect(page).to_have_url(re.compile("/admin/$"))
    page.goto(PAGE)
    expect(page.get_by_text("You have 10 unused recovery codes")).to_be_visible()
    check()

    page.context.clear_cookies()
    page.goto("/admin/articles/article/")
    log_in(page, staff.email)
    expect(page.get_by_role("textbox", name="Code")).to_have_attribute("autofocus", "")
    check()
    enter(page, f"{totp(secret, drift=1):06}")
    expect(page).to_have_url(re.compile("/admin/articles/article/$"))


def test_a_wrong_code_is_refused_and_a_recovery_code_works(
    live_server: LiveServer, open_page: Open, accessible: Callable[[Page], None]
) -> None:
    staff = make_staff("staff", "view_article")
    device = add_device(staff)
    codes = new_recovery_codes(staff)
    page = open_page("/admin/")
    log_in(page, staff.email)

    enter(page, wrong_code_of(device))
    expect(page.get_by_text("This code is wrong, or was used before.")).to_be_visible()
    expect(page.get_by_role("textbox", name="Code")).to_have_attribute("autofocus", "")
    accessible(page)
    TOTPDevice.objects.update(throttling_failure_count=10)
    enter(page, code_of(device))
    expect(page.get_by_text("Too many codes were wrong.")).to_be_visible()

    enter(page, f"{codes[0][:4]}-{codes[0][4:]}")
    expect(page).to_have_url(re.compile("/admin/$"))


def test_the_login_can_be_given_up_for_another_account(
    live_server: LiveServer, open_page: Open
) -> None:
    staff = make_staff("staff", "view_article")
    add_device(staff)
    page = open_page("/admin/")
    log_in(page, staff.email)

    page.get_by_role("button", name="Use another account").click()

    expect(page.get_by_label("Password")).to_be_visible()
