"""Who samples what: rollouts of long-tailed lengths over several servers, some of which fail, simulated.

    python benchmarks/scheduling.py [--servers 8] [--rollouts 4000] [--repeats 20] [--json]
    python benchmarks/scheduling.py --check            # the simulation beside a real run of titer's engine

A server decodes all its rollouts together, a token of each a step, and a step takes as long as `STEP` says for so many
rows. Compared are: a share dealt to each server beforehand; and each call to the server that owes the fewest tokens, as
`ServerGenerator` has it. Either with all servers well, with one that dies in the middle for good (what it had in flight
is asked for again), and with one that stops for a while. `useful` is the share of the tokens that the servers could
have decoded in the time, less those of servers that were down, that arrived as rollouts.

`--check` samples the lab's model with titer's engine, measures what a step takes by rows, and compares the time that
the simulation gives for the very lengths with the time that passed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

SLOTS = 64  # rollouts that a server decodes together
LONGEST = 16_384  # tokens


class Step(NamedTuple):
    """Seconds of a decoding step: fixed, and for each row."""

    fixed: float
    row: float

    def of(self, rows: int) -> float:
        """Seconds with so many rows."""
        return self.fixed + self.row * rows


STEP = Step(0.020, 0.0001)  # in the order of an 8B model on one GPU; ratios depend on it little


class Outage(NamedTuple):
    """A server that is down from one second to another. Stopped, it keeps what it has; dead, it loses it."""

    server: int
    begin: float
    end: float
    loses: bool


@dataclass(slots=True)
class Server:
    """What it decodes (tokens left of each rollout), and up to which second it has done so."""

    number: int
    now: float = 0.0
    rows: dict[int, int] = field(default_factory=dict)
    down_until: float = 0.0

    @property
    def owes(self) -> int:
        """Calls that it has been given and not answered."""
        return len(self.rows)


class Outcome(NamedTuple):
    """Seconds until the last rollout, tokens that arrived, and tokens that could have been decoded meanwhile."""

    seconds: float
    tokens: int
    could: float

    @property
    def useful(self) -> float:
        """Of what could have been."""
        return self.tokens / self.could


def simulate(
    lengths: Sequence[int], servers: int, *, step: Step, dealt: bool, outages: Sequence[Outage] = ()
) -> Outcome:
    """Decode rollouts of these lengths. `dealt`: each server has its share from the beginning."""
    fleet = [Server(i) for i in range(servers)]
    queue = deque(range(len(lengths)))
    left: dict[int, deque[int]] = {i: deque() for i in range(servers)}
    if dealt:
        for place in range(len(lengths)):
            left[place % servers].append(place)
        queue.clear()
    pending = sorted(outages, key=lambda one: one.begin)
    end = 0.0
    while any(server.rows for server in fleet) or queue or any(left.values()):
        _fill(fleet, queue, left, lengths)
        busy = [server for server in fleet if server.rows]
        if not busy:  # all that is left belongs to servers that are down
            for server in fleet:
                server.now = max(server.now, server.down_until)
            continue
        server = min(busy, key=lambda one: _next(one, step))
        at = _next(server, step)
        if pending and pending[0].begin <= at:
            _fail(fleet[pending[0].server], pending.pop(0), queue, left, step, dealt=dealt)
            continue
        _advance(server, at, step)
        done = [rollout for rollout, tokens in server.rows.items() if tokens <= 0]
        for rollout in done:
            del server.rows[rollout]
        end = max(end, at)
        for other in fleet:  # an idle one takes new work now, not in its past
            if not other.rows:
                other.now = max(other.now, at, other.down_until)
    down = [max(0.0, min(one.end, end) - one.begin) for one in outages]
    rate = SLOTS / step.of(SLOTS)
    return Outcome(end, sum(lengths), rate * (servers * end - sum(down)))


def _fill(fleet: Sequence[Server], queue: deque[int], left: dict[int, deque[int]], lengths: Sequence[int]) -> None:
    """Give every free slot of a server that is up a rollout."""
    while queue:
        free = [one for one in fleet if len(one.rows) < SLOTS and one.down_until <= one.now]
        if not free:
            break
        server = min(free, key=lambda one: (one.owes, one.number))
        rollout = queue.popleft()
        server.rows[rollout] = lengths[rollout]
    for server in fleet:
        mine = left[server.number]
        while mine and len(server.rows) < SLOTS and server.down_until <= server.now:
            rollout = mine.popleft()
            server.rows[rollout] = lengths[rollout]


def _next(server: Server, step: Step) -> float:
    """When its next rollout ends."""
    return server.now + min(server.rows.values()) * step.of(len(server.rows))


def _advance(server: Server, to: float, step: Step) -> None:
    steps = round((to - server.now) / step.of(len(server.rows)))
    for rollout in server.rows:
        server.rows[rollout] -= steps
    server.now = to


def _fail(
    server: Server,
    outage: Outage,
    queue: deque[int],
    left: dict[int, deque[int]],
    step: Step,
    *,
    dealt: bool,
) -> None:
    """A server goes down: it stops, or loses what it had."""
    if server.rows and outage.begin > server.now:
        steps = int((outage.begin - server.now) / step.of(len(server.rows)))
        for rollout in server.rows:
            server.rows[rollout] -= steps
    if outage.loses:
        # dealt work has nobody else to go to: it waits for the server; otherwise others are asked
        (left[server.number] if dealt else queue).extendleft(reversed(server.rows))
        server.rows = {}
    server.now = max(server.now, outage.end)
    server.down_until = outage.end


def lengths_of(count: int, rng: np.random.Generator) -> list[int]:
    """Long-tailed: log-normal with a median of 1,000 tokens and a log standard deviation of 1, cut at LONGEST."""
    return [int(n) for n in np.clip(rng.lognormal(np.log(1000), 1.0, count), 1, LONGEST)]


def compare(servers: int, rollouts: int, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Useful share and seconds by case and policy: [lowest, median, highest]."""
    found: dict[str, dict[str, list[Outcome]]] = {}
    for repeat in range(repeats):
        lengths = lengths_of(rollouts, np.random.default_rng([repeat, 1]))
        whole = simulate(lengths, servers, step=STEP, dealt=False).seconds
        cases = {
            "all well": [],
            "one dies": [Outage(0, whole / 3, whole, loses=True)],
            "one stops for a fifth": [Outage(0, whole / 3, whole * (1 / 3 + 1 / 5), loses=False)],
        }
        for case, outages in cases.items():
            for policy, dealt in (("dealt", True), ("fewest owed", False)):
                outcome = simulate(lengths, servers, step=STEP, dealt=dealt, outages=outages)
                found.setdefault(case, {}).setdefault(policy, []).append(outcome)
    return {
        case: {
            f"{policy}, {name}": _spread([getattr(one, name) for one in some])
            for policy, some in policies.items()
            for name in ("useful", "seconds")
        }
        for case, policies in found.items()
    }


