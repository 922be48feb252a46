"""The settings of the tests: the project's own, in an environment that nobody's `.env`
changes. Only DATABASE_URL is taken over, to run the tests against a server of one's own."""

import os

os.environ |= {
    "ENV_FILE": os.devnull,
    "DEBUG": "on",
    "SECRET_KEY": "a key for the tests alone: it signs nothing that lasts",
}

from config.settings import *  # noqa: F403 -- after the environment is set
