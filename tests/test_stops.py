import os
import signal

import pytest

from rgan_bench.stops import Stopped, StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_the_first_signal_is_only_noted_and_the_old_handlers_come_back(number: int) -> None:
    before = {each: signal.getsignal(each) for each in StopSignals.SIGNALS}
    said: list[str] = []
    with StopSignals(said.append) as stop:
        assert stop.received is None
        os.kill(os.getpid(), number)
        assert stop.received == number
        assert {each: signal.getsignal(each) for each in StopSignals.SIGNALS} == before  # a second one acts as usual
    assert len(said) == 1
    assert {each: signal.getsignal(each) for each in StopSignals.SIGNALS} == before


def test_what_may_be_broken_off_is_broken_off_at_once() -> None:
    steps = []
    with StopSignals() as stop:
        with pytest.raises(Stopped), stop.breaking_off():
            steps.append("before")
            os.kill(os.getpid(), signal.SIGTERM)
            steps.append("after")
        with pytest.raises(Stopped), stop.breaking_off():  # and not begun any more
            steps.append("again")
    assert steps == ["before"]


def test_nobody_swallows_a_stop_by_accident() -> None:
    assert not issubclass(Stopped, Exception)
