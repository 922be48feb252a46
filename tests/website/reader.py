"""A browser without JavaScript: it keeps cookies, sends forms and follows redirects."""

from typing import Any, Self

from django.conf import settings
from django.test import Client
from selectolax.lexbor import LexborHTMLParser, LexborNode

from tests.builders import PASSWORD
from users.models import User

WITHOUT_VALUE = {"submit", "button", "reset", "image"}


class Page:
    def __init__(self, response: Any) -> None:
        self.response = response
        self.status: int = response.status_code
        self.path: str = response.request["PATH_INFO"]
        if query := response.request.get("QUERY_STRING"):
            self.path += f"?{query}"
        self.html: str = response.content.decode()
        self._tree = LexborHTMLParser(self.html)

    def all(self, css: str) -> list[LexborNode]:
        return self._tree.css(css)

    def one(self, css: str) -> LexborNode:
        """The only element that matches."""
        found = self.all(css)
        assert len(found) == 1, f"{len(found)} elements match {css} on {self.path}:\n{self.html}"
        return found[0]

    def texts(self, css: str) -> list[str]:
        return [node.text(strip=True) for node in self.all(css)]


class Reader(Client):
    """Refuses forms without their CSRF token, as the site does."""

    def __init__(self) -> None:
        super().__init__(enforce_csrf_checks=True)

    def as_user(self, user: User) -> Self:
        """With a session of the user."""
        self.force_login(user)
        return self

    @property
    def has_session(self) -> bool:
        cookie = self.cookies.get(settings.SESSION_COOKIE_NAME)
        return bool(cookie and cookie.value)  # a deleted cookie is empty

    def open(self, path: str, status: int = 200, **headers: str) -> Page:
        """The page at the path, after redirects."""
        page = Page(self.get(path, follow=True, headers=headers))
        assert page.status == status, (page.status, page.html)
        return page

    def submit(self, page: Page, button: str, *, status: int = 200, **values: Any) -> Page:
        """Click a button with these values in its form, and follow redirects. A list is for
        several inputs with one name."""
        clicked = page.one(button)
        node: LexborNode | None = clicked
        if form_id := clicked.attributes.get("form"):
            node = page.one(f"form#{form_id}")
        while node is not None and node.tag != "form":
            node = node.parent
        assert node is not None, f"{button} is in no form"
        data = values_of(node)
        unknown = values.keys() - data.keys()
        assert not unknown, f"The form has no inputs {unknown}"
        data |= values
        if name := clicked.attributes.get("name"):
            data[name] = clicked.attributes.get("value") or ""
        path = clicked.attributes.get("formaction") or node.attributes.get("action") or page.path
        method = (node.attributes.get("method") or "get").lower()
        send = self.post if method == "post" else self.get
        answer = Page(send(path, data, follow=True))
        assert answer.status == status, (answer.status, answer.html)
        return answer

    def log_in(self, email: str, password: str = PASSWORD, **options: Any) -> Page:
        page = self.open("/login")
        return self.submit(
            page, "main button[type=submit]", email=email, password=password, **options
        )


def values_of(form: LexborNode) -> dict[str, Any]:
    """What a browser sends if the form is not changed."""
    values: dict[str, list[str]] = {}
    for field in form.css("input, textarea"):
        name, kind = field.attributes.get("name"), field.attributes.get("type") or "text"
        if not name or kind in WITHOUT_VALUE or "disabled" in field.attributes:
            continue
        if kind in ("checkbox", "radio") and "checked" not in field.attributes:
            continue
        text = field.text() if field.tag == "textarea" else field.attributes.get("value") or ""
        values.setdefault(name, []).append(text)
    return {name: all if len(all) > 1 else all[0] for name, all in values.items()}
