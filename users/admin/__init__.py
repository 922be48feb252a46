"""The admin pages of users, groups and the audit log, and the actions of moderators. Django imports
this package."""

from users.admin.audit import AuditEntryAdmin
from users.admin.moderation import HideableAdmin
from users.admin.users import GroupAdmin, UserAdmin

__all__ = ["AuditEntryAdmin", "GroupAdmin", "HideableAdmin", "UserAdmin"]
