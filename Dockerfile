FROM python:3.13-slim AS build
WORKDIR /app
RUN python -m venv /venv
# Before the code, so that a change of the code alone installs nothing anew.
COPY requirements.lock .
RUN /venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY . .
# Settings are read, nothing is connected to: these values leave no trace in the image.
RUN SECRET_KEY=only-while-static-files-are-collected \
    DATABASE_URL=postgresql://nobody@localhost/nothing \
    /venv/bin/python manage.py collectstatic --noinput

FROM python:3.13-slim
RUN useradd --system --no-create-home --shell /usr/sbin/nologin conduit
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER conduit
EXPOSE 8000
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--port", "8000"]
