"""The requests of a plan as steps on its machines, for the simulation."""

import random

from tests.benchmarks.scale import simulation
from tests.benchmarks.scale.capacity import Load, plan
from tests.benchmarks.scale.figures import Figures
from tests.benchmarks.scale.simulation import Request, Station, Step, Times

REQUESTS = 20_000  # of a simulation


class Cluster:
    """The machines of a plan, without one API machine and one standby.

    The time of a step is random, with an exponential distribution around the measured CPU time:
    real times vary less. Requests arrive at random times too (a Poisson process).
    """

    def __init__(self, figures: Figures, load: Load) -> None:
        assumed = figures.assumed
        self.figures, self.load, self.random = figures, load, random.Random(1)  # noqa: S311
        planned = plan(figures, load)
        processes = (planned.api_machines - 1) * int(assumed["cores of an API machine"])
        # A process uses one core, because of the GIL, and has a queue of its own.
        self.processes = [Station(1) for _ in range(processes)]
        node = int(assumed["cores of a node"])
        self.standbys = [Station(node) for _ in range(planned.standbys - 1)]
        self.primary, self.redis = Station(node), Station(1)
        self.network = Step(None, assumed["round trip"] / 1e3)

    def requests(self, number: int) -> list[Request]:
        now, requests = 0.0, []
        for _ in range(number):
            now += self.random.expovariate(self.load.requests)
            if self.random.random() < self.load.reads:
                requests.append(Request(now, "read", self._read()))
                continue
            name = self._kind(self.figures.write_mix)
            requests.append(Request(now, "write", self._write(name)))
            replay = self.figures.writes[name].replay
            requests += [
                Request(now, "replay", [self._step(standby, replay)]) for standby in self.standbys
            ]
        return requests

    def _read(self) -> list[Step]:
        """The position from Redis, then the rows."""
        assumed = self.figures.assumed
        cost = self.figures.reads[self._kind(self.figures.read_mix)]
        is_late = self.random.random() < assumed["reads on the primary"]
        node = self.primary if is_late else self.random.choice(self.standbys)
        factor = assumed["cost of a read on a standby"]
        process = self.random.choice(self.processes)
        return [
            self._step(process, cost.api * factor / 2),
            *self._redis(),
            self._step(node, cost.postgresql * factor),
            self.network,
            self._step(process, cost.api * factor / 2),
        ]

    def _write(self, name: str) -> list[Step]:
        """The statements, the COMMIT, then the position to Redis."""
        assumed, cost = self.figures.assumed, self.figures.writes[name]
        process = self.random.choice(self.processes)
        trips = int(assumed["round trips of a write"])
        steps = []
        for _ in range(trips):
            steps += [
                self._step(process, cost.api / trips),
                self.network,
                self._step(self.primary, cost.postgresql / trips),
            ]
        return [*steps, Step(None, assumed["commit"] / 1e3), *self._redis()]

    def _redis(self) -> list[Step]:
        return [self.network, self._step(self.redis, self.figures.measured["redis µs"])]

    def _step(self, station: Station, microseconds: float) -> Step:
        return Step(station, self.random.expovariate() * microseconds / 1e6)

    def _kind(self, mix: dict[str, float]) -> str:
        return self.random.choices([*mix], [*mix.values()])[0]


def times(figures: Figures, load: Load) -> dict[str, Times]:
    """Of reads and writes."""
    found = simulation.simulate(Cluster(figures, load).requests(REQUESTS))
    return {kind: simulation.percentiles(found[kind]) for kind in ("read", "write")}
