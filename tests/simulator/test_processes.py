"""Child processes and interrupts."""

import signal

import pytest

from simulator import processes


def test_an_interrupt_is_heard_when_what_may_not_be_interrupted_has_ended():
    done, before = [], signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), processes.uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done.append(1)
    assert done == [1] and signal.getsignal(signal.SIGINT) is before
