"""Charts over the updates of a training: loss, token accuracy, learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from titer.report.data import ProbeRow, ReportData, TrainRow
from titer.report.figures.drawing import Figure, line_of, over_steps, thinned


def loss(data: ReportData) -> Figure | None:
    """Of the training batch, of the fixed subset and of unseen traces."""
    rows = thinned(data.training)
    series = [
        line_of("training batch", [r.step for r in rows], [r.loss for r in rows], 0, markers=False),
        line_of("fixed subset", [r.step for r in data.probes], [r.loss for r in data.probes], 1),
        line_of("unseen traces", [r.step for r in data.unseen], [r.loss for r in data.unseen], 2),
    ]
    return over_steps([*series, *_endpoint(data, series)], "Loss")


def token_accuracy(data: ReportData) -> Figure | None:
    """Of the same, beside accuracy and termination in domain."""
    if not (rows := thinned(data.training)):
        return None
    series = [
        line_of("training batch", [r.step for r in rows], _per_cent(rows), 0, markers=False),
        line_of("fixed subset", [r.step for r in data.probes], _per_cent(data.probes), 1),
        line_of("unseen traces", [r.step for r in data.unseen], _per_cent(data.unseen), 2),
        *_judged(data),
    ]
    return over_steps([*series, *_endpoint(data, series)], "Token accuracy, %")


def rewards(data: ReportData) -> Figure | None:
    """Of RL's updates."""
    rows = thinned(data.rewards)
    series = [line_of("mean reward", [r.step for r in rows], [r.reward for r in rows], 0, markers=False)]
    return over_steps(series, "Mean reward", height=190)


def learning_rate(data: ReportData) -> Figure | None:
    """As the schedule has it."""
    rows = thinned(data.training)
    series = [line_of("learning rate", [r.step for r in rows], [r.lr for r in rows], 0, markers=False)]
    return over_steps(series, "Learning rate", height=190)


def _per_cent(rows: Sequence[TrainRow | ProbeRow]) -> list[float]:
    return [100 * row.token_accuracy for row in rows]


def _judged(data: ReportData) -> list[Figure]:
    """Accuracy and termination in domain at each evaluated checkpoint, so that they stand beside token accuracy."""
    if len(data.checkpoints) < 2:
        return []
    by_step = {
        step: [score for score in data.checkpoints[step] if score.axis == "in_domain"]
        for step in sorted(data.checkpoints)
    }
    by_step = {step: scores for step, scores in by_step.items() if scores}
    # an axis pools its suites' problems
    weights = [[score.problems for score in scores] for scores in by_step.values()]
    parts = list(zip(by_step.values(), weights, strict=True))
    accuracy = [100 * fmean([score.accuracy.mid for score in scores], of) for scores, of in parts]
    ended = [100 * fmean([score.terminated.mid for score in scores], of) for scores, of in parts]
    steps = list(by_step)
    return [line_of("accuracy in domain", steps, accuracy, 3), line_of("ends by itself in domain", steps, ended, 4)]


def _endpoint(data: ReportData, series: Sequence[Figure]) -> list[Figure]:
    """An upright line where the endpoint rule fired, as high as what it stands beside; nothing where it did not."""
    heights = [y for one in series for y in one["y"]]
    if not data.endpoint or not heights:
        return []
    line = line_of("endpoint", [data.endpoint.step] * 2, [min(heights), max(heights)], 5, markers=False)
    return [line | {"line": {"color": "--ink", "dash": "dot", "width": 2}}]
