"""README, docs and the example files agree with the code, and their commands work."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from django.core.management import call_command, get_commands
from django.db import connection

from config.settings import BASE_DIR
from tests.builders import make_user, write_article
from tests.database import clusters
from tests.processes import database_url, environment, serving
from users.error_texts import TEXTS

PAGES = sorted([*BASE_DIR.glob("*.md"), *BASE_DIR.glob("docs/*.md")])
LONGEST_LINE = 120
README = BASE_DIR / "README.md"

# Commands of the pages that the test below does not run, and why.
NOT_RUN = {
    "make dev": "serves until it is stopped",
    "make test": "runs this test",
    "make check": "runs beside the tests in .ci/run",
    "make .env": "tests/rules/test_environment.py runs it in another folder",
    "docker compose up": "needs Docker; tests/rules/test_compose.py checks the file",
    "docker compose run --rm -e DEMO_PASSWORD=choose-one migrate python manage.py demo_data": (
        "needs Docker; tests/rules/test_demo_data.py runs the command"
    ),
    "docker build --tag conduit-django .": (
        "needs Docker; tests/rules/test_compose.py checks the file"
    ),
    "cp docs/deploy/conduit.service /etc/systemd/system/": "changes the machine",
    "systemctl daemon-reload": "changes the machine",
    "systemctl enable --now conduit": "changes the machine",
    "sudo -u conduit env ENV_FILE=/etc/conduit/env TMPDIR=/run/conduit .venv/bin/python manage.py"
    " unlock --address 192.0.2.7": "needs the user of the unit; unlock itself is run",
    "cp docs/deploy/nginx.conf /etc/nginx/conf.d/conduit.conf": "changes the machine",
    "nginx -t": "tests/rules/test_deployment.py runs it in another folder",
    "systemctl reload nginx": "changes the machine",
    "kubectl create secret generic conduit --from-env-file=secrets.env": "needs a cluster",
    "kubectl apply -f docs/deploy/kubernetes.yaml": (
        "needs a cluster; tests/rules/test_deployment.py checks the file"
    ),
    "python manage.py collectstatic --noinput": (
        "writes into this folder; tests/rules/test_static.py runs it in another one"
    ),
    "python manage.py serve --host 127.0.0.1 --port 8000": (
        "serves until it is stopped; tests/database/test_serve.py runs it"
    ),
    "python manage.py serve --port 8000": (
        "serves until it is stopped; tests/database/test_serve.py runs it"
    ),
    "CONDUIT_OWNER_PASSWORD=secret-1 CONDUIT_PASSWORD=secret-2 psql --dbname=conduit"
    " --file=docs/roles.sql": "tests/database/test_roles.py runs it",
    "promtool check rules docs/alerts.yml": "tests/rules/test_dashboard.py runs it",
    "pip install --require-hashes -r requirements.lock": "changes the environment; make does it",
    'pip install "psycopg[binary,pool]>=3.3.9" dj-database-url granian prometheus-client': (
        "changes the environment"
    ),
    "django-admin startproject mysite": "the last test runs it in another folder",
    "cp -r database mysite/": "the last test runs it in another folder",
}
# These pages change machines, so none of their commands is run here.
# tests/rules/test_cluster_files.py checks the files that they install, and tests/cluster uses them.
FOR_MACHINES = {BASE_DIR / "docs/cluster.md"}


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in this language."""
    found = re.findall(rf"(?ms)^( *)```{language}\n(.*?)^\1```$", page.read_text())
    return [re.sub(f"(?m)^{indent}", "", text) for indent, text in found]


def commands(page: Path) -> Iterator[str]:
    """Each command of the `sh` blocks of a page; it may have several lines."""
    lines: list[str] = []
    for line in "\n".join(blocks(page, "sh")).splitlines():
        lines.append(line)
        text = "\n".join(lines)
        if text.endswith("\\") or not _is_closed(text):
            continue
        lines = []
        yield text
    assert lines == []


