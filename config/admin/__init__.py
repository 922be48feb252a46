"""The admin site: logins, the sidebar, the start page, and how all pages look."""
