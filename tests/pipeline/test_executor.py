import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from erythron.bundle.loading import start_loading
from erythron.errors import BundleError, ImageReadError
from erythron.pipeline.count_worker import CountTask
from erythron.pipeline.executor import Failure, LocalExecutor
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import InputImage


def make_input(path: str) -> InputImage:
    return InputImage(Path(path), Path(Path(path).name))


class Renaming:
    """A task whose items fail in every way that an item can; it counts how often it is started."""

    def __init__(self, error: type[BaseException] | None = None) -> None:
        self.started = 0
        self.error = error

    def start(self) -> Callable[[InputImage], str]:
        self.started += 1

        def work(image: InputImage) -> str:
            if self.error is not None:
                raise self.error
            match image.path.name:
                case "broken.png":
                    raise ImageReadError("broken.png: is truncated; copy it again")
                case "huge.png":
                    raise MemoryError
                case "odd.png":
                    raise ZeroDivisionError("division by zero")
            return image.path.stem

        return work


def test_a_bad_input_is_named_and_the_others_are_done() -> None:
    names = ["a.png", "broken.png", "huge.png", "odd.png", "z.png"]
    task = Renaming()
    done = list(LocalExecutor().run(task, [make_input(name) for name in names]))
    assert task.started == 1
    assert [item.name for item, _ in done] == names
    assert [outcome for _, outcome in done if not isinstance(outcome, Failure)] == ["a", "z"]
    failures = [outcome for _, outcome in done if isinstance(outcome, Failure)]
    assert [failure.image for failure in failures] == ["broken.png", "huge.png", "odd.png"]
    assert failures[0].reason == "broken.png: is truncated; copy it again"
    assert "not enough memory" in failures[1].reason
    assert "ZeroDivisionError" in failures[2].reason


def test_items_are_taken_when_their_turn_comes() -> None:
    taken: list[str] = []

    def items() -> Iterator[InputImage]:
        for name in ("a.png", "b.png"):
            taken.append(name)
            yield make_input(name)

    outcomes = LocalExecutor().run(Renaming(), items())
    next(outcomes)
    assert taken == ["a.png"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, BundleError])
def test_an_interrupt_or_a_broken_model_is_not_an_inputs_failure(error: type[BaseException]) -> None:
    with pytest.raises(error):
        list(LocalExecutor().run(Renaming(error), [make_input("a.png")]))


def test_a_task_of_a_count_can_be_sent_to_another_process() -> None:
    task = CountTask(RunOptions(mpp=0.25), start_loading(None))
    sent = pickle.loads(pickle.dumps(task))  # noqa: S301 (our own bytes)
    assert sent.options == task.options
    assert callable(sent.start())
