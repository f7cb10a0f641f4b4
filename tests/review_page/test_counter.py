"""Pictures are counted in a process of their own, which may break without the server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from erythron.pipeline.added import NewImage
from erythron.results.run import read_specimens
from erythron.review_page.counter import CountingProcess, CrashError
from tests.review_page.conftest import encode


def test_a_process_that_breaks_is_started_anew(run: Path, smear: NDArray[np.uint8]) -> None:
    path = run / "sent.png"
    path.write_bytes(encode(smear))
    [specimen] = read_specimens(run)
    counter = CountingProcess(run)
    counter._start()
    process = counter._process
    assert process is not None
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    new = NewImage(path, "", "sent")
    with pytest.raises(CrashError):
        counter.count(new)
    assert counter.count(new).reason == ""
    assert len(read_specimens(run)[0].images) == len(specimen.images) + 1
    assert counter.count(NewImage(path, "another", "sent")).reason.endswith(
        "send the picture to one that it has"
    )
    counter.stop()
    with pytest.raises(CrashError):
        counter.count(new)


AT_WORK = """
import sys, time
from multiprocessing import Pipe
from pathlib import Path
from erythron.files.writing import unnamed_file
from erythron.review_page import counter
def write(out, new):
    with unnamed_file(out) as partial:
        partial.write_text("half")
        print("begun", flush=True)
        time.sleep(60)
counter.count_new = write
here, there = Pipe()
here.send(None)
counter._serve(there, Path(sys.argv[1]))
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows ends a process without a word to it")
def test_a_process_that_the_server_ends_takes_away_what_it_half_wrote(tmp_path: Path) -> None:
    command = [sys.executable, "-c", AT_WORK, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGINT)  # Ctrl-C comes here too, and is for the server
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, b"")
    assert not list(tmp_path.iterdir())
