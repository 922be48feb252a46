"""A new password by e-mail, for people who have forgotten theirs."""

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlsafe_base64_decode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from users.limits.password_resets import count_password_reset
from users.mail.delivery import is_configured
from users.mail.messages import Kind, may_reset
from users.mail.models import OutgoingEmail
from users.models import User
from users.password_queue import password_queue
from users.serializers import NewPasswordSerializer, PasswordResetSerializer
from website.forms import Form
from website.pages import see_other, show
from website.paths import absolute
from website.views.accounts import account_page

TOKEN = "password_reset_token"  # noqa: S105 -- the key in the session
# Stands for the token in the address of the form, so that no link and no log contains the token.
IN_SESSION = "set-password"


@account_page
def ask(request: HttpRequest) -> HttpResponse:
    """Asks for the e-mail. The answer is the same with and without an account."""
    form = Form({"email": request.POST.get("email", "")}, noun="user")
    if request.method == "POST" and is_configured() and form.save(lambda: _queue_link(request)):
        return see_other("website:password_reset_sent")
    return form.show(request, "password_reset", {"sends_email": is_configured()})


def _queue_link(request: HttpRequest) -> bool:
    checked = PasswordResetSerializer(data=request.POST.dict())
    checked.is_valid(raise_exception=True)
    email = checked.validated_data["email"]
    if count_password_reset(request, email):
        site_url = absolute(request, "/").removesuffix("/")
        OutgoingEmail.objects.queue(Kind.PASSWORD_RESET, email, site_url=site_url)
    return True


@require_safe
def sent(request: HttpRequest) -> HttpResponse:
    minutes = settings.PASSWORD_RESET_TIMEOUT // 60
    return show(request, "password_reset_sent", {"minutes": minutes})


@account_page
def confirm(request: HttpRequest, uidb64: str, token: str) -> HttpResponse:
    """Asks for the new password, as Django's PasswordResetConfirmView does: the link stores its
    token in the session, and leads to an address without the token."""
    user = _user_of(uidb64)
    if token != IN_SESSION:
        if user is None or not _is_valid(user, token):
            return _invalid(request)
        if not request.user.is_authenticated:
            request.session.set_expiry(settings.PASSWORD_RESET_TIMEOUT)
        request.session[TOKEN] = token
        return HttpResponseRedirect(
            reverse("website:password_reset_confirm", args=[uidb64, IN_SESSION])
        )
    token = request.session.get(TOKEN, "")
    if user is None or not _is_valid(user, token):
        return _invalid(request)
    form = Form({}, noun="user")
    if request.method == "POST":
        changed = form.save(lambda: _set_password(request, user, token))
        if changed is False:
            return _invalid(request)
        if changed:
            _forget_token(request)
            return see_other("website:password_reset_done")
    return form.show(request, "password_reset_confirm")


@require_safe
def done(request: HttpRequest) -> HttpResponse:
    return show(request, "password_reset_done")


def _user_of(uidb64: str) -> User | None:
    try:
        pk = int(urlsafe_base64_decode(uidb64))
    except ValueError:
        return None
    return User.objects.filter(pk=pk).first()


def _is_valid(user: User, token: str) -> bool:
    return may_reset(user) and default_token_generator.check_token(user, token)


def _set_password(request: HttpRequest, user: User, token: str) -> bool:
    """Set the password, which ends all logins of the user. False if another request has used the
    token meanwhile."""
    password_queue.refuse_if_full()
    checked = NewPasswordSerializer(data=request.POST.dict())
    checked.is_valid(raise_exception=True)
    # Hash outside of the transaction: hashing is slow, and would keep a connection busy.
    user.set_password(checked.validated_data["password"])
    with transaction.atomic():
        current = User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
        if current is None or not _is_valid(current, token):
            return False
        user.save(update_fields=["password"])
    return True


def _forget_token(request: HttpRequest) -> None:
    if request.user.is_authenticated:
        del request.session[TOKEN]
    else:
        request.session.flush()


@never_cache
def _invalid(request: HttpRequest) -> HttpResponse:
    return show(request, "password_reset_invalid", status=404)
