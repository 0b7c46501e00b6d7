"""What breaks in the run under faults of each application, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import closed_forms
import courses
from shares import Theory
from variants import Document, Variant


@dataclass(frozen=True)
class Faulted:
    """Faults, and what differs with them."""

    faults: tuple[Document, ...] = ()
    theory: Theory | None = None
    """Default: as without faults."""
    repeaters: bool = False
    """Whether they strike the network with repeaters."""
    argument: str = ""
    """For the programs: who cheats."""

    def of(self, variant: Variant) -> Variant:
        """The scenario, broken."""
        if self.repeaters:
            variant = variant.over_repeaters()
        if self.argument:
            variant = variant.with_argument(self.argument)
        return variant.with_faults(self.faults)


LOSS = {"kind": "message_loss", "select": "all", "probability": 0.3, "at_s": 0.02, "for_s": 0.06}
"""Of the circuit's messages, which are sent again; a program's own, before and after, are not lost."""
CUT = {"kind": "link_down", "select": "one", "at_s": 0.03, "for_s": 0.6}
"""Of one link, for longer than its ends wait for each other."""
PAUSE = {"kind": "node_pause", "select": "one", "at_s": 0.03, "for_s": 0.3}

LATE = {"kind": "message_latency", "select": "all", "added_s": 2e-3, "jitter_s": 1e-3}
EVE = {"kind": "intercept_resend", "name": "eve", "link": "alice-bob", "basis": "random_zx"}
AHEAD = {"kind": "clock_offset", "node": "bob", "offset_s": 3e-4}
SLOW_FORTH = {"kind": "message_latency", "link": "alice-bob", "direction": "forward", "added_s": 1e-4}
CLOUDS = {"kind": "extra_loss", "link": "star-left", "loss_db": 3.0}

FAULTED: dict[str, Faulted] = {
    "anonymous_transmission": Faulted((LATE,)),
    "b92": Faulted((EVE,), closed_forms.b92_with_eve),
    "bb84": Faulted((EVE,), closed_forms.bb84_with_eve),
    "bbm92": Faulted((EVE,), closed_forms.bbm92_with_eve),
    "blind_computing": Faulted((LATE,)),
    "chsh": Faulted((CUT,)),
    "clock_synchronisation": Faulted((AHEAD, SLOW_FORTH), closed_forms.clock_synchronisation_delayed),
    "coin_flipping": Faulted((PAUSE,)),
    "conference_key": Faulted(({**EVE, "link": "hub-bob"},), closed_forms.conference_key_with_eve),
    "distributed_circuit": Faulted((PAUSE,)),
    "distributed_cnot": Faulted((PAUSE,)),
    "e91": Faulted((EVE,), closed_forms.e91_with_eve),
    "exact_leader_election": Faulted((CUT,)),
    "fingerprinting": Faulted((CUT,)),
    "leader_election": Faulted(({**PAUSE, "at_s": 0.25},)),
    "magic_square": Faulted((CUT,), repeaters=True),
    "mermin_game": Faulted(({**CUT, "at_s": 0.25},)),
    "remote_state_preparation": Faulted((LATE,)),
    "secret_sharing": Faulted(({**EVE, "link": "hub-charlie"},), closed_forms.secret_sharing_with_eve),
    "six_state": Faulted(({**EVE, "basis": "random_xyz"},), closed_forms.six_state_with_eve),
    "superdense_coding": Faulted((LOSS,)),
    "teleportation": Faulted((CUT,), repeaters=True),
    "teleported_cnot": Faulted((LATE,)),
    "telescope": Faulted((CLOUDS,), courses.telescope_clouded),
    "verification": Faulted(({**EVE, "link": "hub-bob"},), closed_forms.verification_with_eve),
    "verified_blind_computing": Faulted(theory=courses.verified_blind_computing_cheated, argument="cheat"),
}
