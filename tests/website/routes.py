"""The routes of the site, for tests that visit all of them."""

from django.urls import URLPattern, reverse

from website.urls import urlpatterns

ROUTES: list[URLPattern] = [route for route in urlpatterns if isinstance(route, URLPattern)]


def address_of(route: URLPattern, text: str, number: int = 1) -> str:
    """The path of the route, with this text for each name and this number for each id."""
    values = {
        name: number if type(converter).__name__ == "IntConverter" else text
        for name, converter in route.pattern.converters.items()
    }
    return reverse(f"website:{route.name}", kwargs=values)
