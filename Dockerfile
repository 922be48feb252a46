FROM python:3.13-slim AS build
WORKDIR /app
RUN python -m venv /venv
# Before the code: a change of the code alone then reuses the installed packages.
COPY requirements.lock .
RUN /venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY . .
# collectstatic reads the settings and connects to nothing. The values are not in the image.
RUN SECRET_KEY=only-while-static-files-are-collected \
    DATABASE_URL=postgresql://nobody@localhost/nothing \
    /venv/bin/python manage.py collectstatic --noinput
# COPY keeps file modes. In a clone made under umask 077, only the owner may read the files.
RUN chmod -R a+rX .

FROM python:3.13-slim
RUN groupadd --gid 10001 conduit \
    && useradd --uid 10001 --gid conduit --no-create-home --shell /usr/sbin/nologin conduit
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
# A number: with a name, Kubernetes (runAsNonRoot) cannot tell that the user is not root.
USER 10001:10001
EXPOSE 8000
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--port", "8000"]
