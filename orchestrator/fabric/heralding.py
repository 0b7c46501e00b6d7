"""How likely a link's attempt is to succeed, what pair it leaves behind, and when the ends know: exact models.

Every model gives, for one attempt, the success probability and the heralded two-qubit states, as density matrices
(4, 4) in the order of the link's ends. A Bell index is 2x + z: Phi+, Phi-, Psi+, Psi-. An attempt takes a fixed
cycle; all its times are whole picoseconds from its start, and its overhead (reset and preparation) comes first.

Notation below: T_i the transmission of end i's fibre, c_i its coupling, d the detector efficiency, eta_i = c_i T_i d;
p_d a dark count's probability and q = 1 - p_d; v the speed of light in the fibre, L_i end i's distance to the midpoint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from orchestrator.fabric.predictions import fidelity, to_phi_plus, werner
from orchestrator.scenario import DoubleClick, Link, MidpointSource, SenderReceiver, SingleClick, Source

PairState = npt.NDArray[np.complex128]
Detector = Literal["threshold", "number_resolving"]

SPEED_OF_LIGHT_KM_PER_S = 299_792.458
PICOSECONDS_PER_SECOND = 10**12

PHI_PLUS, PHI_MINUS, PSI_PLUS, PSI_MINUS = range(4)


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """One thing that the herald can say, and what is true then."""

    weight: float
    """Conditional probability, given success."""
    bell_index: int
    """The Bell state that the herald announces."""
    state: PairState
    """The pair's true state (4, 4) at the herald if memories were perfect; read-only."""


@dataclass(frozen=True, eq=False, slots=True)
class LinkModel:
    """What the fabric needs to know of a link's heralded generation."""

    success_probability: float
    """Per attempt cycle, all modes together; 0 if no attempt can succeed, and then there are no outcomes."""
    attempt_cycle_ps: int
    outcomes: tuple[Outcome, ...]
    herald_delay_ps: tuple[int, int]
    """From the start of the successful attempt to the arrival of the herald at each end."""
    emission_delay_ps: tuple[int, int]
    """From the start of the successful attempt to when each end's memory begins to age."""

    @property
    def fidelity(self) -> float:
        """Mean fidelity with the announced Bell state, without decay in the memories."""
        return sum(outcome.weight * fidelity(outcome.state, outcome.bell_index) for outcome in self.outcomes)

    @property
    def rate_hz(self) -> float:
        """Mean rate of heralds while attempts follow one another."""
        return self.success_probability * PICOSECONDS_PER_SECOND / self.attempt_cycle_ps


def fibre_transmission(length_km: float, attenuation_db_per_km: float) -> float:
    """Beer-Lambert: 10^(-attenuation length / 10)."""
    return float(10.0 ** (-attenuation_db_per_km * length_km / 10.0))


def light_delay_ps(length_km: float, refractive_index: float) -> int:
    """The light's travel time in fibre of that group index, to the nearest picosecond."""
    return round(length_km * refractive_index / SPEED_OF_LIGHT_KM_PER_S * PICOSECONDS_PER_SECOND)


def link_model(link: Link, *, bright_state_population: float | Sequence[float] | None = None) -> LinkModel:
    """The model of a link; ``bright_state_population`` replaces the scenario's, on a single-click link only.

    Raises:
        ValueError: ``bright_state_population`` for another scheme, or not between 0 and 1.
    """
    heralding = link.heralding
    if bright_state_population is not None:
        if not isinstance(heralding, SingleClick):
            scheme = type(heralding).__struct_config__.tag
            raise ValueError(f"only single_click has a bright_state_population, this link is {scheme}")
        alphas = _per_end(bright_state_population)
        if not all(0.0 <= alpha <= 1.0 for alpha in alphas):
            raise ValueError(f"a bright_state_population is between 0 and 1, found {bright_state_population}")
    if isinstance(heralding, SingleClick):
        given = bright_state_population
        alphas = _per_end(heralding.bright_state_population if given is None else given)
        return _single_click(link, heralding, alphas)
    if isinstance(heralding, DoubleClick):
        return _double_click(link, heralding)
    if isinstance(heralding, MidpointSource):
        return _midpoint_source(link, heralding)
    if isinstance(heralding, SenderReceiver):
        return _sender_receiver(link, heralding)
    return _source(link, heralding)


