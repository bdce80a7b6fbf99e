"""`shanfu wallet`: a phone of the sandbox and the bank's app on it.

A phone is kept in the world's folder, so that what one command did the next one finds. While the world's hosts run, the phone
speaks HTTPS to its key cloud; while they do not, all hosts work in this process for as long as the command takes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from shanfu.cli.console import data_option, json_option, lang_option, note, show_json

if TYPE_CHECKING:
    from shanfu.sandbox import Holder

__all__ = ["card_object", "command", "open_phone", "say_refused"]

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def command() -> None:
    """A phone and its bank app: add, open, list, default, offline, online, unlock, lock, freeze, unfreeze, delete."""


def phone_options(function: F) -> F:
    """Add what every command about a phone takes."""
    for option in (json_option, lang_option, data_option):
        function = option(function)
    phone = click.option("--phone", "phone_name", default="phone", show_default=True, help="A phone of the sandbox.")
    app = click.option("--app", "app_name", default=None, help="A bank's app on it; the phone's default app, unless given.")
    return phone(app(function))


card_option = click.option(
    "--card", "card_name", default=None, help="Last four digits of card or token; not needed for one card."
)


@contextmanager
def open_phone(data: str, phone_name: str, app_name: str | None) -> Iterator["Holder"]:
    """Take a phone of a world into the hand."""
    from shanfu.sandbox import a_holder, open_or_build

    with a_holder(open_or_build(data), phone_name, app=app_name) as holder:
        yield holder


# -- adding and looking ------------------------------------------------------------------------------------------------


@command.command()
@phone_options
@click.option("--card", "card_name", default=None, help="A card of the phone's holder; his first one that may be added.")
@click.option("--code", help="The one-time code; read from the sandbox's SMS inbox, unless given.")
@click.option("--ask", is_flag=True, help="Ask for the one-time code at the keyboard.")
def add(
    phone_name: str,
    app_name: str | None,
    *,
    card_name: str | None,
    code: str | None,
    ask: bool,
    data: str,
    lang: str,
    as_json: bool,
) -> int:
    """Log in and add a card: terms, one-time code, keys; it can pay when this returns."""
    from shanfu.sandbox import card_named
    from shanfu.wallet import Refused

    if card_name:
        card_named(card_name)
    with open_phone(data, phone_name, app_name) as holder:
        added = holder.add_card(card_name, code=_typed_code(code, ask=ask))
        line = None if isinstance(added, Refused) else holder.card(added.view.token)
        if isinstance(added, Refused):
            return say_refused(added, lang=lang, as_json=as_json)
        if as_json:
            show_json({"decision": added.decision, "reasons": list(added.reasons), **card_object(line)})
        else:
            click.echo(_line(line, lang))
    return 0


@command.command("open")
@phone_options
def open_app(phone_name: str, app_name: str | None, *, data: str, lang: str, as_json: bool) -> int:
    """Open the app: it refreshes what needs it."""
    from shanfu.wallet import Refused

    with open_phone(data, phone_name, app_name) as holder:
        done = holder.do(holder.app.open())
        if isinstance(done, Refused):
            return say_refused(done, lang=lang, as_json=as_json)
        cards = holder.app.cards()
        if as_json:
            refused = [{"token": token, "reason": why.reason.name, "detail": why.detail} for token, why in done.refused]
            show_json(
                {"replenished": list(done.replenished), "refused": refused, "cards": [card_object(card) for card in cards]}
            )  # fmt: skip
        else:
            for card in cards:
                click.echo(_line(card, lang))
    return 0


@command.command("list")
@phone_options
def list_cards(phone_name: str, app_name: str | None, *, data: str, lang: str, as_json: bool) -> int:
    """Show the phone: its switches, and of each card the token and its key set."""
    with open_phone(data, phone_name, app_name) as holder:
        switches, cards = holder.phone.switches, holder.all_cards()
        if as_json:
            show_json({
                "phone": phone_name, "online": switches.online, "screen": switches.screen.name.lower(),
                "default_app": switches.default_app, "cards": [card_object(card) for card in cards],
            })  # fmt: skip
            return 0
        click.echo(_state_line(phone_name, switches, lang))
        for card in cards:
            click.echo(_line(card, lang))
        if not cards:
            click.echo({"en": "no card: `shanfu wallet add`", "zh": "没有卡片：`shanfu wallet add`"}[lang])
    return 0


@command.command()
@phone_options
@card_option
def transactions(phone_name: str, app_name: str | None, *, card_name: str | None, data: str, lang: str, as_json: bool) -> int:
    """List a card's payments, newest first, each refusal with its reason."""
    from shanfu.wallet import Refused

    with open_phone(data, phone_name, app_name) as holder:
        listed = holder.do(holder.app.transactions(holder.choose(card_name).token))
        if isinstance(listed, Refused):
            return say_refused(listed, lang=lang, as_json=as_json)
        if as_json:
            import msgspec

            show_json(msgspec.to_builtins(listed))
        else:
            for item in listed.items:
                why = item.reason if item.result == "DECLINED" else ""
                words = f"{item.kind:<8} {item.amount / 100:>10.2f}  {item.result:<9} {item.response_code} {why}".rstrip()
                click.echo(f"{words} {item.merchant} RRN {item.rrn}".rstrip())
    return 0


# -- switches ----------------------------------------------------------------------------------------------------------


def _switch(name: str, words: str, turn: Callable[[Any], object]) -> None:
    @command.command(name, help=words)
    @phone_options
    def switch(phone_name: str, app_name: str | None, *, data: str, lang: str, as_json: bool) -> int:
        with open_phone(data, phone_name, app_name) as holder:
            turn(holder.phone)
            switches = holder.phone.switches
            if as_json:
                show_json({"phone": phone_name, "online": switches.online, "screen": switches.screen.name.lower()})
            else:
                click.echo(_state_line(phone_name, switches, lang))
        return 0


