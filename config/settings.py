"""The settings of the project. Values that differ between machines come from the environment;
`.env.example` lists the variables."""

import os
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from corsheaders.defaults import default_headers
from django.utils.csp import CSP

from config.admin.theme import UNFOLD as UNFOLD
from config.environment.reader import CONSOLE, Env
from database.settings import database

BASE_DIR = Path(__file__).resolve().parent.parent

env_file = os.environ.get("ENV_FILE")
env = Env(Path(env_file or BASE_DIR / ".env"), required=bool(env_file))

# --- The process ---------------------------------------------------------------------

DEBUG = env.switch("DEBUG", default=False)
# RFC 7518, section 3.2: a key for HS256 has 256 bits or more.
SECRET_KEY = env.secret("SECRET_KEY", minimum_bytes=32)
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

INSTALLED_APPS = [
    # Before staticfiles: the `runserver` of this app checks the database before it starts.
    "database",
    # Before users, whose admin removes the pages of the devices, because they show the secrets.
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "users",
    "users.mail",
    "profiles",
    "articles",
    "website",
    "django_htmx",
    # Before the admin, whose templates it replaces.
    # Not "unfold", whose configuration replaces the admin site with one of its own.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "config.apps.AdminConfig",
    "config.pool_page",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "config.static.StaticFilesConfig",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
]

