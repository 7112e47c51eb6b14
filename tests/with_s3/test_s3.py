"""A run on an object server on loopback: begun by one machine, gone on with and reported by another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from titer.errors import InputError
from titer.recipe import parse_recipe
from titer.verbs import report, run

RECIPE = {
    "name": "tiny",
    "model": "lab",
    "data": {"lab": {"problems": {"countdown3": 24}, "suites": {"countdown3": 6}}},
    "measure": {"problems": 4, "samples": 2, "max_tokens": 32},
    "train": {"updates": 2, "batch_size": 8, "objective": "nll", "probe_samples": 4},
    "evaluate": {"samples": 1, "max_tokens": 32, "kl": 0},
}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()  # each server has its port
    system = fsspec.filesystem("s3")
    system.mkdir("runs")
    yield "s3://runs"
    system.rm("runs", recursive=True)  # the server's objects outlive it
    server.stop()


def test_one_machine_begins_a_run_and_another_ends_it(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{bucket}/tiny"
    monkeypatch.setenv("TITER_CACHE", str(tmp_path / "one"))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(sys.modules["titer.pipeline.run"], "evaluate_models", interrupted)
        run(parse_recipe(RECIPE), out=address)
    monkeypatch.setenv("TITER_CACHE", str(tmp_path / "two"))
    said: list[str] = []
    summary = run(parse_recipe(RECIPE), out=address, said=said.append)
    kept = {line.split(":")[0] for line in said if line.endswith("unchanged, kept")}
    assert {"data", "curate", "measure", "train"} <= kept and "evaluate" not in kept
    monkeypatch.setenv("TITER_CACHE", str(tmp_path / "three"))
    again = report(address)
    assert again["in_domain"] == summary["in_domain"]
    system = fsspec.filesystem("s3")
    assert system.exists(f"{address}/report.html") and system.exists(f"{address}/recipe.yaml")


def test_a_bucket_that_is_not_there_is_named(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TITER_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="s3://nowhere/tiny"):
        run(parse_recipe(RECIPE), out="s3://nowhere/tiny")


def test_a_server_that_is_gone_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("TITER_CACHE", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(InputError, match="s3://runs/tiny: .*127.0.0.1:9"):
        run(parse_recipe(RECIPE), out="s3://runs/tiny")


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt
