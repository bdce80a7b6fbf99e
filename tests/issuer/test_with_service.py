"""The bank with the real token service: enrolments, cards' events and notices between the two, and what gets lost."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shanfu.hsm import Algorithm, KeyUsage
from shanfu.issuer import (
    CardOrder,
    CardReport,
    CardState,
    IssuerConfig,
    install_key,
    report_card,
    resume_tokens,
    set_status,
    suspend_tokens,
    tokens_of,
)
from shanfu.links import Inbound
from shanfu.messages import Call, CardEvent, Colour, IDVMethod, Problem, Reply, encoded, is_json_frame, operation, pack, unpack
from shanfu.messages.requestor import RequestToken, SendCode, TokenRequested, VerifyCode
from shanfu.messages.wallet import LoggedIn, Login
from tests.tsp import service as tsp

from .bank import BANK, Bank, Plastic, number
from .service import CUSTOMER, MOBILE, PASSWORD, Service

ME, TSP, ISSUER = tsp.ME, "tsp/90100000", f"issuer/{BANK}"
NEW_PAN = number("620901777777777")
S = CardState


class Pair:
    """A bank and the token service on one clock; frames go to and fro until nothing more is said, unless they are lost."""

    def __init__(self, folder: Path) -> None:
        self.service = tsp.Service(folder)
        self.bank = Bank(folder, IssuerConfig(institution=BANK))
        self.bank.clock = self.service.clock
        self.bank.restart()
        parts = [os.urandom(32), os.urandom(32)]
        hsm = self.bank.hsm
        self.people = Service(self.bank)  # its customers and their telephones
        install_key(self.bank.store, f"pan/{BANK}", hsm.form(KeyUsage.VAULT, Algorithm.AES, parts), now_ms=tsp.START_MS)
        self.service._install(tsp.pan_label(BANK), self.service.hsm.form(KeyUsage.VAULT, Algorithm.AES, parts))
        self.people.customer()
        self.plastic: Plastic = self.bank.card("mine", CUSTOMER)
        self.card = self.people.reference(self.plastic)
        self.lost: set[str] = set()  # operations whose frames do not arrive
        self._names = itertools.count(1)

    def call(self, op: str, body: Any) -> Any:
        call = Call(id=f"p{next(self._names)}", op=op, caller=ME, body=encoded(body))
        answers = self.run([(TSP, Inbound(tsp.CLOUD, pack(call)))])
        reply = answers[call.id]
        row = operation(op)
        assert row is not None
        kind: Any = row.gives if reply.ok else Problem
        return msgspec.json.decode(reply.body, type=kind)

    def run(self, waiting: list[tuple[str, Inbound]]) -> dict[str, Reply]:
        """Let both work until nothing is left; return what was answered to the requestor."""
        answers = dict[str, Reply]()
        while waiting:
            to, inbound = waiting.pop(0)
            if to == TSP:
                self.service.worker.turn([inbound])
            else:
                self.bank.worker.turn([inbound])
            waiting += self._left(answers)
        return answers

    def tick(self, ms: int = 0) -> None:
        """Let time pass for both, and what they tell arrive."""
        self.service.clock.advance(ms)
        self.service.worker.tick()
        self.bank.worker.tick()
        self.run(self._left({}))

    def _left(self, answers: dict[str, Reply]) -> list[tuple[str, Inbound]]:
        frames = [(ISSUER if station == ISSUER else tsp.CLOUD, TSP, frame) for station, frame in self.service.drain()]
        frames += [(TSP, ISSUER, frame) for frame in self.bank.sent if is_json_frame(frame)]
        self.bank.sent.clear()
        waiting = []
        for to, sender, frame in frames:
            head = msgspec.json.decode(frame[4:])
            if head.get("op", "") in self.lost:
                continue
            if to != tsp.CLOUD:
                waiting.append((to, Inbound(sender, frame)))
            elif "op" not in head:
                answers[head["id"]] = unpack(frame, Reply)
        return waiting

    # -- the story -----------------------------------------------------------------------------------------------------

    def request(self, device: str = "phone-1") -> TokenRequested:
        asked = RequestToken(
            card=self.card, customer=CUSTOMER, device=device, device_name=f"Lin's {device}", device_model="Pixel 8",
            storage="04", attested=True, terms="terms-1", terms_accepted_ms=self.service.clock.now_ms(), colour=Colour.GREEN,
        )  # fmt: skip
        return self.call("tsp.request", asked)

    def active(self, device: str = "phone-1") -> str:
        view = self.request(device).view
        assert view is not None
        self.call("tsp.code.send", SendCode(token=view.token, method=IDVMethod.SMS))
        code = self.people.code()
        verified = self.call("tsp.code.verify", VerifyCode(token=view.token, method=IDVMethod.SMS, code=code))
        assert verified.view.state.value == "ACTIVE"
        self.tick()
        return view.token

    def report(self, event: CardEvent, **more: Any) -> None:
        told = CardReport(event=event, **more)
        now_ms = self.service.clock.now_ms()
        report_card(self.bank.store, self.bank.hsm, self.plastic.pan, told, config=self.bank.config, now_ms=now_ms)
        self.tick()
        self.tick(1)

    def states(self) -> dict[str, str]:
        """How the bank sees the tokens; the service must see the same."""
        seen = {phone.token: phone.state for phone in tokens_of(self.bank.store, self.bank.hsm, self.plastic.pan)}
        assert seen == {token: self.service.view(token).state.value for token in seen}
        return seen


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.bank.store.close()
    pair.service.store.close()


def test_a_card_becomes_a_token(pair: Pair) -> None:
    seen = pair.call("tsp.login", Login(user=CUSTOMER, password=PASSWORD))
    assert isinstance(seen, LoggedIn)
    assert [offer.card for offer in seen.cards] == [pair.card]
    made = pair.request()
    assert made.decision is Colour.YELLOW
    assert [option.method for option in made.options] == list(IDVMethod)
    assert made.view is not None
    proof = VerifyCode(token=made.view.token, method=IDVMethod.BANK_APP, code=seen.assertion)
    assert pair.call("tsp.code.verify", proof).view.assurance == "11"
    pair.tick()
    assert pair.states() == {made.view.token: "ACTIVE"}
    assert "was added" in pair.people.texts()[-1].text


def test_codes_are_guessed_in_vain(pair: Pair) -> None:
    view = pair.request().view
    assert view is not None
    pair.call("tsp.code.send", SendCode(token=view.token, method=IDVMethod.SMS))
    code = pair.people.code(MOBILE)
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    answers = [pair.call("tsp.code.verify", VerifyCode(token=view.token, method=IDVMethod.SMS, code=wrong)) for _ in range(3)]
    assert [answer.code for answer in answers] == ["code-wrong", "code-wrong", "code-locked"]
    right = pair.call("tsp.code.verify", VerifyCode(token=view.token, method=IDVMethod.SMS, code=code))
    assert right.code == "wrong-state"
    pair.tick()
    assert pair.states() == {view.token: "DEACTIVATED"}


@pytest.mark.parametrize("state", [S.LOST, S.STOLEN, S.BLOCKED, S.CLOSED])
def test_a_card_that_is_not_active_becomes_none(pair: Pair, state: CardState) -> None:
    set_status(pair.bank.store, pair.bank.hsm, pair.plastic.pan, state)
    made = pair.request()
    assert (made.decision, made.view) == (Colour.RED, None)


# events of the card, with a new number (N): how the token stands after each
STORIES = [
    ("LOST FOUND",        "SUSPENDED ACTIVE"),
    ("LOST REPLACED-N",   "SUSPENDED SUSPENDED"),
    ("LOST-N",            "ACTIVE"),
    ("STOLEN",            "SUSPENDED"),
    ("STOLEN REPLACED-N", "SUSPENDED SUSPENDED"),
    ("REPLACED-N",        "ACTIVE"),
    ("RENEWED",           "ACTIVE"),
    ("CLOSED",            "DEACTIVATED"),
]  # fmt: skip


@pytest.mark.parametrize(("events", "states"), STORIES)
@pytest.mark.parametrize("late", [False, True])
def test_what_happens_to_a_card_happens_to_its_tokens(pair: Pair, events: str, states: str, late: bool) -> None:
    token = pair.active()
    for step, state in zip(events.split(), states.split(), strict=True):
        event, _, new = step.partition("-")
        more: dict[str, Any] = {"expiry": "3512"} if event == "RENEWED" else {}
        if new:
            more = {"card": CardOrder(pan=NEW_PAN, group=CUSTOMER, expiry="3112", pvv="0000"), "remap": event == "LOST"}
        pair.service.clock.advance(1)
        pair.lost = {"tsp.card", "issuer.notice"} if late else set()
        pair.report(CardEvent(event), **more)
        pair.lost = set()
        pair.tick(10_000)
        pair.tick(10_000)
        assert pair.states() == {token: state}


def test_the_bank_suspends_and_resumes(pair: Pair) -> None:
    token = pair.active()
    for order, state in ((suspend_tokens, "SUSPENDED"), (resume_tokens, "ACTIVE")):
        order(pair.bank.store, [token], config=pair.bank.config, now_ms=pair.service.clock.now_ms())
        pair.tick()
        pair.tick(1)
        assert pair.states() == {token: state}


def test_missed_notices_are_made_up_for(pair: Pair) -> None:
    first = pair.active()
    pair.lost = {"issuer.notice"}
    second = pair.active("phone-2")
    pair.lost = set()
    third = pair.active("phone-3")
    pair.tick(1)
    assert pair.states() == {first: "ACTIVE", second: "ACTIVE", third: "ACTIVE"}
