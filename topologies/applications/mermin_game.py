"""The GHZ (Mermin) game: three players with a GHZ state always win. mermin_game.py ROLE ROUNDS

A referee gives the three bits with an even number of ones. Each answers a bit without speaking; they win if the
answers' parity is the OR of the questions. Without entanglement they win at most 3/4 of the rounds. On |000> + |111>,
who is asked 0 measures X, who is asked 1 measures Y: XXX is +1, XYY, YXY and YYX are -1 (Greenberger, Horne and
Zeilinger 1989; Mermin 1990).
"""

import os
import random
import sys

from qnode.sdk import attach

PLAYERS = ("alice", "bob", "charlie")
QUESTIONS = ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0))


def play(session, group, rounds):
    """The player's answers; of the referee's questions each looks at its own only."""
    referee = random.Random(f"referee {os.environ['QLOOM_SEED']}")
    asked = [referee.choice(QUESTIONS) for _ in range(rounds)]
    own = [questions[PLAYERS.index(session.node)] for questions in asked]
    answers = bytes(session.measure(group.next_qubit(), axis="XY"[question]) for question in own)
    return answers, asked


def alice(session, rounds):
    with session.open_group(PLAYERS[1:]) as group:
        answers, asked = play(session, group, rounds)
        others = [session.receive(player, tag="answers") for player in PLAYERS[1:]]
    won = sum(a ^ b ^ c == max(questions) for a, b, c, questions in zip(answers, *others, asked, strict=True))
    session.report(rounds=rounds, won=won / rounds)
    for player in PLAYERS[1:]:
        session.send(player, b"", tag="over")


def other(session, rounds):
    with session.join_group() as group:
        session.send("alice", play(session, group, rounds)[0], tag="answers")
        session.receive("alice", tag="over")  # who leaves a group ends it for all


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    (alice if role == "alice" else other)(here, number)