def expected_state(model: LinkModel) -> PairState:
    """The mean pair state (4, 4) in the Phi+ frame, without decay in the memories; zero if nothing succeeds."""
    mean: PairState = np.zeros((4, 4), dtype=np.complex128)
    for outcome in model.outcomes:
        mean += outcome.weight * to_phi_plus(outcome.state, outcome.bell_index)
    return mean


def draw_attempts(success_probability: float, uniform: float) -> int:
    """The number of attempts up to and with the first success, N >= 1, from ``uniform`` in [0, 1).

    Inversion of P(N > n) = (1 - p)^n: exact for every p in (0, 1] (one below 1e-300 counts as that).

    Raises:
        ValueError: p is not in (0, 1], so that no attempt would ever succeed.
    """
    if not 0.0 < success_probability <= 1.0:
        raise ValueError(f"attempts succeed with a probability in (0, 1], found {success_probability}")
    if success_probability == 1.0:
        return 1
    return 1 + math.floor(math.log1p(-uniform) / math.log1p(-max(success_probability, 1e-300)))


def pick_outcome(model: LinkModel, uniform: float) -> Outcome:
    """The outcome that ``uniform`` in [0, 1) falls on, by their weights in order."""
    for outcome in model.outcomes:
        if uniform < outcome.weight:
            return outcome
        uniform -= outcome.weight
    return model.outcomes[-1]


@dataclass(frozen=True, slots=True)
class _Clicks:
    """Probabilities that one given detector of a station's two registers one click and the other none.

    Photons meet at a 50:50 beam splitter. Two of them bunch with probability (1 + V)/2, either way, V their
    Hong-Ou-Mandel visibility; a bunched pair is one click for a threshold detector and two for one that resolves
    numbers. Dark counts come on top, independent in each detector.
    """

    detector: Detector
    dark: float
    visibility: float

    @property
    def none(self) -> float:
        """No photon arrives."""
        return self.dark * (1.0 - self.dark)

    @property
    def at_detector(self) -> float:
        """One photon reaches the given detector."""
        quiet = 1.0 - self.dark
        return quiet if self.detector == "threshold" else quiet * quiet

    def one(self, efficiency: float) -> float:
        """One photon sets out and arrives with probability ``efficiency``."""
        return efficiency * 0.5 * self.at_detector + (1.0 - efficiency) * self.none

    def both(self, efficiencies: tuple[float, float]) -> float:
        """Each end's photon sets out and arrives with its own probability."""
        first, second = efficiencies
        bunched = 0.25 * (1.0 + self.visibility) * ((1.0 - self.dark) if self.detector == "threshold" else 0.0)
        one_arrives = first * (1.0 - second) + second * (1.0 - first)
        none_arrives = (1.0 - first) * (1.0 - second)
        return first * second * bunched + one_arrives * 0.5 * self.at_detector + none_arrives * self.none


def _single_click(link: Link, heralding: SingleClick, alphas: tuple[float, float]) -> LinkModel:
    """Cabrillo et al. 1999 PRA 59 1025; Humphreys et al. 2018 Nature 558 268; Hermans et al. 2023 NJP 25 013011.

    End i prepares sqrt(alpha_i)|1>|photon> + sqrt(1 - alpha_i)|0>|no photon>. Exactly one detector clicks; the photon
    numbers of |00>, |01>, |10> and |11> tell the four apart except |01> and |10>, whose coherence survives where the
    photon was not lost, times sqrt(V) for the overlap of the wave packets and exp(-sigma^2/2) for the optical phase.
    Without dark counts, at V = 1 and with equal ends, p = 2a(1-a)eta + a^2 eta(2-eta) and F = 2(1-a)/(2-a eta) for
    threshold, p = 2a(1-a)eta + 2a^2 eta(1-eta) and F = (1-a)/(1-a eta) for number-resolving detectors.
    """
    efficiencies = _station_efficiencies(link, heralding)
    clicks = _Clicks(heralding.detector, heralding.dark_count_probability, heralding.visibility)
    (bright_a, bright_b), (dark_a, dark_b) = alphas, (1.0 - alphas[0], 1.0 - alphas[1])
    populations = (
        dark_a * dark_b * clicks.none,
        dark_a * bright_b * clicks.one(efficiencies[1]),
        bright_a * dark_b * clicks.one(efficiencies[0]),
        bright_a * bright_b * clicks.both(efficiencies),
    )
    coherence = math.sqrt(
        bright_a * dark_a * bright_b * dark_b * efficiencies[0] * efficiencies[1] * heralding.visibility
    ) * (0.5 * clicks.at_detector * math.exp(-(heralding.phase_uncertainty_rad**2) / 2.0))
    return _at_station(link, heralding, populations=populations, coherence=coherence, patterns=1)