def check(rollouts: int = 96, slots: int = 32) -> dict[str, float]:
    """A real run of titer's engine and the simulation of it: seconds of both, and their ratio."""
    import torch

    from titer.generate import Request, Sampling, TransformersGenerator
    from titer.lab.tasks import items
    from titer.models import load_model

    torch.set_num_threads(1)
    loaded = load_model("lab")
    problems = [item.problem for item in items("countdown4", rollouts, seed=0, held=True)]
    requests = [Request(one.id, one.prompt) for one in problems]
    sampling = Sampling(temperature=1.5, top_p=1.0, max_tokens=160)
    step = measured_step(loaded, requests, sampling, (4, slots))
    generator = TransformersGenerator(loaded.model, loaded.tokenizer, batch_size=slots)
    began = time.monotonic()
    lengths = [done.tokens for done in generator.stream(requests, sampling)]
    real = time.monotonic() - began
    global SLOTS  # noqa: PLW0603 - the engine's, for this check alone
    SLOTS = slots
    simulated = simulate(lengths, 1, step=step, dealt=False).seconds
    return {"real": real, "simulated": simulated, "ratio": simulated / real}


def measured_step(loaded: object, requests: Sequence[object], sampling: object, rows: Sequence[int]) -> Step:
    """Seconds of a step by rows, from runs in which all rows have the same length."""
    from dataclasses import replace

    from titer.generate import TransformersGenerator

    few, many = rows
    seconds = {}
    for count in rows:
        generator = TransformersGenerator(loaded.model, loaded.tokenizer, batch_size=count)  # type: ignore[attr-defined]
        some = list(requests)[:count]
        began = time.monotonic()
        done = list(generator.stream(some, replace(sampling, max_tokens=24)))  # type: ignore[arg-type,type-var]
        seconds[count] = (time.monotonic() - began) / max(one.tokens for one in done)
    row = max(0.0, (seconds[many] - seconds[few]) / (many - few))
    return Step(max(1e-9, seconds[few] - few * row), row)


def _spread(values: Sequence[float]) -> list[float]:
    return [min(values), statistics.median(values), max(values)]


def _lines(found: dict[str, dict[str, list[float]]]) -> Iterator[str]:
    for case, rows in found.items():
        for name, (low, mid, high) in rows.items():
            yield f"{case:<22} {name:<22} {mid:8.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    """Simulate, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=8)
    parser.add_argument("--rollouts", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.check:
        print(json.dumps({name: round(value, 3) for name, value in check().items()}))
        return
    found = compare(asked.servers, asked.rollouts, asked.repeats)
    print(json.dumps(found) if asked.json else "\n".join(_lines(found)))


if __name__ == "__main__":
    main()
