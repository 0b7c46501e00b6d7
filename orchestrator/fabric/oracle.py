"""What an observer sees: the true states, which no protocol may know."""

from __future__ import annotations

import numpy as np

from orchestrator import control
from orchestrator.fabric.engine import Engine
from orchestrator.fabric.laboratory import OperationRefused
from orchestrator.fabric.predictions import fidelity
from orchestrator.fabric.registers import RegisterError
from qnode.wire.quantum import BELL_STATES


def view(engine: Engine, question: control.Observation) -> control.OracleView:
    """The answer to an observer's question, now; an error in words if there is none."""
    now = engine.agenda.now_ps
    try:
        return _seen(engine, question, now)
    except (OperationRefused, RegisterError) as error:
        return control.OracleView(now_ps=now, error=str(error))


def _seen(engine: Engine, question: control.Observation, now: int) -> control.OracleView:
    laboratory = engine.laboratory
    if isinstance(question, control.AskCensus):
        qubits = tuple(laboratory.qubits)
        owners = tuple(qubit.owner for qubit in laboratory.qubits.values())
        return control.OracleView(now_ps=now, qubits=qubits, owners=owners)
    names = question.qubits if isinstance(question, control.AskState) else _halves(engine, question.pair_id)
    state = laboratory.aged_state(names, now)
    fidelities = {}
    if len(names) == 2:
        fidelities = {name: fidelity(state, bell_index=index) for index, name in enumerate(BELL_STATES)}
    return control.OracleView(
        now_ps=now,
        qubits=tuple(names),
        owners=tuple(laboratory.qubits[name].owner for name in names),
        dimension=state.shape[0],
        state=np.ascontiguousarray(state).tobytes(),
        bell_fidelities=fidelities,
    )


def _halves(engine: Engine, pair_id: str) -> tuple[str, ...]:
    known = engine.truth.pairs.get(pair_id)
    if known is None:
        raise OperationRefused("gone", f"no unused pair {pair_id}")
    return known[1]
