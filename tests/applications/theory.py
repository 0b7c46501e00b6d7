"""What every application's numbers are in theory: for each, a function of the noise that gives the shares' probabilities."""

from __future__ import annotations

import closed_forms
import courses
from shares import Theory

SHARES: dict[str, Theory] = {
    "anonymous_transmission": closed_forms.anonymous_transmission,
    "b92": closed_forms.b92,
    "bb84": closed_forms.bb84,
    "bbm92": closed_forms.bbm92,
    "blind_computing": courses.blind_computing,
    "chsh": closed_forms.chsh,
    "clock_synchronisation": closed_forms.clock_synchronisation,
    "coin_flipping": closed_forms.coin_flipping,
    "conference_key": closed_forms.conference_key,
    "distributed_circuit": courses.distributed_circuit,
    "distributed_cnot": courses.distributed_cnot,
    "e91": closed_forms.e91,
    "exact_leader_election": courses.exact_leader_election,
    "fingerprinting": courses.fingerprinting,
    "leader_election": closed_forms.leader_election,
    "magic_square": closed_forms.magic_square,
    "mermin_game": closed_forms.mermin_game,
    "remote_state_preparation": closed_forms.remote_state_preparation,
    "secret_sharing": closed_forms.secret_sharing,
    "six_state": closed_forms.six_state,
    "superdense_coding": closed_forms.superdense_coding,
    "teleportation": closed_forms.teleportation,
    "teleported_cnot": courses.teleported_cnot,
    "telescope": courses.telescope,
    "verification": closed_forms.verification,
    "verified_blind_computing": courses.verified_blind_computing,
}

BOUNDS = {
    "bb84": (0.11, "no safe key above (Shor and Preskill)"),
    "bbm92": (0.11, "no safe key above (Shor and Preskill)"),
    "exact_leader_election": (0.5, "two fair coins"),
    "chsh": (0.75, "without entanglement"),
    "magic_square": (8 / 9, "without entanglement"),
    "mermin_game": (0.75, "without entanglement"),
    "superdense_coding": (0.5, "one bit in a qubit, and a guess"),
    "teleportation": (2 / 3, "without entanglement"),
}
"""A line worth knowing in the picture of an application, and what it means."""
