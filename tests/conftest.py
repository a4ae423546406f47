"""Fixtures of all tests, and the page that `make proofs` writes.

The tests need no network: a connection anywhere but to this machine is an error.
"""

import os
import socket
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parent.parent
PROOFS = ROOT / "docs" / "proofs.md"
ROWS: list[tuple[str, str, str, float, float]] = []  # of this session, for the page


def pytest_addoption(parser):
    parser.addoption(
        "--write-proofs", action="store_true", help=f"write {PROOFS.name} at the end"
    )


def pytest_sessionfinish(session, exitstatus):
    is_worker = hasattr(session.config, "workerinput")  # one process writes the page
    if session.config.getoption("--write-proofs") and exitstatus == 0 and not is_worker:
        PROOFS.write_text(proofs_page(ROWS), encoding="utf-8")


def proofs_page(rows) -> str:
    """The page: a row a comparison, in the order of names."""
    lines = [
        "# What is proven",
        "",
        "Written by `make proofs`. Each row compares a network with an independent "
        "definition that has the same random weights, BN statistics included, on random "
        "images. The difference is the largest one, divided by the largest output.",
        "",
        "| network | what | against | difference | bound |",
        "|---|---|---|---:|---:|",
    ]
    lines += [
        f"| {network} | {what} | {against} | {difference:.1e} | {bound:.0e} |"
        for network, what, against, difference, bound in sorted(rows)
    ]
    return "\n".join(lines) + "\n"


def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed:
        ROWS.extend(value for name, value in report.user_properties if name == "proof")


@pytest.fixture
def record(request):
    """Notes a comparison: record(network, what, against, difference, bound)."""

    def note(
        network: str, what: str, against: str, difference: float, bound: float
    ) -> None:
        row = (network, what, against, float(difference), bound)
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


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with the full data sets, which a clone alone does not have."""
    folder = os.environ.get("CNNZOO_DATA")
    if not folder or not (Path(folder) / "mnist.npz").exists():
        pytest.skip("mnist.npz is not in the folder that CNNZOO_DATA names")
    return Path(folder)
