"""Atomic writes: after a kill, the file has either the old or the new bytes."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from cnnzoo.errors import CheckpointError, SaveError
from cnnzoo.system import files

WRITER = """
import sys
from pathlib import Path
from cnnzoo.system import files
path = Path(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    number = (number + 1) % 256
    files.write_bytes(path, bytes([number]) * 300_000)
"""


def temporaries(folder):
    return [p for p in folder.iterdir() if p.name.startswith(files.TEMPORARY_PREFIX)]


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "new" / "a.bin"
    assert files.write_bytes(path, b"one") == path
    files.write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    files.write_json(tmp_path / "a.json", {"é": 1})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "\\u00e9": 1\n}\n'
    assert temporaries(tmp_path) == temporaries(tmp_path / "new") == []


def test_a_failing_block_leaves_the_old_file(tmp_path):
    path = files.write_text(tmp_path / "a.txt", "old")

    def half():
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert path.read_text() == "old"
    assert temporaries(tmp_path) == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = files.write_text(tmp_path / "a.txt", "old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(
        SaveError, match=r"a\.txt: No space left .* unchanged, so make room"
    ):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert temporaries(tmp_path) == []


def test_a_file_is_written_where_folders_cannot_be_flushed(tmp_path, monkeypatch):
    """Some file systems cannot; the file's own bytes were flushed before."""
    path, flushed, real = tmp_path / "a.txt", [], os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(descriptor)
        if len(flushed) == 2:
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert files.write_text(path, "new").read_text() == "new"
    assert len(flushed) == 2


def test_a_folder_in_the_way(tmp_path):
    with pytest.raises(SaveError, match="is a folder"):
        files.write_text(tmp_path, "x")
    assert issubclass(SaveError, OSError)


def test_a_file_in_the_way_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SaveError, match="cannot write"):
        files.write_text(tmp_path / "file" / "a.txt", "x")


DAMAGED = (b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"a": 1' + b" " * (1 << 20) + b"}")


@pytest.mark.parametrize("content", DAMAGED, ids=range(5))
def test_json_that_is_damaged_raises_the_callers_error(tmp_path, content):
    path = files.write_bytes(tmp_path / "a.json", content)
    with (
        pytest.raises(CheckpointError, match="the caller's sentence"),
        files.refusing_damage(CheckpointError("the caller's sentence")),
    ):
        files.read_json(path, limit=1 << 20)


def test_valid_json(tmp_path):
    path = files.write_json(tmp_path / "a.json", {"a": [1]})
    assert files.read_json(path) == {"a": [1]}
    assert files.sha256(path) == files.sha256(path.read_bytes())
    with pytest.raises(OSError, match="not an ordinary file"):
        files.read_json(tmp_path)


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", [float("nan")])


def test_killed_while_writing(tmp_path):
    """Ten times killed at some moment: the file is always whole."""
    path = tmp_path / "a.bin"
    for trial in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.02 + 0.013 * trial)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if path.exists():
            content = path.read_bytes()
            assert len(content) == 300_000
            assert len(set(content)) == 1
    assert path.exists()


def test_permissions_and_links_are_kept(tmp_path):
    path, link = tmp_path / "a.txt", tmp_path / "link.txt"
    files.write_text(path, "old")
    path.chmod(0o600)
    link.symlink_to(path.name)
    files.write_text(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_pipe_is_neither_read_nor_replaced(tmp_path):
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    for write in (files.write_text, files.add_line):
        with pytest.raises(SaveError, match="is a pipe or a device, not an ordinary"):
            write(pipe, "text")
    for read in (files.read_bytes, files.sha256):
        with pytest.raises(OSError, match="is a pipe or a device"):
            read(pipe)
    assert pipe.is_fifo()
