"""E-mails are queued, sent by a background thread, tried again, and dropped after a day."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.checks import run_checks
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from config.environment.reader import Env
from config.settings import BASE_DIR
from tests.database.servers import wait_until
from tests.processes import database_url, environment
from tests.races import at_once
from tests.rules.test_environment import PRODUCTION, read_settings
from tests.smtp import MailServer, mail_server
from users.mail.messages import Kind
from users.mail.models import KEPT_FOR, LEFT_FOR, MAX_NOTICES, OutgoingEmail
from users.queue_worker import worker
from users.queued_work import work_queued

ADDRESS = "reader@example.com"
pytestmark = pytest.mark.django_db


def queue(address: str = ADDRESS, kind: Kind = Kind.ACCOUNT_DELETED) -> None:
    OutgoingEmail.objects.queue(kind, address, user_id=7)


def make_due() -> None:
    OutgoingEmail.objects.update(due_at=timezone.now())


@pytest.fixture
def server(settings: Settings) -> Iterator[MailServer]:
    with mail_server() as server:
        settings.MAILERS = {"default": server.mailer}
        yield server


def test_an_e_mail_is_sent_once_and_then_forgotten(server: MailServer) -> None:
    queue()

    worker.empty_queues()
    worker.empty_queues()

    (received,) = server.received
    assert received["To"] == ADDRESS
    assert received["From"] == "Conduit <conduit@localhost>"
    assert received["Subject"] == "Your Conduit account was deleted"
    assert received["Auto-Submitted"] == "auto-generated"
    assert received.get_content_type() == "text/plain"
    assert "reply to this e-mail" in received.get_content()
    assert not OutgoingEmail.objects.exists()


def test_several_e_mails_use_one_connection(server: MailServer) -> None:
    for number in range(5):
        OutgoingEmail.objects.queue(Kind.ACCOUNT_DELETED, f"{number}@example.com", user_id=number)

    worker.empty_queues()

    assert (len(server.received), server.connections) == (5, 1)


def test_an_e_mail_is_not_sent_if_its_transaction_is_rolled_back(server: MailServer) -> None:
    with transaction.atomic():
        queue()
        transaction.set_rollback(True)

    worker.empty_queues()

    assert server.received == []


def test_the_thread_is_woken_by_the_commit(
    server: MailServer, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    work_queued.clear()

    with django_capture_on_commit_callbacks(execute=True):
        queue()
        assert not work_queued.is_set()

    assert work_queued.is_set()


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"CONNECT": "421 busy"}, "SMTPConnectError 421"),
        ({"MAIL": "451 later"}, "SMTPSenderRefused 451"),
        ({"MAIL": "550 unknown sender"}, "SMTPSenderRefused 550"),
        ({"RCPT": f"450 <{ADDRESS}> is greylisted"}, "SMTPRecipientsRefused 450"),
        ({"TEXT": "452 full"}, "SMTPDataError 452"),
        ({"RCPT": None}, "SMTPServerDisconnected: Connection unexpectedly closed: timed out"),
    ],
)
def test_it_is_tried_again_later(
    server: MailServer, caplog: pytest.LogCaptureFixture, answers: dict[str, str | None], error: str
) -> None:
    server.answers = answers
    queue()

    worker.empty_queues()

    email = OutgoingEmail.objects.get()
    assert email.attempts == 1
    assert email.due_at > timezone.now() + timedelta(seconds=20)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "users.mail"]
    assert line.endswith(f"attempt 1): {error}")
    assert ADDRESS not in caplog.text

    server.answers = {}
    worker.empty_queues()  # too early
    assert server.received == []
    make_due()
    worker.empty_queues()
    assert len(server.received) == 1
    assert not OutgoingEmail.objects.exists()


def test_a_server_that_is_away_gets_one_connection_for_many_e_mails(
    server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = {"CONNECT": "421 busy"}
    for number in range(5):
        queue(f"{number}@example.com")

    worker.empty_queues()

    assert server.connections == 1
    assert OutgoingEmail.objects.count() == 5
    assert OutgoingEmail.objects.filter(attempts=0).count() == 4


def test_the_pauses_grow_to_an_hour(settings: Settings) -> None:
    settings.MAILERS = {"default": {"OPTIONS": {"host": "127.0.0.1", "port": 1}}}
    queue()
    pauses = []
    for _ in range(10):
        make_due()
        worker.empty_queues()
        pause = OutgoingEmail.objects.get().due_at - timezone.now()
        pauses.append(round(pause.total_seconds() / 30))

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 120, 120, 120]


def test_it_is_dropped_after_a_day_but_tried_once(
    settings: Settings, server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    queue()
    queue("other@example.com")
    old = timezone.now() - KEPT_FOR - timedelta(minutes=1)
    OutgoingEmail.objects.update(requested_at=old)
    OutgoingEmail.objects.filter(address=ADDRESS).update(attempts=30)

    worker.empty_queues()

    assert [message["To"] for message in server.received] == ["other@example.com"]
    assert "Dropped 1 e-mails that could not be sent for a day" in caplog.text
    assert ADDRESS not in caplog.text


@pytest.mark.parametrize(
    ("answers", "address"),
    [
        ({"RCPT": f"550 <{ADDRESS}> is unknown"}, ADDRESS),
        ({"TEXT": "554 spam"}, ADDRESS),
        ({}, "no address"),
        ({}, "lïne@example.com"),
        ({}, "one@example.com, two@example.com"),
        ({}, "one@example.com\r\nBcc: two@example.com"),
        ({}, "one@example.com\nBcc: two@example.com"),
    ],
)
def test_an_e_mail_that_can_never_be_delivered_is_dropped(
    server: MailServer,
    caplog: pytest.LogCaptureFixture,
    answers: dict[str, str | None],
    address: str,
) -> None:
    server.answers = answers
    queue(address)
    queue("other@example.com")

    worker.empty_queues()

    assert not OutgoingEmail.objects.exists()
    assert [message["To"] for message in server.received] == ["other@example.com"][bool(answers) :]
    assert "Dropped an e-mail" in caplog.text
    assert "example.com" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_two_processes_do_not_send_one_e_mail_twice(server: MailServer) -> None:
    for number in range(20):
        OutgoingEmail.objects.queue(Kind.ACCOUNT_DELETED, f"{number}@example.com", user_id=number)

    at_once([OutgoingEmail.run_batch] * 4)

    addresses = [message["To"] for message in server.received]
    assert sorted(addresses) == sorted(f"{number}@example.com" for number in range(20))


@pytest.mark.django_db(transaction=True)
def test_a_slow_mail_server_delays_no_request_and_holds_no_connection(server: MailServer) -> None:
    server.answers = {"CONNECT": None}
    queue()

    with ThreadPoolExecutor(1) as thread:
        sending = thread.submit(worker.empty_queues)
        queue("other@example.com")
        assert not sending.done()
        sending.result()

    assert OutgoingEmail.objects.count() == 2


@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
def test_a_process_that_is_killed_loses_no_e_mail(server: MailServer) -> None:
    queue()
    program = "import django; django.setup(); from users.queue_worker import worker as w"
    with mail_server(CONNECT=None) as silent:
        variables = environment(
            DJANGO_SETTINGS_MODULE="config.settings",
            DATABASE_URL=database_url(),
            EMAIL_URL=f"smtp://127.0.0.1:{silent.port}",
            EMAIL_FROM="conduit@example.com",
        )
        command = [sys.executable, "-c", f"{program}; w.empty_queues()"]
        with subprocess.Popen(command, cwd=BASE_DIR, env=variables) as process:  # noqa: S603 -- our own
            wait_until(lambda: silent.connections == 1, "the process sends the e-mail", 60)
            process.kill()

    worker.empty_queues()
    assert server.received == []

    make_due()  # the lease has ended
    worker.empty_queues()
    assert len(server.received) == 1


def test_the_notices_to_an_address_are_limited(server: MailServer) -> None:
    for number in range(MAX_NOTICES + 1):
        OutgoingEmail.objects.queue(Kind.ACCOUNT_DELETED, ADDRESS, user_id=number)

    worker.empty_queues()

    assert len(server.received) == MAX_NOTICES
    assert not OutgoingEmail.objects.exists()


def test_without_a_mail_server_nothing_is_queued_or_kept(settings: Settings) -> None:
    queue()  # such as those that the database queues
    settings.MAILERS = {}
    queue()
    assert OutgoingEmail.objects.count() == 1

    OutgoingEmail.objects.update(requested_at=timezone.now() - LEFT_FOR)
    worker.empty_queues()

    assert not OutgoingEmail.objects.exists()
    assert mail.outbox == []


def test_a_machine_without_a_mail_server_leaves_e_mails_to_a_machine_that_has_one(
    settings: Settings, server: MailServer
) -> None:
    queue()
    settings.MAILERS = {}
    worker.empty_queues()
    settings.MAILERS = {"default": server.mailer}
    worker.empty_queues()

    assert len(server.received) == 1


def test_a_machine_without_a_mail_server_leaves_e_mails_that_another_one_tries_again(
    settings: Settings,
) -> None:
    queue()
    settings.MAILERS = {}
    OutgoingEmail.objects.update(attempts=1, requested_at=timezone.now() - KEPT_FOR / 2)
    worker.empty_queues()
    assert OutgoingEmail.objects.exists()

    OutgoingEmail.objects.update(requested_at=timezone.now() - KEPT_FOR)
    worker.empty_queues()
    assert not OutgoingEmail.objects.exists()


# --- Settings ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "options"),
    [
        (
            "smtp+tls://me:p%40ss+%24@mail.example:587",
            {"port": 587, "username": "me", "password": "p@ss+$", "use_tls": True},
        ),
        (
            "smtp+ssl://me%40a.example:pass@mail.example",
            {"port": None, "username": "me@a.example", "password": "pass", "use_ssl": True},
        ),
        ("smtp://mail.example:25", {"port": 25}),
    ],
)
def test_the_url_names_the_mail_server(
    monkeypatch: pytest.MonkeyPatch, url: str, options: dict[str, Any]
) -> None:
    monkeypatch.setenv("EMAIL_URL", url)

    mailer = Env(Path(os.devnull)).email_url("EMAIL_URL")

    usual = {"username": "", "password": "", "use_tls": False, "use_ssl": False}
    assert mailer["OPTIONS"] == {"host": "mail.example"} | usual | options


@pytest.mark.parametrize(
    ("reader", "value", "sentence"),
    [
        *(
            (
                "email_url",
                url,
                "must be a URL like smtp+tls://user:password@host:587,"
                " smtp+ssl://user:password@host:465, smtp://host:25 or consolemail://.",
            )
            for url in (
                "mail.example",
                "http://me:hidden@mail.example",
                "smtp://me:hidden@:25",
                "smtp://me:hidden@mail.example:x",
                "smtp://me:hidden@mail.example?fail_silently=1",
                "memorymail://",
            )
        ),
        (
            "email_address",
            "a@b.example, c@d.example",
            "must be like Conduit <mail@example.com>, and is 'a@b.example, c@d.example'.",
        ),
        *(
            (
                "site_url",
                url,
                f"must be like https://example.com, without a path, and is '{url}'.",
            )
            for url in ("example.com", "https://example.com/", "null")
        ),
    ],
)
def test_an_invalid_setting_stops_the_process(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reader: str,
    value: str,
    sentence: str,
) -> None:
    monkeypatch.setenv("NAME", value)

    with pytest.raises(SystemExit) as stopped:
        getattr(Env(Path(os.devnull)), reader)("NAME")

    assert stopped.value.code == os.EX_CONFIG
    assert capsys.readouterr().err == f"NAME {sentence}\n"


def test_a_mail_server_needs_a_sender() -> None:
    stopped = read_settings(**PRODUCTION, EMAIL_URL="smtp://mail.example")

    assert stopped.stderr == "EMAIL_FROM is not set, and EMAIL_URL is.\n"


def warnings(settings: Settings, **values: Any) -> list[str | None]:
    for name, value in values.items():
        setattr(settings, name, value)
    found = run_checks(tags=["mail"], include_deployment_checks=True)
    return [each.id for each in found if not each.is_silenced()]


def test_a_check_warns_in_production(settings: Settings) -> None:
    smtp = {"default": {"OPTIONS": {"host": "mail.example"}}}

    assert warnings(settings, MAILERS={}) == ["users.W001"]
    assert warnings(settings, MAILERS=smtp, ALLOWED_HOSTS=["a.example"]) == []
    for host in ("*", ".a.example"):
        assert warnings(settings, ALLOWED_HOSTS=[host], SITE_URL="") == ["users.W002"]
    assert warnings(settings, SITE_URL="https://a.example") == []
