"""Empty activations: real node processes under the real engine, woken again and again with nothing to do."""

from __future__ import annotations

import time

import baselines
import scenarios
import zmq

from orchestrator.fabric.engine import Engine
from orchestrator.fabric.event_log import EventLog
from qnode.config import NodeConfiguration
from qnode.wire import fabric

DEADLINE_MS = 60_000


def _be_node(configuration: NodeConfiguration) -> None:
    from qnode.__main__ import serve

    serve(configuration)


def per_second(count: int, *, rounds: int) -> float:
    """GRANT and BLOCK round trips a second with ``count`` nodes, all due at the same instants."""
    import os
    import tempfile

    scenario = scenarios.chain(count)
    engine = Engine(scenario, EventLog(None))
    with tempfile.TemporaryDirectory() as directory:
        endpoint = f"ipc://{directory}/f"
        children = []
        for name in scenario.nodes:
            child = os.fork()
            if child == 0:
                _be_node(
                    NodeConfiguration(
                        name=name,
                        communication_slots=1,
                        storage_slots=1,
                        fabric_endpoint=endpoint,
                        application_endpoint=f"ipc://{directory}/{name}",
                    )
                )
                os._exit(0)
            children.append(child)
        context = zmq.Context()
        router = context.socket(zmq.ROUTER)
        router.set(zmq.RCVTIMEO, DEADLINE_MS)
        router.bind(endpoint)
        for _ in range(count):
            router.recv_multipart()
        engine.begin()
        start = 0.0
        for number in range(rounds + 3):
            if number == 3:
                start = time.perf_counter()
            for name, grant in engine.round().items():
                router.send_multipart((name.encode(), fabric.to_node.encode(grant)))
            until = grant.until
            while not engine.idle:
                identity, frame = router.recv_multipart()
                block = fabric.to_fabric.decode(frame)
                assert isinstance(block, fabric.Block)
                engine.block(identity.decode(), fabric.Block(wake_at=until + 1, operations=block.operations))
        seconds = time.perf_counter() - start
        for name in scenario.nodes:
            router.send_multipart((name.encode(), fabric.to_node.encode(fabric.Halt(reason="end"))))
        for child in children:
            os.waitpid(child, 0)
        router.close()
        context.term()
    return rounds * count / seconds


def measured(*, quick: bool) -> dict[str, object]:
    """At 2, 20 and 200 nodes, beside bare request and reply."""
    bare = baselines.round_trips_per_second(5_000 if quick else 20_000)
    rates = {}
    for count in (2, 20) if quick else (2, 20, 200):
        rate = per_second(count, rounds=max(20, (2_000 if quick else 20_000) // count))
        rates[str(count)] = {"per_second": rate, "ratio_to_bare": rate / bare}
    return {"bare_round_trips_per_second": bare, "nodes": rates}