def _double_click(link: Link, heralding: DoubleClick) -> LinkModel:
    """Barrett and Kok 2005 PRA 71 060310: each end entangled with one photon, |0> with an early, |1> with a late one.

    Exactly one detector clicks in the early bin and exactly one in the late bin; the same one announces Psi+,
    different ones Psi-. p = eta_A eta_B / 2 and F = (1 + V)/2 without dark counts.
    """
    efficiencies = _station_efficiencies(link, heralding)
    clicks = _Clicks(heralding.detector, heralding.dark_count_probability, heralding.visibility)
    same_bin = 0.25 * clicks.both(efficiencies) * clicks.none
    one_each = 0.25 * clicks.one(efficiencies[0]) * clicks.one(efficiencies[1])
    coherence = 0.25 * efficiencies[0] * efficiencies[1] * (0.5 * clicks.at_detector) ** 2 * heralding.visibility
    populations = (same_bin, one_each, one_each, same_bin)
    return _at_station(link, heralding, populations=populations, coherence=coherence, patterns=2)


def _midpoint_source(link: Link, heralding: MidpointSource) -> LinkModel:
    """Jones et al. 2016 NJP 18 083015, "midpoint source": photon pairs from the middle, loaded, heralded at the ends.

    A photon is loaded with c_i T_i and its loading heralded with h = 1 - (1 - d) q; an end that loaded nothing heralds
    falsely with p_d. Unless both loaded, the pair is maximally mixed. Photons arrive after L_i/v, when memories begin
    to age; each end tells the other, so end i knows after L_j/v + L/v; the cycle is the later of the two.
    p = p_source eta_A eta_B without dark counts, and 1.5 L/v in the symmetric case.
    """
    dark = heralding.dark_count_probability
    heralded = 1.0 - (1.0 - heralding.detector_efficiency) * (1.0 - dark)
    loading = _arrivals(link, heralding.coupling_efficiency)
    true = heralding.source_efficiency * loading[0] * heralded * loading[1] * heralded
    any_a, any_b = (load * heralded + (1.0 - load) * dark for load in loading)
    total = heralding.source_efficiency * any_a * any_b + (1.0 - heralding.source_efficiency) * dark * dark
    overhead = _ps(heralding.attempt_overhead_s)
    near, far = (light_delay_ps(length, link.refractive_index) for length in _arms(link))
    across = light_delay_ps(link.length_km, link.refractive_index)
    return _model(
        _with_modes(total, heralding.modes),
        _mixed_with_noise(werner(heralding.source_fidelity), true=true, total=total),
        cycle=overhead + max(near, far) + across,
        herald=(overhead + far + across, overhead + near + across),
        emission=(overhead + near, overhead + far),
    )


def _sender_receiver(link: Link, heralding: SenderReceiver) -> LinkModel:
    """Jones et al. 2016 NJP 18 083015, "sender-receiver": the first end emits, the second loads, heralds and answers.

    p = c T d without dark counts. The receiver knows (and begins to age) at L/v, the sender ages from the emission
    and knows at 2L/v, which is the cycle. Heralding and false heralds are as for the midpoint source.
    """
    dark = heralding.dark_count_probability
    heralded = 1.0 - (1.0 - heralding.detector_efficiency) * (1.0 - dark)
    loading = heralding.coupling_efficiency * fibre_transmission(link.length_km, link.attenuation_db_per_km)
    total = loading * heralded + (1.0 - loading) * dark
    overhead = _ps(heralding.attempt_overhead_s)
    across = light_delay_ps(link.length_km, link.refractive_index)
    return _model(
        _with_modes(total, heralding.modes),
        _mixed_with_noise(werner(heralding.emission_fidelity), true=loading * heralded, total=total),
        cycle=overhead + 2 * across,
        herald=(overhead + 2 * across, overhead + across),
        emission=(overhead, overhead + across),
    )


