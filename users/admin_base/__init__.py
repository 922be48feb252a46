"""What all pages of the admin share: forms, lists, links, actions with a confirmation, the log.

Registers no page, because `config.admin.site` imports it before the site exists.
"""
