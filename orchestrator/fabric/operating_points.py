"""The trades of rate for fidelity that a link offers: one list, which nodes are told and the fabric draws from.

A single-click link's knob is its bright-state population alpha: fidelity about 1 - alpha, rate about 2 alpha eta
(Humphreys et al. 2018, Nature 558 268; Dahlberg et al. 2019, SIGCOMM, section 4.4). Other schemes have none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrator.fabric.heralding import LinkModel, expected_state, link_model
from orchestrator.fabric.predictions import fidelity
from orchestrator.scenario import Link, SingleClick
from qnode.config import BellDiagonal, OperatingPoint

HALVINGS = 4


def operating_models(link: Link, *, points: int | None = None) -> tuple[LinkModel, ...]:
    """The link's models by operating point: the scenario's first, then each with half the bright-state population of
    the one before, as long as that brings fidelity (dark counts end it).

    ``points``: exactly so many, whatever they bring, for a link that has changed since its nodes were told.
    """
    models = [link_model(link)]
    if isinstance(link.heralding, SingleClick):
        given = link.heralding.bright_state_population
        alphas = tuple(given) if isinstance(given, Sequence) else (given, given)
        for halving in range(1, HALVINGS + 1):
            model = link_model(link, bright_state_population=[alpha / 2**halving for alpha in alphas])
            if len(models) == points or (points is None and model.fidelity <= models[-1].fidelity):
                break
            models.append(model)
    return tuple(models)


def operating_point(model: LinkModel) -> OperatingPoint:
    """What a node is told of a model: its rate, and its pairs' populations relative to the announced Bell state."""
    return OperatingPoint(rate_hz=model.rate_hz, spectrum=spectrum(expected_state(model)))


def spectrum(state: np.ndarray) -> BellDiagonal:
    """The populations of the four Bell states in a pair's state (4, 4) in the Phi+ frame."""
    first, second, third, fourth = (max(0.0, fidelity(state, index)) for index in range(4))
    return first, second, third, fourth
