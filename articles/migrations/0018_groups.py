"""The groups "moderator" and "editor". An existing group of that name keeps its permissions, and gets
those that it lacks."""

from collections.abc import Iterator
from typing import Any

from django.db import migrations

# Permissions by group, as "app.codename". A codename ends with the name of the model.
MODERATOR = (
    "articles.view_article",
    "articles.view_comment",
    "articles.view_tag",
    "articles.view_favorite",
    "articles.hide_article",
    "articles.hide_comment",
    "profiles.view_follow",
    "users.view_user",
    "users.view_auditentry",
    "users.suspend_user",
)
EDITOR = (
    *(
        f"articles.{action}_{model}"
        for model in ("article", "comment", "tag")
        for action in ("view", "add", "change", "delete")
    ),
    "articles.delete_favorite",  # needed to delete an article that has favorites
    "articles.hide_article",
    "articles.hide_comment",
    "articles.merge_tag",
    "users.view_user",
)
GROUPS = {"moderator": MODERATOR, "editor": EDITOR}
# As in the models. All other names are Django's own.
NAMES = {
    "hide_article": "Can hide and restore articles",
    "hide_comment": "Can hide and restore comments",
    "merge_tag": "Can merge and rename tags",
    "suspend_user": "Can suspend and restore users, and log them out everywhere",
    "view_auditentry": "Can view audit entry",
}


def add_groups(apps: Any, schema_editor: Any) -> None:
    alias = schema_editor.connection.alias
    for name, labels in GROUPS.items():
        group, _ = apps.get_model("auth", "Group").objects.using(alias).get_or_create(name=name)
        group.permissions.add(*permissions(apps, alias, labels))


def permissions(apps: Any, alias: str, labels: tuple[str, ...]) -> Iterator[Any]:
    """The permissions with these labels. In a new database, they do not exist yet: Django adds
    them after all migrations."""
    types = apps.get_model("contenttypes", "ContentType").objects.using(alias)
    rows = apps.get_model("auth", "Permission").objects.using(alias)
    for label in labels:
        app, codename = label.split(".")
        action, model = codename.split("_")
        content_type, _ = types.get_or_create(app_label=app, model=model)
        name = NAMES.get(codename, f"Can {action} {model}")
        defaults = {"name": name}
        yield rows.get_or_create(content_type=content_type, codename=codename, defaults=defaults)[0]


def remove_groups(apps: Any, schema_editor: Any) -> None:
    """Remove the groups that have no members and exactly the permissions of this migration."""
    alias = schema_editor.connection.alias
    for name, labels in GROUPS.items():
        for group in apps.get_model("auth", "Group").objects.using(alias).filter(name=name):
            found = group.permissions.values_list("content_type__app_label", "codename")
            is_unchanged = {f"{app}.{codename}" for app, codename in found} == {*labels}
            if is_unchanged and not group.user_set.exists():
                group.delete()


class Migration(migrations.Migration):
    dependencies = [
        ("articles", "0017_moderation_permissions"),
        ("users", "0007_audit"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(add_groups, remove_groups)]
