"""How `titer doctor` prints what it found."""

from __future__ import annotations

from typing import Any

from titer.cli.printing import print_pairs, say
from titer.verbs.doctor import DoctorResult


def doctor_json(result: DoctorResult) -> dict[str, Any]:
    """What a program gets: names all the way down, sizes in bytes, times in seconds."""
    machine = result.machine
    return {
        "machine": {
            **machine._asdict(),
            "devices": [device._asdict() for device in machine.devices],
            "engines": {name: engine._asdict() for name, engine in machine.engines.items()},
        },
        "memory": {
            **(result.memory._asdict() | {"total": result.memory.total} if result.memory else {}),
            "measured": result.measured,
        },
        "pace": result.pace._asdict() if result.pace else None,
        "stages": [stage._asdict() for stage in result.stages],
        "faults": result.faults,
    }


def show_doctor(result: DoctorResult) -> None:
    """Names and values, a line each; what is wrong goes to stderr."""
    machine, memory = result.machine, result.memory
    pairs: dict[str, str] = {"cores": str(machine.cores)}
    for i, device in enumerate(machine.devices):
        pairs["memory" if i == 0 else f"device {i}"] = (
            f"{device.name}, {_size(device.memory)}, {_size(device.free)} free"
        )
    pairs |= {"dtypes": ", ".join(machine.dtypes), "attention": ", ".join(machine.attention)}
    pairs |= {name: engine.version or f"– ({engine.remedy})" for name, engine in machine.engines.items()}
    pairs |= {"disk": f"{_size(machine.disk)} free", "accelerate configurations": machine.configurations}
    if memory:
        parts = ", ".join(f"{name} {_size(size)}" for name, size in memory._asdict().items())
        pairs["training takes"] = f"{_size(memory.total)} ({parts})"
    if result.measured is not None:
        share = f", {memory.total / result.measured:.2f} of it predicted" if memory else ""
        pairs["measured"] = f"{_size(result.measured)}{share}"
    if result.pace:
        pairs["pace"] = f"{result.pace.trained:,.0f} tokens/s trained, {result.pace.sampled:,.0f} sampled"
    pairs |= {stage.name: f"{_time(stage.seconds)} ({stage.what})" for stage in result.stages}
    print_pairs(pairs)
    for fault in result.faults:
        say(fault)


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.1f} min"
