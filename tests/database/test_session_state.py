"""What a request leaves in its session, and the next one does not find."""

from collections.abc import Callable

import pytest

from tests.database import application
from tests.database.load import ask
from tests.database.servers import migrated

pytestmark = pytest.mark.faults

ONE = {"DATABASE_POOL_MIN": "1", "DATABASE_POOL_MAX": "1", "DATABASE_MAX_WAITING": "4"}


def test_nothing_of_one_request_is_there_in_the_next(figures: Callable[[str], None]) -> None:
    with migrated() as server, application.serving(server.url(), ONE) as site:
        clean = ask(site.port, "/api/test/state").json()
        left = ask(site.port, "/api/test/set-state").json()
        found = ask(site.port, "/api/test/state")

    changed = {name for name, value in clean.items() if left[name] != value}
    figures(
        f"left behind: {', '.join(sorted(changed))}; found again: nothing, {found.seconds:.3f} s"
    )
    # Every kind of state was there, in the one session that there is.
    assert changed == clean.keys() - {"session"}
    assert found.json() == clean
    assert clean["time_zone"] == "UTC"
