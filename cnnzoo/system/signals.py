"""Signals that ask a training to end, which it does where nothing is lost."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

END_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # Windows has no SIGHUP
]


class Signals:
    """The signal that has arrived, if any; `catch_signals` notes it here."""

    def __init__(self) -> None:
        self.received: int | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Keeps the first signal; a second Ctrl-C ends at once."""
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def obey(self) -> None:
        """Ends the process as the signal that arrived would have done.

        Raises:
            KeyboardInterrupt: The signal was Ctrl-C.
            SystemExit: It was another one; the exit code is 128 and its number.
        """
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is not None:
            raise SystemExit(128 + self.received)


@contextmanager
def catch_signals() -> Iterator[Signals]:
    """Notes the signals that arrive in the block, in the main thread only.

    Ignored signals stay ignored: `nohup` and a shell's `&` ask for that.
    """
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {
        number: signal.signal(number, signals.note)
        for number in END_SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
