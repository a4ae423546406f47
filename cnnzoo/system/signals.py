"""Signals that end a training, at a point where nothing is lost."""

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
    """The signal that has arrived, if any, as recorded by `catch_signals`."""

    def __init__(self) -> None:
        self.received: int | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Records a signal; Ctrl-C after another signal ends the process at once."""
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def obey(self) -> None:
        """Ends the process as the signal that arrived would have.

        Raises:
            KeyboardInterrupt: The signal was Ctrl-C.
            SystemExit: The signal was another one; the exit code is 128 plus its number.
        """
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is not None:
            raise SystemExit(128 + self.received)


@contextmanager
def catch_signals() -> Iterator[Signals]:
    """Records signals that arrive in the context, in the main thread only.

    Ignored signals stay ignored, as `nohup` and a shell's `&` require.
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
