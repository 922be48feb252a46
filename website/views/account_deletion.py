"""Deletion of one's own account."""

from django.contrib import messages
from django.contrib.auth import authenticate, logout
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.views.decorators.debug import sensitive_variables
from rest_framework.exceptions import ValidationError

from articles.models import Article, Comment, Favorite
from profiles.models import Follow
from users.audit import Action, record
from users.deletion import SMALL, counts_below, delete
from users.mail.messages import Kind
from users.mail.models import OutgoingEmail
from users.models import User
from users.privileges import irremovable
from website.access import HOME, SeeOther, login_required, user_of
from website.forms import Form
from website.views.accounts import account_page

IN_BACKGROUND = (
    "Your account is deleted. Nobody can see it any more. It had a lot of content, so the server"
    " needs a few minutes to remove everything."
)


@login_required
@account_page
def delete_account(request: HttpRequest) -> HttpResponse:
    """Asks for the password: a session that somebody else has got must not be enough."""
    form = Form({}, noun="user")
    if request.method == "POST":
        text = form.save(lambda: _delete(request))
        if text is not None:
            logout(request)
            messages.success(request, text)
            return SeeOther(HOME)
    return form.show(request, "delete_account", {"contents": _contents(user_of(request))})


@sensitive_variables("password")
def _delete(request: HttpRequest) -> str:
    """Delete the account, and return what the person is told."""
    password = request.POST.get("password", "")
    # The limits on failed logins apply, so nobody can guess the password here.
    user = authenticate(request, username=request.user.get_username(), password=password)
    if not isinstance(user, User) or user.pk != request.user.pk:
        raise ValidationError({"password": ["is invalid"]}, code="invalid")
    rows = User.objects.filter(pk=user.pk)
    with transaction.atomic():
        # Without an editor: people may remove themselves, except for the last superuser.
        for reason in irremovable(rows, None).values():
            raise ValidationError({"account": [reason]}, code="irremovable")
        if user.is_staff:
            record(user, Action.DELETE, [user], details="Deleted their own account on the site.")
        OutgoingEmail.objects.queue(Kind.ACCOUNT_DELETED, user.email, user_id=user.pk)
        at_once = delete(rows)
    return "Your account is deleted." if at_once else IN_BACKGROUND


def _contents(user: User) -> list[str]:
    """What is deleted with the account, such as "3 articles"."""
    counts = counts_below(User.objects.filter(pk=user.pk), SMALL)
    return [_counted(model, counts[model]) for model in (Article, Comment, Favorite, Follow)]


def _counted(model: type[Model], count: int) -> str:
    noun = model._meta.verbose_name if count == 1 else model._meta.verbose_name_plural
    return f"more than {SMALL:,} {noun}" if count > SMALL else f"{count:,} {noun}"
