"""Which request bodies are received, and which are refused."""

from io import BytesIO
from typing import Any

import pytest

from config.bodies.budget import SharedBudget
from config.bodies.receiving import REFUSED, receive

LARGEST = 2_621_440  # bytes: 2.5 MiB


def received(content: bytes, **environ: Any) -> tuple[bytes, str | None]:
    """The body that Django sees, and the reason for a refusal."""
    environ |= {"wsgi.input": BytesIO(content), "REMOTE_ADDR": "192.0.2.1"}
    body = receive(environ)
    if body:
        body.close()
    return environ["wsgi.input"].read(), environ.get(REFUSED)


@pytest.mark.parametrize(
    ("content", "length", "expected"),
    [
        (b"{}", "2", (b"{}", None)),
        (b"{}", "0" * 5_000 + "2", (b"{}", None)),
        (b"{}", "", (b"", None)),
        (b"{}", "0", (b"", None)),
        (b"{}", "-1", (b"", None)),
        (b"{}", "3", (b"", "incomplete")),
        (b"{}", str(LARGEST), (b"", "incomplete")),
        (b"{}", str(LARGEST + 1), (b"", "too_large")),
        (b"{}", "9" * 5_000, (b"", "too_large")),
    ],
)
def test_the_content_length_is_the_length_of_the_body(
    content: bytes, length: str, expected: tuple[bytes, str | None]
) -> None:
    assert received(content, CONTENT_LENGTH=length) == expected


def test_the_content_length_has_priority_over_chunks() -> None:
    """The WSGI environ cannot tell the header Transfer_Encoding from Transfer-Encoding."""
    chunks = {"HTTP_TRANSFER_ENCODING": "x", "wsgi.input_terminated": True}

    assert received(b"{}", **chunks) == (b"{}", None)
    assert received(b"{}", CONTENT_LENGTH="3", **chunks) == (b"", "incomplete")


def test_a_network_can_take_three_quarters_and_others_still_get_shares() -> None:
    budget = SharedBudget(256)

    assert sum(budget.take("a") for _ in range(300)) == 192
    assert sum(budget.take("b") for _ in range(300)) == 13
    assert [budget.take(str(number)) for number in range(20)] == [True] * 20

    for _ in range(192):
        budget.give_back("a")
    assert sum(budget.take("a") for _ in range(300)) == 159


@pytest.mark.parametrize(("total", "most"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4)])
def test_of_few_shares_one_is_kept_for_another_network(total: int, most: int) -> None:
    budget = SharedBudget(total)

    assert sum(budget.take("a") for _ in range(10)) == most
    assert sum(budget.take("b") for _ in range(10)) == min(1, total - most)