MIDDLEWARE = [
    "config.logs.request_id_middleware",
    "database.metrics.metrics_middleware",
    "config.page_headers.PageHeadersMiddleware",
    "config.cors.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "database.requests.DatabaseMiddleware",
    "config.sessions.SessionMiddleware",
    "database.health.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "config.sessions.AuthenticationMiddleware",
    "config.sessions.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # Before IdempotencyMiddleware, so that a stored answer gets the headers too.
    "users.authentication.token_headers",
    "config.bodies.middleware.refused_body_middleware",
    # Last, so that only the view runs in its transaction.
    "database.requests.IdempotencyMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- The server ----------------------------------------------------------------------

# The CPUs that this process may use, without regard to the CPU quota of a container.
# os.process_cpu_count() does the same from Python 3.13 on.
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
SERVER_WORKERS = env.count("SERVER_WORKERS", cores or 1, minimum=1)
SERVER_THREADS = env.count("SERVER_THREADS", 16, minimum=1)
# For the whole body of a request.
SERVER_BODY_TIMEOUT = env.seconds("SERVER_BODY_TIMEOUT", 10, minimum=0.1, maximum=3600)
SERVER_DRAIN_DELAY = env.seconds("SERVER_DRAIN_DELAY", 0)
# granian accepts at most 1800 s.
SERVER_GRACE = env.seconds("SERVER_GRACE", 30, minimum=1, maximum=1800)
# The threads that the server of `manage.py serve` has for requests. Nothing else sets the variable.
serving_threads = int(os.environ.get("SERVING_THREADS", 0)) or None
# Other servers have access logs of their own.
ACCESS_LOG = env.switch("ACCESS_LOG", default=True) and serving_threads is not None
METRICS_TOKEN = env.secret("METRICS_TOKEN", minimum_bytes=8, required=False)

# --- The database --------------------------------------------------------------------

embedded = None
if DEBUG and find_spec("database.embedded"):  # a production install does not contain it
    from database.embedded import EmbeddedServer

    embedded = EmbeddedServer(BASE_DIR / ".postgres", "conduit")
DATABASES = {
    "default": database(env, "conduit", debug=DEBUG, embedded=embedded, threads=serving_threads)
}
# Each body that is being received needs a thread. `serve` starts these threads in addition to
# SERVER_THREADS. Not with persistent connections, because each thread would keep a connection.
persistent = DATABASES["default"]["CONN_MAX_AGE"] > 0
SERVER_MAX_BODIES = env.count(
    "SERVER_MAX_BODIES", max(1, SERVER_THREADS // 4) if persistent else 256, minimum=1
)
SERVER_BODY_THREADS = 0 if persistent else SERVER_MAX_BODIES
# The pages of the admin show what their last form has changed, and some of them write.
DATABASE_PRIMARY_PATHS = "/admin/"
DATABASE_STARTUP_TIMEOUT = env.seconds("DATABASE_STARTUP_TIMEOUT", 10)
DATABASE_FAILURE_RESPONSE = "config.errors.handlers.database_failure"
IDEMPOTENCY_USER = "users.authentication.token_user"
IDEMPOTENCY_REFUSAL = "config.errors.handlers.idempotency_key_refused"
IDEMPOTENCY_REBUILD = "config.idempotency.rebuild_response"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- People, passwords and tokens ----------------------------------------------------

AUTH_USER_MODEL = "users.User"
# Unfold's login page has no field for the destination.
LOGIN_REDIRECT_URL = "admin:index"
AUTHENTICATION_BACKENDS = ["users.backends.LimitedLoginBackend"]
# The first one hashes new passwords. A hash of another one is accepted, and replaced at the next
# login.
PASSWORD_HASHERS = [
    "users.hashers.Argon2Hasher",
    "users.hashers.PBKDF2Hasher",
]
# A quarter of the threads stays free for requests without a password.
PASSWORD_MAX_HASHING = env.count("PASSWORD_MAX_HASHING", 1, minimum=1)
PASSWORD_MAX_WAITING = env.count(
    "PASSWORD_MAX_WAITING", max(0, SERVER_THREADS * 3 // 4 - PASSWORD_MAX_HASHING)
)
# Only the length, as in the API: clients use passwords such as "password123".
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "users.passwords.MinimumLengthValidator"},
]
STAFF_SECOND_FACTOR = env.choice("STAFF_SECOND_FACTOR", ["optional", "required"], "optional")
OTP_TOTP_ISSUER = "Conduit"  # the name that authenticator apps show
# The Redis that counts rates and failed logins for all machines. "": each machine counts its own.
CACHE_URL = env.redis_url("CACHE_URL")
DATABASE_POSITIONS_URL = CACHE_URL
TOKEN_LIFETIME = timedelta(
    seconds=env.seconds("TOKEN_LIFETIME", 604_800, minimum=1, maximum=315_360_000)  # ten years
)

# --- The API -------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_PARSER_CLASSES": ["config.envelope.EnvelopeParser"],
    "DEFAULT_RENDERER_CLASSES": ["config.envelope.EnvelopeRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.envelope.AlwaysJSON",
    "DEFAULT_AUTHENTICATION_CLASSES": ["users.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["users.authentication.TokenRequiredToWrite"],
    "DEFAULT_THROTTLE_RATES": {
        "register": env.rate("REGISTER_RATE", "600/minute"),
        "login": env.rate("LOGIN_RATE", "600/minute"),
        # Limits for faulty programs: no person writes 100 times a second.
        "article": env.rate("ARTICLE_RATE", "6000/minute", optional=True),
        "comment": env.rate("COMMENT_RATE", "6000/minute", optional=True),
        "favorite": env.rate("FAVORITE_RATE", "6000/minute", optional=True),
        "follow": env.rate("FOLLOW_RATE", "6000/minute", optional=True),
    },
    "NUM_PROXIES": env.count("TRUSTED_PROXIES", 0),
    "EXCEPTION_HANDLER": "config.errors.handlers.exception_handler",
    # OPTIONS is for CORS. The API does not offer DRF's description of an endpoint.
    "DEFAULT_METADATA_CLASS": None,
}
# `config.openapi` uses these when a client asks for the description of the API.
SPECTACULAR_SETTINGS = {
    "DEFAULT_GENERATOR_CLASS": "config.openapi.document.Generator",
    "TITLE": "Conduit",
    "VERSION": "2.0.0",  # of the RealWorld API
    "OAS_VERSION": "3.1.0",
    "SERVERS": [{"url": "/api"}],
    "SCHEMA_PATH_PREFIX": "/api",
    "SCHEMA_PATH_PREFIX_TRIM": True,
    # In the order of the routes, and as `config.openapi` describes them.
    "SORT_OPERATIONS": False,
    "SORT_OPERATION_PARAMETERS": False,
    "DISABLE_DOCSTRING_DESCRIPTIONS": True,
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440  # bytes: 2.5 MiB

# The API reads no cookies, only the Authorization header, so a page of any origin may call it.
CORS_URLS_REGEX = r"^/(api/|health$)"
CORS_ALLOWED_ORIGINS = env.origins("CORS_ALLOWED_ORIGINS")
CORS_ALLOW_ALL_ORIGINS = not CORS_ALLOWED_ORIGINS
CORS_ALLOW_HEADERS = [*default_headers, "idempotency-key"]
CORS_EXPOSE_HEADERS = [
    "Link",
    "Location",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-Id",
]

# --- E-mail --------------------------------------------------------------------------

# Without a URL, e-mails are written to the terminal in development, and not sent otherwise.
mailer = env.email_url("EMAIL_URL") or ({"BACKEND": CONSOLE} if DEBUG else {})
# Seconds for each answer of the mail server.
email_timeout = env.seconds("EMAIL_TIMEOUT", 10, minimum=1, maximum=20)
if "OPTIONS" in mailer:
    mailer["OPTIONS"]["timeout"] = email_timeout
MAILERS = {"default": mailer} if mailer else {}
DEFAULT_FROM_EMAIL = env.email_address("EMAIL_FROM") or "Conduit <conduit@localhost>"
if "OPTIONS" in mailer and not env.text("EMAIL_FROM"):
    env.refuse("EMAIL_FROM", "is not set, and EMAIL_URL is")
# For links in e-mails. "": links have the host of the request.
SITE_URL = env.site_url("SITE_URL")
PASSWORD_RESET_TIMEOUT = 3600  # seconds

# --- Language, time, static files ----------------------------------------------------

LANGUAGE_CODE = "en-us"
USE_I18N = False
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / ".static"
STATICFILES_DIRS = [BASE_DIR / "config" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "config.static.StaticFilesStorage",
    },
}
# With DEBUG on, the files of the apps; otherwise the files that `collectstatic` has collected.
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_USE_FINDERS = DEBUG
# Files with a path of their own, such as /favicon.ico. They need no `collectstatic`.
WHITENOISE_ROOT = BASE_DIR / "config/root"

# --- HTTPS and cookies ---------------------------------------------------------------

HTTPS = env.switch("HTTPS", default=False)
SECURE_SSL_REDIRECT = HTTPS
# Probes and Prometheus connect to the process directly, with plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^(health|livez|readyz|metrics)$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0  # a year
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.switch("HSTS_SUBDOMAINS", default=True)
# Not `preload`: with it, anybody can add the domain to the list that browsers contain, and to leave
# the list takes months (hstspreload.org, "Deployment Recommendations").
# Nor the warning about no mailer: `users.mail.checks` says which variable to set.
SILENCED_SYSTEM_CHECKS = ["security.W021", "mail.W001"]

# Browsers accept a cookie with this prefix only from this host and over HTTPS, so that another
# subdomain cannot set it (RFC 6265bis, section 4.1.3).
prefix = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{prefix}sessionid"
SESSION_COOKIE_SECURE = HTTPS
SESSION_ENGINE = "users.session_engine"
SESSION_COOKIE_AGE = 1_209_600  # seconds from the login: 2 weeks
# Staff can change what others wrote, so their sessions are shorter, also those of the site.
STAFF_SESSION_LIFETIME = timedelta(hours=12)
CSRF_COOKIE_NAME = f"{prefix}csrftoken"
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True  # no script reads it
CSRF_FAILURE_VIEW = "config.errors.handlers.csrf_failure"

# A list, because Django splits a string for each response: 0.5 µs.
SECURE_REFERRER_POLICY = ["same-origin"]

# --- What browsers may do ------------------------------------------------------------

# For pages. `config.page_headers` has what the admin needs in addition, and the other headers.
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF, CSP.NONCE],
    "style-src": [CSP.SELF, CSP.NONCE],
    "font-src": [CSP.SELF],
    # Users have pictures of other sites, and small ones as data.
    "img-src": [CSP.SELF, "http:", "https:", "data:"],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
    "object-src": [CSP.NONE],
    "upgrade-insecure-requests": HTTPS,
}

# --- Logs ----------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "format": "{asctime} {levelname} {name} [{request_id}] {message}",
            "style": "{",
        },
        "json": {"()": "config.logs.JsonLines"},
    },
    "filters": {"request_id": {"()": "config.logs.RequestId"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line" if DEBUG else "json",
            "filters": ["request_id"],
        },
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # No handlers of their own: the root's handler writes all lines, also if DEBUG is off.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "level": "INFO", "propagate": True},
        # It warns of every failed attempt to connect, twice a second during an outage. The logger
        # `database.outages` has one line for the whole outage.
        "psycopg.pool": {"level": "ERROR"},
    },
}
