"""The session state that a request changes does not reach the next request."""

from collections.abc import Callable

import pytest

from tests.database import application
from tests.database.load import ask
from tests.database.servers import migrated

pytestmark = pytest.mark.faults

ONE = {"DATABASE_POOL_MIN": "1", "DATABASE_POOL_MAX": "1", "DATABASE_MAX_WAITING": "4"}


def test_the_session_state_of_a_request_is_reset_before_the_next(
    figures: Callable[[str], None],
) -> None:
    with migrated() as server, application.serving(server.url(), ONE) as site:
        clean = ask(site.port, "/api/test/state").json()
        left = ask(site.port, "/api/test/set-state").json()
        found = ask(site.port, "/api/test/state")

    changed = {name for name, value in clean.items() if left[name] != value}
    figures(
        f"left behind: {', '.join(sorted(changed))}; found again: nothing, {found.seconds:.3f} s"
    )
    # The first request changed every kind of state, in the only session.
    assert changed == clean.keys() - {"session"}
    assert found.json() == clean
    assert clean["time_zone"] == "UTC"
