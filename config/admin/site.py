"""The admin site, for editors."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, cast

from django.contrib.auth import logout as log_out
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import PasswordChangeView, redirect_to_login
from django.core.exceptions import BadRequest, FieldDoesNotExist
from django.core.paginator import InvalidPage
from django.db import DataError, ProgrammingError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse, reverse_lazy
from django.utils.decorators import method_decorator
from psycopg import errors
from unfold.sites import UnfoldAdminSite

from config.pool_page.views import PoolPage
from users.admin_base import LoginForm, OwnPasswordForm, delete_selected
from users.second_factor import Missing, enter_code, manage, missing
from users.sessions import is_of_staff

# Django's admin and PostgreSQL raise these for a value that was not checked before: a NUL, a date
# after the year 9999, an incomplete regular expression, a range of one value, an unknown field, a
# page of Unfold's search that does not exist.
BAD_INPUT = (DataError, FieldDoesNotExist, InvalidPage, ValueError, OverflowError, IndexError)
# The lookup needs an extension that is not installed, or the type of the column does not have it.
# None: the number of parameters was wrong, and psycopg sent nothing.
NO_SUCH_LOOKUP = {errors.UndefinedFunction.sqlstate, errors.DatatypeMismatch.sqlstate, None}


class AdminSite(UnfoldAdminSite):
    """Does what Django does elsewhere if input cannot be used, instead of a 500: it shows a list
    without its filters (`?e=1`), and answers 400 on other pages. The traceback is logged."""

    index_title = "Start page"

    login_form = LoginForm

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.add_action(delete_selected, "delete_selected")

    def get_urls(self) -> list[URLResolver | URLPattern]:
        # Not an `admin_view`: it is also for staff who must add a second factor first.
        second_factor = path("second-factor/", self.second_factor, name="second_factor")
        return [*PoolPage(self).urls(), second_factor, *super().get_urls()]

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether the session is of a staff user, with the second factor if it needs one."""
        return self._has_password(request) and missing(request) is None

    def _has_password(self, request: HttpRequest) -> bool:
        """Whether a staff user has logged in. A user who has become staff since the login has
        not."""
        return super().has_permission(request) and is_of_staff(request)

    @method_decorator(login_not_required)
    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Asks for the password, then for the second factor, or for another account."""
        lacks = missing(request) if self._has_password(request) else None
        if lacks and "log_out" in request.POST:
            log_out(request)
            return HttpResponseRedirect(reverse(f"{self.name}:login"))
        if lacks is Missing.CODE:
            context = self.each_context(request) | {"title": "Log in"}
            return cast(HttpResponse, enter_code(context=context)(request))
        if lacks is Missing.DEVICE:
            return HttpResponseRedirect(reverse(f"{self.name}:second_factor"))
        return super().login(request, extra_context)

    def second_factor(self, request: HttpRequest) -> HttpResponse:
        if not self._has_password(request) or missing(request) is Missing.CODE:
            return redirect_to_login(request.get_full_path(), reverse(f"{self.name}:login"))
        return manage(request, self.each_context(request))

    def admin_view[View: Callable[..., HttpResponseBase]](
        self, view: View, cacheable: bool = False
    ) -> View:
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                response = view(request, *args, **kwargs)
                # Templates run queries too.
                if isinstance(response, SimpleTemplateResponse):
                    response.render()
            except (*BAD_INPUT, ProgrammingError) as error:
                # An error without any input is a bug.
                if not (request.GET or request.POST or kwargs) or not is_bad_input(error):
                    raise
                return refuse(request, error)
            return response

        return super().admin_view(cast(View, update_wrapper(checked, view)), cacheable)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        # Unfold's method does not read `password_change_form`.
        context = {**self.each_context(request), **(extra_context or {})}
        done = reverse_lazy(f"{self.name}:password_change_done", current_app=self.name)
        view = PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=done,
            extra_context=context,
            template_name="registration/password_change_form.html",
        )
        with transaction.atomic():
            return cast(TemplateResponse, view(request))


def is_bad_input(error: Exception) -> bool:
    if isinstance(error, ProgrammingError):
        return getattr(error.__cause__, "sqlstate", "") in NO_SUCH_LOOKUP
    return True


def refuse(request: HttpRequest, error: Exception) -> HttpResponseBase:
    """Redirect to the list without its filters. Raises BadRequest on other pages, and if the list
    is shown without filters already."""
    match = request.resolver_match
    is_list = match is not None and str(match.url_name).endswith("_changelist")
    if is_list and request.method == "GET" and "e" not in request.GET:
        return HttpResponseRedirect(f"{request.path}?e=1")
    raise BadRequest(f"The admin cannot use its input: {error}") from error
