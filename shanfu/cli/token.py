"""`shanfu token`: the token service's books, and what an issuer's staff does to tokens of their cards.

Looking reads the books, whether the hosts run or not. Suspending, resuming and deleting are asked as the issuer, over HTTPS
while the hosts run; while they do not, all hosts work in this process for as long as the command takes.
"""

from collections.abc import Callable
from typing import Any

import click

from shanfu.cli.console import data_option, json_option, lang_option, show_json

__all__ = ["command"]


@click.group()
def command() -> None:
    """Tokens: list, show, events, suspend, resume, delete, reconcile."""


def named(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what a command about one token takes."""
    for option in (json_option, lang_option, data_option):
        function = option(function)
    return click.argument("token")(function)


@command.command("list")
@data_option
@lang_option
@json_option
def list_all(data: str, lang: str, *, as_json: bool) -> None:
    """List all tokens: state, suspenders, last digits of token and card, and what their newest key set has left."""
    from shanfu import tsp

    with _books(data) as (_, store):
        tokens = [(view, tsp.show(store, view.token).key_sets) for view in tsp.list_tokens(store)]
    if as_json:
        show_json([_view_object(view) | {"keys": _keys_object(sets)} for view, sets in tokens])
        return
    for view, sets in tokens:
        keys = _keys_object(sets)
        left = f"{keys['uses_left']}/{keys['max_uses']}" if keys else "-"
        suspended = " by " + ", ".join(actor.value for actor in view.suspended_by) if view.suspended_by else ""
        digits = f"token …{view.token_last4 or '-'}  card …{view.pan_last4 or '-'}"
        click.echo(f"{view.token}  {digits}  {view.state.value}{suspended}  uses left {left}")
    if not tokens:
        click.echo({"en": "no tokens: `shanfu wallet add`", "zh": "没有token：`shanfu wallet add`"}[lang])


@command.command()
@named
def show(token: str, *, data: str, lang: str, as_json: bool) -> None:
    """Show everything about one token: its card, key sets, and each payment with every check that was made."""
    del lang
    from shanfu import tsp

    with _books(data) as (_, store):
        case = tsp.show(store, _reference(store, token))
    payments = [_payment_object(paid) for paid in case.payments]
    if as_json:
        more = {"card_state": case.card_state, "requestor": case.requestor, "keys": _keys_object(case.key_sets)}
        show_json(_view_object(case.token) | more | {"payments": payments})
        return
    view = case.token
    click.echo(f"{view.token}: token …{view.token_last4} for card …{view.pan_last4} ({case.card_state}), {case.requestor}")
    click.echo(f"  {view.state.value} · version {view.version} · PAR {view.par} · assurance {view.assurance or '-'}")
    for paid in payments:
        why = "" if paid["result"] == "APPROVED" else paid["reason"] or ""
        click.echo(f"  RRN {paid['rrn']} {paid['kind']} {paid['result']} {paid['response_code']} {why}".rstrip())
        for step in paid["checks"]:
            click.echo(f"    {'ok' if step['passed'] else 'NO'}  {step['check']}" + (step["detail"] and f": {step['detail']}"))


@command.command()
@named
def events(token: str, *, data: str, lang: str, as_json: bool) -> None:
    """Tell a token's life: every change, by whom, over which channel, and why."""
    del lang
    from shanfu import tsp
    from shanfu.clock import local

    with _books(data) as (_, store):
        diary = tsp.show(store, _reference(store, token)).diary
    if as_json:
        show_json([_change_object(row) for row in diary])
        return
    for row in diary:
        at, step = local(row.at_ms).strftime("%Y-%m-%d %H:%M:%S"), f"{row.before or '-'} → {row.after}"
        click.echo(f"{at}  {row.event:<10} {step}  {row.actor} {row.reason}".rstrip())


# -- what an issuer does -----------------------------------------------------------------------------------------------


def _act(name: str, words: str) -> None:
    @command.command(name, help=words)
    @named
    @click.option("--reason", default="OTHER", show_default=True, help="A reason code, such as SUSPECTED_FRAUD.")
    def act(token: str, *, reason: str, data: str, lang: str, as_json: bool) -> int:
        del lang
        from shanfu.cli.main import Exit
        from shanfu.sandbox import change_token, open_or_build

        world = open_or_build(data)
        with _books(data) as (_, store):
            reference = _reference(store, token)
        result = change_token(world, reference, name, reason=reason)
        with _books(data) as (_, store):
            from shanfu import tsp

            view = tsp.show(store, reference).token
        if as_json:
            show_json({"result": result, **_view_object(view)})
        else:
            click.echo(f"{result}: {view.state.value}")
        return Exit.DONE if result.startswith(("TOKEN_", "SUSPENSION_", "ALREADY_")) else Exit.DECLINED


_act("suspend", "Suspend a token, as its issuer.")
_act("resume", "Lift the issuer's suspension.")
_act("delete", "Delete a token, as its issuer.")


@command.command()
@data_option
@lang_option
@json_option
def reconcile(data: str, lang: str, *, as_json: bool) -> int:
    """Compare what token service, key cloud and issuers hold of every token, and have what they lack told again."""
    from shanfu.sandbox import open_or_build, reconcile_tokens

    drifts = reconcile_tokens(open_or_build(data))
    if as_json:
        show_json(
            [{"token": one.token, "party": one.party, "kind": one.kind.name, "fields": list(one.fields)} for one in drifts]
        )
    elif drifts:
        for one in drifts:
            click.echo(f"{one.token}  {one.party} {one.kind.value}: {', '.join(one.fields)}")
    else:
        click.echo({"en": "every party says the same of every token", "zh": "各方token状态一致"}[lang])
    return 1 if drifts else 0


# -- inside ------------------------------------------------------------------------------------------------------------


def _books(data: str) -> Any:
    from contextlib import contextmanager

    from shanfu.sandbox import open_or_build

    @contextmanager
    def opened() -> Any:
        world = open_or_build(data)
        with world.store("tsp", read_only=True) as store:
            yield world, store

    return opened()


def _reference(store: Any, name: str) -> str:
    """Take a whole reference, or the last digits of token or card, if they are one's alone."""
    from shanfu import tsp
    from shanfu.errors import NotFound

    views = tsp.list_tokens(store)
    fitting = [
        view.token
        for view in views
        if name in (view.token, view.token_last4, view.pan_last4) or (len(name) > 7 and view.token.startswith(name))
    ]
    if len(fitting) != 1:
        raise NotFound(f"token {name}: {'there is none' if not fitting else 'is not one alone'}; see `shanfu token list`")
    return fitting[0]


def _change_object(row: Any) -> dict[str, Any]:
    return {
        "version": row.version,
        "at_ms": row.at_ms,
        "event": row.event,
        "result": row.result,
        "actor": row.actor,
        "channel": row.channel,
        "reason": row.reason,
        "before": row.before,
        "after": row.after,
        "suspended_by": row.suspended_after.split(),
    }


def _payment_object(paid: Any) -> dict[str, Any]:
    about = paid.payment
    return {
        "rrn": about.rrn,
        "name": paid.name,
        "kind": about.kind,
        "result": about.result,
        "amount_minor": about.amount,
        "response_code": about.response_code,
        "reason": about.reason or None,
        "atc": about.atc,
        "checks": [{"check": step.check, "passed": step.passed, "detail": step.detail} for step in paid.checks],
    }


def _view_object(view: Any) -> dict[str, Any]:
    return {
        "token": view.token,
        "state": view.state.value,
        "suspended_by": [actor.value for actor in view.suspended_by],
        "version": view.version,
        "token_last4": view.token_last4,
        "pan_last4": view.pan_last4,
        "expiry": view.expiry,
        "par": view.par,
        "trid": view.trid,
        "device": view.device,
        "assurance": view.assurance,
        "reason": view.reason or None,
    }


def _keys_object(sets: Any) -> dict[str, Any] | None:
    if not sets:
        return None
    newest = sets[0]
    return {
        "sequence": newest.sequence, "state": newest.state, "uses_left": max(0, newest.max_uses - newest.uses),
        "max_uses": newest.max_uses, "expires_ms": newest.expires_ms,
    }  # fmt: skip
