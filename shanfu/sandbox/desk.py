"""A bank's staff at its desk: what they tell the token service of tokens, and their own bank of cards.

Each call is one operation of the JSON wire, asked under the bank's name: over HTTPS with its certificate and secret while the
hosts run as processes, through an HTTP shell's line of the loop link while they run here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from shanfu import cloud, issuer, tsp
from shanfu.crypto import PIN, Algorithm, Cipher, PinFormat, encipher_pin
from shanfu.errors import ConfigError, NotFound
from shanfu.messages import (
    Actor,
    Call,
    CardEvent,
    JSONFrames,
    Problem,
    Reply,
    TokenView,
    decoded,
    encoded,
    issuing,
    operation,
    pack,
    requestor,
    unpack,
)  # fmt: skip
from shanfu.pan import PAN
from shanfu.sandbox.apis import institution_line
from shanfu.sandbox.people import APPS, card_named
from shanfu.sandbox.till import LocalWorld, RemoteWorld, a_world, local_world, running
from shanfu.sandbox.world import HOSTS, World

__all__ = ["cancel_card_script", "change_token", "order_card_script", "reconcile_tokens", "report_card"]

AskAs = Callable[[str, Struct], Struct | Problem]


def change_token(world: World, token: str, change: str, *, reason: str) -> str:
    """Suspend, resume or delete a token as its issuer; return the result's name, or a refusal's code."""
    with world.store("tsp", read_only=True) as store:
        bank = _bank_of(tsp.show(store, token).token.card, world)
    asked = requestor.ChangeToken(tokens=(token,), actor=Actor.ISSUER, reason=reason)
    with a_world(world, feeds={}) as reach, staff(reach, bank, to="tsp") as ask:
        answer = ask(f"tsp.issuer.{change}", asked)
        reach.settle()
    if isinstance(answer, Problem):
        return answer.reason or answer.code
    assert isinstance(answer, issuing.TokenChanges)
    return answer.changes[0].result


def report_card(world: World, name: str, event: CardEvent, *, reason: str = "") -> None:
    """Report at its bank what happened to a card; ConfigError when the bank refuses."""
    card = card_named(name)
    bank, reference = _find_card(world, PAN(card.pan))
    _at_desk(world, bank, "issuer.report", issuing.ReportCard(card=reference, event=event, reason=reason))


def order_card_script(
    world: World, name: str, kind: str, *, tag: bytes = b"", value: bytes = b"", pin: str | None = None
) -> None:
    """Order what a card is to do when it is next inserted; `pin` is typed at the branch's PIN pad."""
    pan = PAN(card_named(name).pan)
    bank, reference = _find_card(world, pan)
    block = b""
    if pin is not None:
        with world.branch_pad(bank) as pad:
            key = Cipher(Algorithm.TDES, pad.read("pik") or b"")
        block = encipher_pin(key, PinFormat.ISO0, PIN(pin), pan=pan.digits)
    order = issuing.OrderScript(
        card=reference, kind=kind, tag=tag.hex(), value=value.hex(), pin_block=block.hex(), by="branch"
    )  # fmt: skip
    _at_desk(world, bank, "issuer.script", order)


def cancel_card_script(world: World, name: str, number: int) -> None:
    """Withdraw an order."""
    bank, reference = _find_card(world, PAN(card_named(name).pan))
    _at_desk(world, bank, "issuer.script.cancel", issuing.CancelScript(card=reference, number=number))


def _at_desk(world: World, bank: str, op: str, body: Struct) -> None:
    """Ask a bank's host as its own staff; ConfigError when it refuses."""
    with a_world(world, feeds={}) as reach, staff(reach, bank, to=bank) as ask:
        answer = ask(op, body)
        reach.settle()
    if isinstance(answer, Problem):
        raise ConfigError(": ".join(filter(None, (bank, answer.title, answer.detail))))


def reconcile_tokens(world: World) -> list[tsp.Drift]:
    """Compare what key cloud and issuers hold of every token with what the token service holds; return what differs.

    While the hosts run elsewhere it is only looked at; else what a party lacks is told again, and has arrived on return.
    """
    theirs = _views(world)
    if running(world):
        with world.store("tsp", read_only=True) as store:
            return tsp.reconcile(store, theirs, now_ms=world.clock.now_ms(), repair=False)
    with world.store("tsp") as store:
        drifts = tsp.reconcile(store, theirs, now_ms=world.clock.now_ms())
    if drifts:
        with local_world(world, feeds={}) as reach:
            reach.settle()
    return drifts


def _views(world: World) -> dict[str, list[TokenView]]:
    """Return every party's views of its tokens."""
    with world.store("cloud", read_only=True) as store:
        held = [view for line in cloud.list_devices(store) for view in cloud.list_tokens(store, line.device)]
    views = {f"requestor/{app.trid}": [view for view in held if view.trid == app.trid] for app in APPS}
    for name, role in HOSTS.items():
        if role.kind == "issuer":
            with world.store(name, read_only=True) as store:
                views[f"issuer/{role.id}"] = issuer.list_tokens(store)
    return views


@contextmanager
def staff(reach: LocalWorld | RemoteWorld, bank: str, *, to: str) -> Iterator[AskAs]:
    """Sit down at a bank's desk that speaks to one host."""
    world = reach.world
    if isinstance(reach, RemoteWorld):
        with institution_line(world, bank, to=to) as line:
            yield line.ask
        return
    line_here = reach.net.terminal(
        world.home_of(to), framing=JSONFrames, timeout_ms=world.settings.timeouts.terminal_ms, kind="http"
    )

    def ask(op: str, body: Struct) -> Struct | Problem:
        row = operation(op)
        assert row is not None
        call = Call(id="desk", op=op, caller=f"issuer/{HOSTS[bank].id}", body=encoded(body))
        reply = unpack(line_here.ask(pack(call)), Reply)
        return decoded(reply.body, row.gives if reply.ok else Problem, path=op)

    yield ask
    line_here.hang_up()


def _find_card(world: World, pan: PAN) -> tuple[str, str]:
    """Return a card's bank and its reference there."""
    for name, role in HOSTS.items():
        if role.kind == "issuer":
            with world.store(name, read_only=True) as store:
                reference = issuer.card_reference(store, world.hsm(name), pan)
            if reference:
                return name, reference
    raise NotFound("card: no bank of this world has issued it")


def _bank_of(card: str, world: World) -> str:
    """Return the bank that a card reference belongs to."""
    for name, role in HOSTS.items():
        if role.kind == "issuer":
            with world.store(name, read_only=True) as store:
                if any(view.card == card for view in issuer.list_tokens(store)):
                    return name
    raise NotFound("token: no bank of this world knows its card")
