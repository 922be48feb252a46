"""How the admin looks: the settings of Unfold."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def environment(request: HttpRequest) -> list[str]:
    """The label at the top of each page, and its color."""
    return ["Development", "info"] if settings.DEBUG else ["Production", "danger"]


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Conduit",
    "SITE_HEADER": "Conduit",
    "SITE_SYMBOL": "edit_note",
    "ENVIRONMENT": "config.admin.theme.environment",
    "STYLES": [lambda request: static("admin/conduit.css")],
    "SCRIPTS": [lambda request: static("admin/conduit.js")],
    "SIDEBAR": {"navigation": "config.admin.navigation.navigation"},
    "ACCOUNT": {
        "navigation": [
            {"title": "Change password", "link": reverse_lazy("admin:password_change")},
            {"title": "Second factor", "link": reverse_lazy("admin:second_factor")},
        ]
    },
    "DASHBOARD_CALLBACK": "config.admin.start.add_start_page",
    "BORDER_RADIUS": "6px",
    "COLORS": {
        # Contrast, by WCAG 2.1: 600 has 5.5 or more on white and the lightest greys, and white text
        # has 6.1 on it; 500 has 5.5 or more on the dark greys. AA needs 4.5. Unfold's own 500 has
        # 4.3.
        "primary": {
            "50": "#effaf4",
            "100": "#d5f4e4",
            "200": "#aee6cb",
            "300": "#8ad9b4",
            "400": "#5fcc9b",
            "500": "#35b37e",
            "600": "#12704a",
            "700": "#0e5c3d",
            "800": "#0c4a32",
            "900": "#0a3d2a",
            "950": "#062318",
        },
        # Unfold's grey has 4.4 on the background of some inputs.
        "font": {"subtle-light": "#5b6472"},
    },
}
