"""The SDK against a real node: what cannot be read is told at once, in both flavours."""

from __future__ import annotations

import pytest
from program import World

BLOCKING = """\
from qnode.sdk import BadMessage, BadRequest, attach
refused = 0
with attach() as session:
    for wrong in (
        lambda: session.send("bob", "text"),
        lambda: session.measure(session.prepare(), axis="W"),
        lambda: session.prepare(role="attic"),
        lambda: session.report(a="x"),
    ):
        try:
            wrong()
        except BadMessage:
            refused += 1
    for wrong in (lambda: session.report(a=float("nan")), lambda: session.sleep(1e6) or session.sleep(3.9e6)):
        try:
            wrong()
        except BadRequest:
            refused += 1
    session.report(refused=refused)
"""
ASYNCHRONOUS = """\
from qnode.sdk import BadMessage, aio

async def main():
    async with aio.attach() as session:
        try:
            await session.send("alice", "text")
        except BadMessage:
            await session.report(refused=1)

aio.run(main())
"""


@pytest.mark.slow
def test_a_frame_that_the_node_cannot_read_is_an_error_at_once(world: World) -> None:
    report = world.run(world.scenario({"one": ("alice", BLOCKING), "two": ("bob", ASYNCHRONOUS)}))
    assert report["results"] == {"one": {"refused": 6}, "two": {"refused": 1}}