_switch("offline", "Take the network away from the phone.", lambda phone: phone.online(False))
_switch("online", "Give the phone its network back.", lambda phone: phone.online())
_switch("lock", "Lock the screen.", lambda phone: phone.lock())
_switch("unlock", "Unlock the screen.", lambda phone: phone.unlock())


# -- the holder's wishes -----------------------------------------------------------------------------------------------


LATER = {
    "en": "it holds on this phone from now on; the bank is told when there is a network",
    "zh": "本机即刻生效；联网后通知银行",
}


def _wish(name: str, words: str, act: Callable[[Any, str], Any], *, holds: bool = False) -> None:
    """Add a command for a wish; one that `holds` is kept by the phone at once, and told to the bank as soon as that can be."""

    @command.command(name, help=words)
    @phone_options
    @card_option
    def wish(phone_name: str, app_name: str | None, *, card_name: str | None, data: str, lang: str, as_json: bool) -> int:
        from shanfu.wallet import Reason, Refused

        with open_phone(data, phone_name, app_name) as holder:
            chosen = holder.choose(card_name)
            done = act(holder, chosen.token)
            later = holds and isinstance(done, Refused) and done.reason in (Reason.OFFLINE, Reason.NO_ANSWER)
            if isinstance(done, Refused) and not later:
                return say_refused(done, lang=lang, as_json=as_json)
            after = holder.card(chosen.token)
            if as_json:
                gone = {"token": chosen.token, "state": "DEACTIVATED"}
                show_json((card_object(after) if after else gone) | {"bank_knows": not later})
            elif after:
                click.echo(_line(after, lang))
            if later:
                note(LATER[lang])
        return 0


_wish("freeze", "Freeze a card; it holds at once, network or not.", lambda it, token: it.do(it.app.freeze(token)), holds=True)
_wish("unfreeze", "Lift one's own freeze.", lambda it, token: it.do(it.app.unfreeze(token)))
_wish("delete", "Delete a card from the phone.", lambda it, token: it.do(it.app.delete(token)), holds=True)
_wish("default", "Let this card pay when its app does.", lambda it, token: it.app.set_default(token))


# -- words -------------------------------------------------------------------------------------------------------------


def say_refused(refused: Any, *, lang: str, as_json: bool) -> int:
    """Say why an action came to nothing and return the exit code."""
    from shanfu.cli.main import Exit
    from shanfu.wallet import Reason

    words = refused.zh if lang == "zh" else refused.en
    if as_json:
        code = refused.problem.code if refused.problem else None  # the other side's own word
        reason = refused.reason.name
        show_json({"outcome": "refused", "reason": reason, "code": code, "words": words, "detail": refused.detail})
    else:
        click.echo(f"{words}" + (f" ({refused.detail})" if refused.detail else ""), err=True)
    return Exit.UNREACHABLE if refused.reason in (Reason.OFFLINE, Reason.NO_ANSWER) else Exit.DECLINED


def card_object(card: Any) -> dict[str, Any]:
    """Return one card of a phone as `--json` prints it: the token, and beside it its key set."""
    return {
        "token": card.token,
        "app": card.app,
        "pan_last4": card.pan_last4,
        "token_last4": card.token_last4,
        "state": card.state.value,
        "expiry": card.expiry,
        "default": card.default,
        "ready": card.ready,
        "reason": card.why_not.name if card.why_not else None,
        "keys": {
            "uses_left": card.uses_left,
            "max_uses": card.max_uses,
            "amount_left_minor": card.amount_left,
            "expire_ms": card.keys_expire_ms or None,
            "fetch": card.fetch,
        },
    }


def _state_line(name: str, switches: Any, lang: str) -> str:
    if lang == "zh":
        screen = {"UNLOCKED": "已解锁", "LOCKED": "已锁屏", "OFF": "屏幕关闭"}[switches.screen.name]
        return f"{name} · {'在线' if switches.online else '离线'} · {screen}"
    return f"{name} · {'online' if switches.online else 'offline'} · {switches.screen.name.lower()}"


def _line(card: Any, lang: str) -> str:
    from shanfu.clock import local

    until = local(card.keys_expire_ms).strftime("%Y-%m-%d %H:%M") if card.keys_expire_ms else "-"
    mark = "*" if card.default else " "
    expiry = f"{card.expiry[2:]}/{card.expiry[:2]}"
    if lang == "zh":
        why = f" · {card.why_not.zh}" if card.why_not else ""
        return (
            f"{mark} 银行卡尾号 {card.pan_last4} · 手机卡号尾号 {card.token_last4} · {card.state.value} · 有效期 {expiry}\n"
            f"    剩余 {card.uses_left}/{card.max_uses} 次，{card.amount_left / 100:.2f} 元，至 {until}{why}"
        )
    why = f" · {card.why_not.en}" if card.why_not else ""
    return (
        f"{mark} card …{card.pan_last4} · token …{card.token_last4} · {card.state.value} · valid {expiry}\n"
        f"    key set: {card.uses_left} of {card.max_uses} uses, {card.amount_left / 100:.2f} left, until {until}{why}"
    )


def _typed_code(code: str | None, *, ask: bool) -> Callable[[], str] | None:
    """Return where the one-time code comes from, None for the sandbox's inbox."""
    if code is not None:
        return lambda: code
    if ask:
        return lambda: str(click.prompt("One-time code", err=True))
    return None
