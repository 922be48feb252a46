"""The settings of Django's test suite; the one environment variable holds DATABASES as JSON."""

import json
import os

DATABASES = json.loads(os.environ["SUITE_DATABASES"])
TEST_RUNNER = "tests.django_suite.recorder.RecordingRunner"

# As in Django's own test_sqlite.py.
SECRET_KEY = "a key for the tests alone"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = False
