"""An interrupt says the same and ends the same whenever it comes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from erythron.interrupts import INTERRUPTED, MESSAGE, start_deaf

LOADING = """
import signal, sys, time
from erythron import __main__ as program
import erythron
class Slow:
    def find_spec(self, name, *_):
        if name == "erythron.cli":
            print("loading", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
program.run()
"""
FINISHED = """
import sys, time, typer
from erythron import cli
cli.app = lambda words: print("finished", flush=True)
cli.main()
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("program", [LOADING, FINISHED])
def test_before_and_after_the_work(program: str, number: signal.Signals) -> None:
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() in (b"loading\n", b"finished\n")
        time.sleep(0.2)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said.decode().strip()) == (INTERRUPTED, MESSAGE)


AT_WORK = """
import signal, sys
from erythron import __main__ as program
from erythron import cli
class Network:
    def __del__(self):
        print("taken apart")
network = Network()
def results():
    try:
        yield 1
    finally:
        print("closed")
def work(words):
    held = results()
    for result in held:
        if sys.argv[1] == "a text":
            exec("signal.raise_signal(signal.SIGTERM)", {"signal": signal})
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            if sys.argv[1] == "a library with an exit of its own":
                sys.exit(1)
            raise
cli.app = work
program.run()
"""


@pytest.mark.parametrize("where", ["a text", "code", "a library with an exit of its own"])
def test_during_the_work_all_is_closed_and_nothing_taken_apart_that_a_thread_may_use(where: str) -> None:
    done = subprocess.run([sys.executable, "-c", AT_WORK, where], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (INTERRUPTED, MESSAGE)
    assert done.stdout == "closed\n"


def test_a_signal_that_is_ignored_stays_so() -> None:
    program = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    program += (
        "from erythron.interrupts import end_at_once, raise_interrupt; end_at_once(); raise_interrupt()\n"
    )
    program += "assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN; signal.raise_signal(signal.SIGINT)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


LOST = """
import os, signal
from erythron.interrupts import raise_interrupt
from erythron.pipeline.executor import LocalExecutor

class Task:
    def start(self):
        return lambda item: item.swallow()

class Item:
    name = "a.png"
    def __init__(self, number):
        self.number = number
    def swallow(self):
        print("item", self.number, flush=True)
        try:
            os.kill(os.getpid(), signal.SIGINT)
            [None for _ in range(1000)]
        except BaseException:  # as compiled code does with what its callbacks raise
            pass

raise_interrupt()
try:
    for _ in LocalExecutor().run(Task(), map(Item, range(3))):
        pass
except KeyboardInterrupt:
    print("interrupted")
raise_interrupt()
print(len(list(LocalExecutor().run(Task(), []))))
"""


def test_an_interrupt_that_compiled_code_swallowed_ends_the_work_before_the_next_image() -> None:
    ended = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, timeout=60)
    assert ended.stdout.split() == ["item", "0", "interrupted", "0"], ended.stderr


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows holds no signal back")
def test_a_process_that_is_started_deaf_does_not_hear_of_ctrl_c_from_its_first_moment() -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('here')"
    done: list[str] = []

    def start() -> None:
        done.append(subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True).stdout)

    start_deaf(start)
    assert done == ["here\n"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
