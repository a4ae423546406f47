"""Signals that ask a training to end: it ends where nothing is lost."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # Windows has no SIGHUP
]


class Signals:
    """What arrived; `caught` listens."""

    def __init__(self) -> None:
        self.received: int | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remembers the first; the second of Ctrl-C ends at once."""
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def obey(self) -> None:
        """Ends as the signal that arrived would have ended the process, if one did.

        Raises:
            KeyboardInterrupt: Ctrl-C.
            SystemExit: another, with 128 and its number.
        """
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is not None:
            raise SystemExit(128 + self.received)


@contextmanager
def caught() -> Iterator[Signals]:
    """Inside, the signals only leave a note; a thread other than the first gets none.

    What is ignored stays so: `nohup` and a shell's `&` say that it shall not end us.
    """
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {
        number: signal.signal(number, signals.note)
        for number in ENDING
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
