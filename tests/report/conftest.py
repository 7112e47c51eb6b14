from __future__ import annotations

from dataclasses import replace

import pytest
from report_sample import degenerate_report, hostile_report, sample_report, sample_two_runs, trace_pairs

from titer.report import ReportData, TwoRuns


@pytest.fixture(scope="session")
def sample() -> ReportData:
    return sample_report()


@pytest.fixture(scope="session")
def two_teachers(sample: ReportData) -> ReportData:
    return replace(sample, traces=(), trace_pairs=trace_pairs())


@pytest.fixture(scope="session")
def hostile(sample: ReportData) -> ReportData:
    return hostile_report(sample)


@pytest.fixture(scope="session")
def degenerate() -> ReportData:
    return degenerate_report()


@pytest.fixture(scope="session")
def two() -> TwoRuns:
    return sample_two_runs()
