"""A counter in virtual time: a terminal whose dialogue waits while others go on.

`Town`'s tills wait for their answers one at a time. A simulation has several terminals under way at once, so each `Counter`
moves its dialogue step by step: what the card and the PIN pad answer is there at once, what the acquirer answers arrives with
the net's time, or the terminal's patience ends.
"""

from collections.abc import Callable
from contextlib import ExitStack

from shanfu.dialogue import Dialogue, Finished, Keep, Step, advance
from shanfu.errors import LinkClosed, LinkError, LinkTimeout
from shanfu.iso8583 import PosFrames
from shanfu.sandbox.till import Till, acquirer_of, till
from shanfu.terminal import ACQUIRER, Receipt, matches
from tests.journeys.town import Town


class Line:
    """A terminal's line into the net that does not wait: `LoopNet` fills `received`."""

    framing, kind = PosFrames, "pos"

    def __init__(self, host: str) -> None:
        self.host, self.received = host, list[bytes]()
        self.end: tuple[str, str] | None = None

    def hang_up(self) -> None:
        self.end = None


class Counter:
    """One merchant's counter; `begin` starts a dialogue, `poll` carries it on as far as it goes now."""

    def __init__(self, town: Town, merchant: str, type_in: Callable[[str], str | None]) -> None:
        self.town, self.merchant = town, merchant
        self._line = Line(acquirer_of(merchant))
        self._type_in, self._power = type_in, ExitStack()
        self._step: Step | Finished | None = None
        self._dialogue: Dialogue[Receipt] | None = None
        self._request, self._deadline_ms = b"", 0
        self._at_end = ExitStack()
        self.switch_on()

    def switch_on(self) -> None:
        opened = till(self.town.world, self.merchant, self._never, keypad=self._type_in, events=self.town.events)
        self.till: Till = self._power.enter_context(opened)
        self.town.known.add(self.merchant)

    def cut_power(self) -> None:
        """Nothing but what was kept survives; the card goes home."""
        if self._dialogue:
            self._dialogue.close()
        self._dialogue, self._step = None, None
        self._hang_up()
        self._at_end.close()
        self._power.close()

    @property
    def busy(self) -> bool:
        return self._dialogue is not None

    def begin(self, dialogue: Dialogue[Receipt], at_end: ExitStack) -> None:
        """Start something; `at_end` is closed when it is over (a card is taken home)."""
        self._dialogue, self._at_end = dialogue, at_end
        self._step = advance(dialogue)
        self._carry_on()

    def poll(self) -> None:
        """See whether the answer has come, or the time is over."""
        if self._dialogue is None or not self._request:
            return None
        request = self._request
        for reply in self._line.received:
            if matches(request, reply):
                return self._answered(reply, None)
        self._line.received.clear()
        if self._line.end is None:
            return self._answered(None, LinkClosed("hung up"))
        if self.town.clock.now_ms() >= self._deadline_ms:
            return self._answered(None, LinkTimeout("no answer"))
        return None

    def _answered(self, reply: bytes | None, error: LinkError | None) -> None:
        assert self._dialogue is not None
        self._request = b""
        self._line.received.clear()
        self._step = advance(self._dialogue, reply, error)
        self._carry_on()

    def _carry_on(self) -> None:
        assert self._dialogue is not None
        while not isinstance(self._step, Finished):
            step, reply, error = self._step, None, None
            assert step is not None
            if isinstance(step, Keep):
                self.till._memory.write({step.name: step.record})
            elif step.to == ACQUIRER:
                try:
                    return self._ask(step.message)
                except LinkError as fault:
                    error = fault
            else:
                try:
                    reply = self.till._peers[step.to](step.message)
                except LinkError as fault:
                    error = fault
            self._step = advance(self._dialogue, reply, error)
        self.town.receipts.append(self._step.result)
        self._dialogue, self._step = None, None
        return self._at_end.close()

    def _ask(self, frame: bytes) -> None:
        net = self.town.net
        if self._line.end is None:
            self._line.end = net.dial(self._line)  # type: ignore[arg-type]  # all that the net needs of a terminal
        self._line.received.clear()
        net.from_terminal(self._line.end, frame)
        self._request = frame
        self._deadline_ms = self.town.clock.now_ms() + self.town.world.settings.timeouts.terminal_ms

    def _hang_up(self) -> None:
        self._request = b""
        if self._line.end is not None:
            self.town.net.hang_up(self._line.end)
            self._line.end = None

    def _never(self, frame: bytes) -> bytes:
        raise AssertionError("this terminal's line does not wait")
