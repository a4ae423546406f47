"""Fixtures of all tests, and the list of proofs that `make proofs` writes.

The tests need no network: a connection anywhere but to this machine is an error.
"""

import os
import socket
from dataclasses import astuple
from pathlib import Path

import pytest

from cnnzoo.models import proofs
from cnnzoo.models.proofs import Proof

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Without it TensorFlow has no convolution with channels first on a CPU, and it is off by
# default on older ones.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

ROWS: list[tuple[str, str, str, float, float]] = []  # Proofs of this session


def pytest_addoption(parser):
    parser.addoption(
        "--write-proofs", action="store_true", help="write proofs.json at the end"
    )
    parser.addoption(
        "--add-proofs", action="store_true", help="add this session's to proofs.json"
    )


def pytest_sessionfinish(session, exitstatus):
    is_worker = hasattr(session.config, "workerinput")  # one process writes the pages
    adds = session.config.getoption("--add-proofs")
    if not (adds or session.config.getoption("--write-proofs")) or is_worker:
        return
    if exitstatus == 0 and ROWS:
        import generate

        digests = generate.graph_digests()
        rows = with_known(ROWS, digests) if adds else ROWS
        proofs.write(map(Proof, *zip(*rows, strict=True)), digests)
        proofs.load_proofs.cache_clear()
        generate.write_pages()


def with_known(rows: list[tuple], digests: dict[str, str]) -> list[tuple]:
    """The new rows, and those of proofs.json that still apply."""
    stored, replaced = proofs.load_proofs(), {row[:3] for row in rows}
    kept = map(astuple, stored.proofs)
    return rows + [
        row
        for row in kept
        if row[:3] not in replaced and stored.graphs.get(row[0]) == digests.get(row[0])
    ]


def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed:
        ROWS.extend(value for name, value in report.user_properties if name == "proof")


@pytest.fixture
def record(request):
    """Records a comparison: record(network, what, against, difference, bound)."""

    def note(
        network: str, what: str, against: str, difference: float, bound: float
    ) -> None:
        row = (network, against, what, float(difference), bound)
        request.node.user_properties.append(("proof", row))

    return note


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    connect = socket.socket.connect

    def guarded(self, address):
        local = not isinstance(address, tuple) or address[0] in ("127.0.0.1", "::1")
        if not local:
            raise AssertionError(f"a test opened a connection to {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _free_memory(request):
    """Two copies of a VGG are a gigabyte, and the collector counts objects, not bytes."""
    yield
    if request.node.get_closest_marker("proof"):
        import keras

        keras.utils.clear_session(free_memory=True)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with the full data sets, which a clone alone does not have."""
    folder = os.environ.get("CNNZOO_DATA")
    if not folder or not (Path(folder) / "mnist.npz").exists():
        pytest.skip("mnist.npz is not in the folder that CNNZOO_DATA names")
    return Path(folder)


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """A small source network, trained on two kinds of stripes."""
    from transferring import trained

    return trained(tmp_path_factory.mktemp("source"))
