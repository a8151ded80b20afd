import os
import signal

import pytest

from rgan_bench.run.stops import Stopped, StopSignals

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


def handlers() -> dict[int, object]:
    return {each: signal.getsignal(each) for each in ALL}


@pytest.mark.usefixtures("heard_signals")
@pytest.mark.parametrize("number", ALL)
def test_the_first_signal_is_only_noted_and_the_old_handlers_come_back(number: int) -> None:
    before = handlers()
    with StopSignals() as stop:
        assert stop.received is None
        os.kill(os.getpid(), number)
        assert stop.received == number
        assert signal.getsignal(signal.SIGINT) == before[signal.SIGINT]  # a second Ctrl-C acts as usual
        acts = number in (signal.SIGINT, signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == (before[signal.SIGTERM] if acts else signal.SIG_IGN)
        os.kill(os.getpid(), signal.SIGHUP)  # a closed terminal sends it twice: the save must not be cut short
        assert stop.received == number
    assert handlers() == before


def test_nohup_stays_deaf_to_a_hangup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


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


def test_who_listened_before_is_told_afterwards_in_the_order_of_the_signals() -> None:
    heard: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)
    before = {number: signal.signal(number, lambda number, frame: heard.append(number)) for number in numbers}
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGUSR2)  # as clusters send them one after the other
            os.kill(os.getpid(), signal.SIGHUP)  # nobody listened
            assert (stop.received, heard) == (signal.SIGTERM, [])
        stop.hand_on()
        assert heard == [signal.SIGTERM, signal.SIGUSR2]
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGINT)
        stop.hand_on()
        assert heard == [signal.SIGTERM, signal.SIGUSR2]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
