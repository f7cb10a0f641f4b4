"""Works done ahead: in order, one at a time, and with their errors."""

from functools import partial
from threading import Event

import pytest

from erythron.look_ahead import look_ahead


def test_results_come_in_the_order_of_the_works():
    assert list(look_ahead(partial(pow, i, 2) for i in range(20))) == [i**2 for i in range(20)]
    assert list(look_ahead([])) == []


def test_the_next_work_is_done_while_a_result_is_used():
    begun = [Event() for _ in range(3)]
    for i, event in enumerate(look_ahead(partial(mark, event) for event in begun)):
        assert event is begun[i]
        assert begun[min(i + 1, 2)].wait(timeout=5)


def mark(event):
    event.set()
    return event


def test_an_error_comes_in_place_of_the_result():
    results = look_ahead(partial(divmod, 7, i) for i in (2, 0, 3))
    assert next(results) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        next(results)
