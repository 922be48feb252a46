"""The page "Database" of the admin: what the pools of all processes do now, and did before."""
