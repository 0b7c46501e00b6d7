"""Leader election on W states: equals agree on one of them. leader_election.py ROLE ELECTIONS

All measure their qubit of |100> + |010> + |001> along Z and tell what they read: the one who read 1 leads. Nobody is
preferred and no names are needed, which no classical program can promise to end with (D'Hondt and Panangaden 2006).
With noise nobody or several may read 1; then nobody is elected and the next state decides.
"""

import sys

from qnode.sdk import attach

NODES = ("alice", "bob", "charlie")


def run(session, group, elections):
    votes = {session.node: bytes(session.measure(group.next_qubit()) for _ in range(elections))}
    others = [node for node in NODES if node != session.node]
    for node in others:
        session.send(node, votes[session.node], tag="read")
    votes |= {node: session.receive(node, tag="read") for node in others}
    leaders = [
        next(node for node in NODES if votes[node][i])
        for i in range(elections)
        if sum(votes[node][i] for node in NODES) == 1
    ]
    leads = leaders.count(session.node) / len(leaders)
    session.report(elections=elections, decided=len(leaders) / elections, leaders=len(leaders), leads=leads)


number = int(sys.argv[2])
with attach() as here, here.open_group(NODES[1:], state="W") if here.node == NODES[0] else here.join_group() as group:
    run(here, group, number)
