"""Django's own test suite, run on this project's database backend (`make test-django`)."""
