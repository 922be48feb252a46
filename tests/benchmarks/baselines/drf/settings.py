import os

import dj_database_url

SECRET_KEY = os.environ["BENCH_SECRET_KEY"]
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.benchmarks.baselines.drf.urls"
INSTALLED_APPS = ["rest_framework", "tests.benchmarks.baselines.drf"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]
DATABASES = {
    "default": {
        **dj_database_url.parse(os.environ["BENCH_DATABASE_URL"]),
        "OPTIONS": {
            "pool": {"min_size": 2, "max_size": 8},
            "server_side_binding": True,
            "prepare_threshold": 5,
        },
    }
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tests.benchmarks.baselines.drf.authentication.TokenAuthentication"
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "tests.benchmarks.baselines.drf.pagination.ArticlePagination",
    "UNAUTHENTICATED_USER": None,
}
TIME_ZONE = "UTC"
USE_I18N = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