def _source(link: Link, heralding: Source) -> LinkModel:
    """A Werner state in Phi+ of given fidelity and probability; both ends know after L/v, and age from then."""
    across = max(1, light_delay_ps(link.length_km, link.refractive_index))
    cycle = across if heralding.attempt_cycle_s is None else _ps(heralding.attempt_cycle_s)
    outcomes = ((heralding.success_probability, PHI_PLUS, werner(heralding.fidelity)),)
    return _model(
        heralding.success_probability, outcomes, cycle=cycle, herald=(across, across), emission=(across, across)
    )


Weighted = tuple[tuple[float, int, PairState], ...]
"""Relative weight, Bell index and normalised state of each outcome."""


def _model(
    success_probability: float, weighted: Weighted, *, cycle: int, herald: tuple[int, int], emission: tuple[int, int]
) -> LinkModel:
    total = sum(probability for probability, _, _ in weighted)
    outcomes = []
    for probability, bell_index, state in weighted:
        if probability > 0.0:
            state.setflags(write=False)
            outcomes.append(Outcome(probability / total, bell_index, state))
    return LinkModel(
        success_probability=success_probability,
        attempt_cycle_ps=max(1, cycle),
        outcomes=tuple(outcomes),
        herald_delay_ps=herald,
        emission_delay_ps=emission,
    )


def _at_station(
    link: Link,
    heralding: SingleClick | DoubleClick,
    *,
    populations: tuple[float, float, float, float],
    coherence: float,
    patterns: int,
) -> LinkModel:
    """A model with a station at the midpoint, whose clicks announce Psi+ or Psi-, in ``patterns`` ways each.

    ``populations`` and ``coherence`` (of |01><10|, positive for Psi+) are joint with one pattern of clicks. The ends
    emit so that their photons arrive together; the herald goes back to each. The cycle is 2 max(L_i)/v and overhead.
    """
    probability = sum(populations)
    weighted = []
    for bell_index, sign in ((PSI_PLUS, 1.0), (PSI_MINUS, -1.0)):
        state = np.diag(np.array(populations, dtype=np.complex128))
        state[1, 2] = state[2, 1] = sign * coherence
        weighted.append((probability, bell_index, state / probability if probability else state))
    overhead = _ps(heralding.attempt_overhead_s)
    near, far = (light_delay_ps(length, link.refractive_index) for length in _arms(link))
    longest = max(near, far)
    return _model(
        _with_modes(2 * patterns * probability, heralding.modes),
        tuple(weighted),
        cycle=overhead + 2 * longest,
        herald=(overhead + longest + near, overhead + longest + far),
        emission=(overhead + longest - near, overhead + longest - far),
    )


def _mixed_with_noise(pair: PairState, *, true: float, total: float) -> Weighted:
    """The loaded pair with probability ``true`` out of ``total``, else the maximally mixed state; heralds Phi+."""
    share = true / total if total else 0.0
    return ((total, PHI_PLUS, share * pair + (1.0 - share) / 4.0 * np.eye(4, dtype=np.complex128)),)


def _with_modes(probability: float, modes: int) -> float:
    """At least one of ``modes`` independent attempts succeeds: 1 - (1 - p)^M."""
    if modes == 1 or probability >= 1.0:
        return min(1.0, probability)
    return -math.expm1(modes * math.log1p(-probability))


def _station_efficiencies(link: Link, heralding: SingleClick | DoubleClick) -> tuple[float, float]:
    first, second = _arrivals(link, heralding.coupling_efficiency)
    return first * heralding.detector_efficiency, second * heralding.detector_efficiency


def _arrivals(link: Link, coupling_efficiency: float | Sequence[float]) -> tuple[float, float]:
    """For each end, coupling times the transmission of the fibre between it and the midpoint."""
    couplings, lengths = _per_end(coupling_efficiency), _arms(link)
    first, second = (
        coupling * fibre_transmission(length, link.attenuation_db_per_km)
        for coupling, length in zip(couplings, lengths, strict=True)
    )
    return first, second


def _arms(link: Link) -> tuple[float, float]:
    first = link.length_km / 2.0 if link.midpoint_km is None else link.midpoint_km
    return first, link.length_km - first


def _per_end(value: float | Sequence[float]) -> tuple[float, float]:
    if isinstance(value, Sequence):
        first, second = value
        return first, second
    return value, value


def _ps(seconds: float) -> int:
    return round(seconds * PICOSECONDS_PER_SECOND)
