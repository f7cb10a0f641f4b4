from pathlib import Path

import pytest

from erythron.errors import ImageReadError, UsageError
from erythron.pipeline.executor import check_distinct, run_batch
from erythron.read.inputs import InputImage


def make_input(path: str) -> InputImage:
    return InputImage(Path(path), Path(Path(path).name))


def test_a_bad_input_is_named_and_the_others_are_done() -> None:
    done: list[str] = []
    seen: list[str] = []

    def work(image: InputImage) -> None:
        match image.path.name:
            case "broken.png":
                raise ImageReadError("broken.png: is truncated; copy it again")
            case "huge.png":
                raise MemoryError
            case "odd.png":
                raise ZeroDivisionError("division by zero")
        done.append(image.path.name)

    names = ["a.png", "broken.png", "huge.png", "odd.png", "z.png"]
    failures = run_batch([make_input(name) for name in names], work, seen.append)
    assert done == ["a.png", "z.png"]
    assert [failure.image for failure in failures] == ["broken.png", "huge.png", "odd.png"]
    assert failures[0].reason == "broken.png: is truncated; copy it again"
    assert "not enough memory" in failures[1].reason
    assert "ZeroDivisionError" in failures[2].reason
    assert seen == names


def test_an_interrupt_is_not_an_inputs_failure() -> None:
    def work(_: InputImage) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch([make_input("a.png")], work)


def test_two_inputs_with_one_output_are_refused_by_name() -> None:
    first, second = make_input("x/a.png"), make_input("y/a.jpg")
    check_distinct([(first, Path("a")), (second, Path("b"))])
    with pytest.raises(UsageError, match=r"x/a\.png and y/a\.jpg"):
        check_distinct([(first, Path("a")), (second, Path("a"))])
