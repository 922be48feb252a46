"""What all pages of the admin share: forms, lists, links, actions with a confirmation, the log.

Registers no page: `config.admin.site` imports it before the site exists.
"""

from users.admin_base.actions import (
    ActionRefused,
    ConfirmedAction,
    ReasonForm,
    counted,
    delete_selected,
    plain,
)
from users.admin_base.forms import (
    ChangeForm,
    LoginForm,
    OwnPasswordForm,
    PasswordForm,
    TextArea,
    TextField,
)
from users.admin_base.links import (
    MAX_TEXT,
    MAX_TOOLTIP,
    cut,
    first_page,
    list_of,
    load_only,
    states,
)
from users.admin_base.lists import MAX_ROWS, NEWEST_FIRST, ChangeList, DateFilter, RelationFilter
from users.admin_base.log import editor_of
from users.admin_base.model_admin import ModelAdmin

__all__ = [
    "MAX_ROWS",
    "MAX_TEXT",
    "MAX_TOOLTIP",
    "NEWEST_FIRST",
    "ActionRefused",
    "ChangeForm",
    "ChangeList",
    "ConfirmedAction",
    "DateFilter",
    "LoginForm",
    "ModelAdmin",
    "OwnPasswordForm",
    "PasswordForm",
    "ReasonForm",
    "RelationFilter",
    "TextArea",
    "TextField",
    "counted",
    "cut",
    "delete_selected",
    "editor_of",
    "first_page",
    "list_of",
    "load_only",
    "plain",
    "states",
]
