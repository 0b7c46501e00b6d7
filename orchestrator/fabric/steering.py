"""Who steers a testbed: lets virtual time stand still and go on to an instant or an event, breaks and mends.

What is asked while virtual time stands still is done at the instant at which it stands, so a test that steers is as
repeatable as a scenario.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator import control
from orchestrator.fabric.engine import Engine
from orchestrator.fabric.event_log import EventLog
from orchestrator.fabric.pacing import Pace
from orchestrator.scenario.faults import kind_of, target_of
from orchestrator.scenario.file import ScenarioError, fault_of


class Steering:
    """Whether virtual time may go on, and how far."""

    def __init__(self, engine: Engine, log: EventLog, pace: Pace, *, held: bool, wall_s: Callable[[], float]) -> None:
        """``held``: from the start; ``wall_s``: a monotonic clock."""
        self._engine = engine
        self._log = log
        self._pace = pace
        self.held = held
        """Whether virtual time stands still for whoever steers."""
        self._goal: control.Go | control.LetIn | None = None
        self._wall_s = wall_s
        self._held_at_s = wall_s()
        self._knocking: set[str] = set()
        """Nodes at which applications want to be let in."""
        self.disappointed: set[int] = set()
        """Calls to be told what applications wait for, since what was waited for has not come."""
        self._letting_in = False
        self._outbox: list[control.Steered] = []

    @property
    def steers(self) -> bool:
        """Whether somebody waits for virtual time to come somewhere."""
        return self._goal is not None

    def answers(self) -> list[control.Steered]:
        """The answers that are due since the last call."""
        due, self._outbox = self._outbox, []
        return due

    def asked(self, request: control.Steer) -> None:
        """Do what is asked, or begin to."""
        try:
            self._do(request)
        except (ScenarioError, ValueError) as error:
            self._answer(request, error=str(error))
        except KeyError as error:
            known = ", ".join(fault.name for fault, _, _ in self._engine.faults.listed()) or "none"
            self._answer(request, error=f"expected the name of a fault, found {error.args[0]!r}; there is {known}")

    def knocked(self, node: str) -> None:
        """An application wants something of a node that is blocked."""
        self._knocking.add(node)

    def holds(self, due: int | None) -> bool:
        """Whether virtual time stands still although something is ``due`` (ps); nobody may hold a grant."""
        goal = self._goal
        if goal is None:
            return self.held
        if isinstance(goal, control.LetIn):
            return self._lets_in(goal)
        why = self._reached(goal, due)
        if not why:
            self._engine.cut_at = goal.until_ps
            return False
        self._stop(why)
        return True

    def over(self) -> None:
        """The run is over; whoever waits hears of it."""
        if self._goal is not None:
            self._stop("over")

    def _do(self, request: control.Steer) -> None:
        engine, now = self._engine, self._engine.present_ps
        if isinstance(request, control.AddFault):
            fault = fault_of(request.fault, engine.scenario)
            self._noted(f"the fault {kind_of(fault)} {target_of(fault)} was added")
            self._answer(request, name=engine.faults.add(fault, now=now))
        elif isinstance(request, control.RemoveFault):
            engine.faults.remove(request.name, now=now)
            self._noted(f"the fault {request.name} was removed")
            self._answer(request)
        elif isinstance(request, control.ResetFaults):
            for fault, _, _ in engine.faults.listed():
                engine.faults.remove(fault.name, now=now)
            self._noted("all faults were removed")
            self._answer(request)
        elif isinstance(request, control.ListFaults):
            states = tuple(
                control.FaultState(
                    name=fault.name, kind=kind_of(fault), target=target_of(fault), cause=cause, active=active
                )
                for fault, cause, active in engine.faults.listed()
            )
            self._answer(request, faults=states)
        elif self._goal is not None:
            raise ValueError("virtual time is on its way already, for an earlier call; await its answer")
        elif isinstance(request, control.Hold):
            self._hold()
            self._answer(request)
        elif isinstance(request, control.Go):
            self._go(request)
        else:
            assert isinstance(request, control.LetIn)
            if request.node not in engine.seats:
                raise ValueError(f"expected the name of a node, found {request.node!r}")
            self._goal = request

    def _go(self, request: control.Go) -> None:
        if request.until_ps is not None and request.until_ps < self._engine.present_ps:
            raise ValueError(
                f"virtual time is already {self._engine.present_ps} ps, it cannot go on until {request.until_ps} ps"
            )
        if self.held:
            self._pace.stood_still(self._wall_s() - self._held_at_s)
            self.held = False
        if request.until_ps is None and request.line is None and not request.ended:
            self._engine.cut_at = None
            self._answer(request)
            return
        self._goal = request
        self._log.watch_for(request.line)

    def _reached(self, goal: control.Go, due: int | None) -> control.Why:
        engine = self._engine
        if goal.line is not None and self._log.seen is not None:
            return "line"
        if goal.until_ps is not None and (due is None or due >= goal.until_ps):
            engine.advance(goal.until_ps)
            return "time"
        if not engine.settled:
            return ""
        if goal.ended and engine.applications == 0 and not engine.faults.brings_applications():
            return "ended"
        if goal.until_ps is None and (due is None or engine.rests(due)) and not engine.may_act_from_outside:
            return "idle"
        return ""

    def _lets_in(self, goal: control.LetIn) -> bool:
        """One window of the node's own, so short that nothing else comes into it."""
        if goal.node not in self._knocking:
            return True
        if not self._letting_in:
            self._letting_in = True
            self._engine.cut_at = self._engine.present_ps + 1
            return False
        self._letting_in = False
        self._knocking.discard(goal.node)
        self._stop("let_in")
        return True

    def _stop(self, why: control.Why) -> None:
        goal, self._goal = self._goal, None
        assert goal is not None
        self._hold()
        if isinstance(goal, control.Go) and (goal.ended or goal.line) and why in ("time", "idle"):
            self.disappointed.add(goal.call)
        self._log.flush()
        self._answer(goal, why=why, line=self._log.seen or {})
        self._log.watch_for(None)

    def _hold(self) -> None:
        if not self.held:
            self.held, self._held_at_s = True, self._wall_s()

    def _noted(self, what: str) -> None:
        """What is done while virtual time flows cannot be repeated to the event."""
        if not self.held:
            self._engine.outside.append(f"{what} while virtual time went on")

    def _answer(
        self,
        request: control.Steer,
        *,
        error: str = "",
        name: str = "",
        faults: tuple[control.FaultState, ...] = (),
        why: control.Why = "",
        line: dict[str, object] | None = None,
    ) -> None:
        self._outbox.append(
            control.Steered(
                call=request.call,
                now_ps=self._engine.present_ps,
                error=error,
                name=name,
                faults=faults,
                why=why,
                line=line or {},
            )
        )