def _is_closed(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:  # a quote that a later line closes
        return False
    return True


ALL_COMMANDS = [command for page in PAGES if page not in FOR_MACHINES for command in commands(page)]


# --- The text ------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_line_is_too_long(page: Path) -> None:
    lines = enumerate(page.read_text().splitlines(), start=1)

    assert [number for number, line in lines if len(line) > LONGEST_LINE] == []


def test_the_readme_links_every_page() -> None:
    links = re.findall(r"\]\(([^)#]+\.md)\)", README.read_text())

    assert {BASE_DIR / link for link in links} == {*PAGES} - {README}


def test_every_decision_has_its_context_its_choice_and_its_cost() -> None:
    _, *decisions = (BASE_DIR / "docs/decisions.md").read_text().split("\n### ")

    for decision in decisions:
        parts = re.findall(r"(?m)^- \*\*(\w+)\.\*\* ", decision)
        assert parts == ["Context", "Choice", "Cost"], decision.splitlines()[0]


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_every_folder_of_the_readme_exists() -> None:
    tree = re.findall(r"(?m)^    ( *)(\w+)/ ", README.read_text())
    parents: dict[int, Path] = {-2: BASE_DIR}
    for indent, name in tree:
        folder = parents[len(indent) - 2] / name
        parents[len(indent)] = folder
        assert folder.is_dir(), folder
    assert len(tree) > 10


def test_the_example_of_a_prepared_query_is_code_of_the_project() -> None:
    (example,) = blocks(BASE_DIR / "docs/prepared-queries.md", "python")
    code = (BASE_DIR / "profiles/queries.py").read_text()

    decorator, head, _, body = example.splitlines()[:4]
    assert f"{decorator}\n{head}\n" in code
    assert f"{body}\n" in code


def test_every_command_of_make_and_manage_exists() -> None:
    text = "\n".join(page.read_text() for page in [*PAGES, BASE_DIR / ".env.example"])
    targets = re.findall(r"(?m)^([\w.-]+):", (BASE_DIR / "Makefile").read_text())

    named = re.findall(r"(?:^|`)make ([a-z.-]+)", text, re.MULTILINE)
    assert {*named} - {*targets} == set()
    assert {*re.findall(r"manage\.py ([a-z_]+)", text)} - {*get_commands()} == set()


def test_the_tables_and_the_answers_of_the_pages_exist(db: None) -> None:
    operate = (BASE_DIR / "docs/operate.md").read_text()
    connections = (BASE_DIR / "docs/connections.md").read_text()
    answers = re.findall(r'{"errors":{"database":\["([^"]+)"\]}}', connections)

    tables = re.findall(r"--exclude-table-data=(\w+)", operate)
    assert len(tables) == 3
    assert {*tables} <= {*connection.introspection.table_names()}
    assert len(answers) == 3
    assert {*answers} <= {*TEXTS.values()}


def test_the_picture_is_an_image() -> None:
    picture = ElementTree.parse(BASE_DIR / "docs/request.svg")  # noqa: S314 -- our own file

    assert picture.getroot().tag.endswith("svg")


def test_every_file_that_a_page_names_exists() -> None:
    for page in PAGES:
        for name in re.findall(r"`([\w.-]+/[\w./-]*)`", page.read_text()):
            # Others are folders of another project.
            if (BASE_DIR / name.split("/")[0]).exists():
                assert (BASE_DIR / name).exists(), f"{page.name} names {name}"


def test_the_contributors_page_has_every_target_of_make() -> None:
    (targets,) = re.findall(r"(?m)^\.PHONY: (.*)$", (BASE_DIR / "Makefile").read_text())
    page = (BASE_DIR / "CONTRIBUTING.md").read_text()

    assert set(re.findall(r"(?m)^\| `make ([\w-]+)`", page)) == {*targets.split()} - {
        "dev",
        "serve",
    }


# --- The commands --------------------------------------------------------------------


def run_in_a_shell(script: str, folder: Path = BASE_DIR, **variables: str) -> str:
    """What the script prints. Its first command that fails ends it, and the test."""
    programs = [str(Path(sys.executable).parent), str(clusters.embedded().programs)]
    kept = environment(**variables)
    process = subprocess.run(  # noqa: S603 -- what our own pages say
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=kept | {"PATH": ":".join([*programs, kept["PATH"]])},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_only_commands_of_the_pages_are_listed_as_not_run() -> None:
    assert {*NOT_RUN} - {*ALL_COMMANDS} == set()
    for reason in NOT_RUN.values():
        for file in re.findall(r"tests/\S+\.py", reason):
            assert (BASE_DIR / file).is_file()


def test_the_commands_of_the_pages_work(transactional_db: None, tmp_path: Path) -> None:
    # Those of the README need a server: the next test runs them.
    elsewhere = {*NOT_RUN, *commands(README)}
    for command in dict.fromkeys(ALL_COMMANDS):
        if command not in elsewhere:
            text = command.replace("/tmp/", f"{tmp_path}/")  # noqa: S108 -- in the pages
            program, _, arguments = text.partition(" manage.py ")
            if program == "python":
                # In this process: another interpreter would take seconds to start.
                call_command(*shlex.split(arguments))
            else:
                run_in_a_shell(text, DATABASE_URL=database_url())

    assert {file.name for file in tmp_path.iterdir()} >= {"articles.jsonl", "conduit.dump"}


def shape(value: Any) -> Any:
    """The keys and the types of a JSON value."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    return [shape(part) for part in value] if isinstance(value, list) else type(value)


def values_in(text: str) -> list[Any]:
    """The JSON values that stand one after the other."""
    decoder, values, text = json.JSONDecoder(), [], text.lstrip()
    while text:
        value, end = decoder.raw_decode(text)
        values.append(value)
        text = text[end:].lstrip()
    return values


@pytest.mark.skipif(not all(map(shutil.which, ("curl", "jq"))), reason="curl or jq is missing")
def test_the_examples_of_the_readme_answer_what_it_shows(transactional_db: None) -> None:
    write_article(make_user("johndoe"), title="How to train your dragon", tags=("dragons",))
    with serving(DATABASE_URL=database_url(), DEBUG="on") as server:
        script = "\n".join(command for command in commands(README) if command not in NOT_RUN)
        printed = run_in_a_shell(script.replace(":8000", f":{server.port}"))

    shown = "\n".join(blocks(README, "json"))
    assert [shape(value) for value in values_in(printed)] == [
        shape(value) for value in values_in(shown)
    ]


def test_another_project_loads_after_all_steps(tmp_path: Path) -> None:
    page = BASE_DIR / "docs/connections.md"
    make, copy = list(commands(page))[:2]
    run_in_a_shell(f"{make}; {copy.replace('database', f'{BASE_DIR}/database')}", tmp_path)
    *steps, urls = blocks(page, "python")
    for file, additions in (("settings.py", steps), ("urls.py", [urls])):
        with (tmp_path / "mysite/mysite" / file).open("a") as module:
            module.write("\n".join(additions))

    loaded = run_in_a_shell(
        # Loads the middleware, and each view.
        "python -c 'from mysite import wsgi, urls; print(len(urls.urlpatterns))'",
        tmp_path / "mysite",
        DJANGO_SETTINGS_MODULE="mysite.settings",
    )

    assert loaded == "5\n"
