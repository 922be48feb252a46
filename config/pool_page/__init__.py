"""The pool page, "Database" in the admin: the pools of all processes, now and before."""
