"""What comes back from the cloud, or from whoever stands between: believed only sealed, and never a reason to fall over."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw, structs

from shanfu.errors import LinkClosed, LinkTimeout
from shanfu.messages import Call, Problem, ProblemCode, Reply, TokenState, encoded, problem, wallet
from shanfu.wallet import Reason, Refreshed, Refused
from tests.budget import examples
from tests.wallet.bench import APP, Bench, bench

UNTRUSTED, SILENT = Reason.CLOUD_UNTRUSTED, Reason.NO_ANSWER


def opened(one: Bench) -> Any:
    return one.phone.do(one.phone.app(APP).open())


def between(one: Bench, change: Callable[[Call, Reply], Any], op: str = "news.take") -> None:
    """Put somebody between phone and cloud, who changes the replies to one operation."""
    work = one.cloud.work

    def meddled(call: Call) -> Any:
        reply = work(call)
        return change(call, reply) if call.op == op else reply

    one.cloud.work = meddled  # type: ignore[method-assign]


def body(text: str | bytes) -> Callable[[Call, Reply], Reply]:
    return lambda _, reply: structs.replace(reply, body=Raw(text.encode() if isinstance(text, str) else text))


NEWS = bytes(encoded(wallet.News()))


@pytest.mark.parametrize(("change", "reason"), [
    (body("{}"),                                                              UNTRUSTED),
    (body("nonsense"),                                                        UNTRUSTED),
    (body(NEWS),                                                              UNTRUSTED),
    (body('{"sealed":"zz"}'),                                                 UNTRUSTED),
    (body('{"sealed":""}'),                                                   UNTRUSTED),
    (body('{"sealed":"' + "00" * 60 + '"}'),                                  UNTRUSTED),
    (lambda _, reply: structs.replace(reply, id="another"),                   SILENT),
    (lambda _, reply: None,                                                   SILENT),
    (lambda _, reply: structs.replace(reply, status=500),                     SILENT),  # sealed, but no problem document
    (lambda _, reply: structs.replace(reply, status=503, body=Raw(b"<html>")), SILENT),
    (lambda _, reply: structs.replace(reply, status=503, body=encoded(problem(ProblemCode.BUSY))), Reason.REFUSED),
])  # fmt: skip
def test_an_answer_in_a_session(change: Callable[[Call, Reply], Any], reason: Reason) -> None:
    one = bench().enrolled()
    between(one, change)
    before = one.phone.handset.state().tokens
    result = opened(one)
    assert isinstance(result, Refused)
    assert result.reason is reason
    assert one.phone.handset.state().tokens == before
    assert one.tap() == "OK"


@pytest.mark.parametrize("op", ["sessions.open", "devices.enrol"])
@pytest.mark.parametrize(("change", "reasons"), [
    (body("nonsense"),                                                          {SILENT}),
    (body("{}"),                                                                {SILENT}),
    (lambda _, reply: structs.replace(reply, status=401, body=encoded(problem(ProblemCode.STALE))), {Reason.REFUSED}),
    (lambda _, reply: structs.replace(reply, status=401, body=Raw(b"[]")),      {SILENT}),
    (lambda _, reply: structs.replace(reply, body=Raw(bytes(reply.body).replace(b'"04', b'"05', 1))), {UNTRUSTED}),
])  # fmt: skip
def test_an_answer_before_any_session(op: str, change: Callable[[Call, Reply], Any], reasons: set[Reason]) -> None:
    one = bench().enrolled()
    one.restart()
    between(one, change, op)
    result = one.phone.do(one.phone.app(APP).enrol()) if op == "devices.enrol" else opened(one)
    assert isinstance(result, Refused)
    assert result.reason in reasons


def test_an_answer_of_before_is_no_answer_now() -> None:
    one, kept = bench().enrolled(), list[Reply]()

    def replay(call: Call, reply: Reply) -> Reply:
        kept.append(reply)
        return structs.replace(kept[0], id=call.id)

    between(one, replay)
    assert isinstance(opened(one), Refreshed)
    one.cloud.set(one.token, state=TokenState.SUSPENDED)
    assert opened(one) == Refused(reason=UNTRUSTED)


def test_an_answer_to_another_question_is_none_to_this() -> None:
    one, kept = bench().enrolled(), list[Reply]()
    between(one, lambda call, reply: kept.append(reply) or reply, "transactions.list")
    one.phone.do(one.phone.app(APP).transactions(one.token))
    between(one, lambda call, reply: structs.replace(kept[0], id=call.id))
    assert opened(one) == Refused(reason=UNTRUSTED)


@pytest.mark.parametrize(("fault", "reason"), [(LinkClosed("gone"), SILENT), (LinkTimeout("late"), SILENT)])
def test_a_link_that_breaks(fault: Exception, reason: Reason) -> None:
    one = bench().enrolled()

    def broken(_: Call) -> Reply:
        raise fault

    one.cloud.work = broken  # type: ignore[method-assign]
    assert opened(one) == Refused(reason=reason)
    assert one.phone.do(one.phone.app(APP).enrol()) == Refused(reason=reason)


def test_a_phone_without_a_cloud() -> None:
    one = bench().enrolled()
    one.phone._cloud = None  # as `Phone(..., cloud=None)` over the same memories
    assert opened(one) == Refused(reason=SILENT)
    assert one.phone.pushed(APP, wallet.Push(number=1, token="", event="KEYS", expires_ms=2**60)) == []
    assert one.tap() == "OK"
    assert one.phone.tick() == []


def test_a_cloud_that_forgets_every_session_is_given_up() -> None:
    one = bench().enrolled()
    gone = problem(ProblemCode.SESSION_GONE)
    between(one, lambda _, reply: structs.replace(reply, status=401, body=encoded(gone)))
    assert opened(one) == Refused(reason=SILENT)
    assert one.cloud.calls.count("sessions.open") == 2


SAME: Bench = bench().enrolled()


@settings(max_examples=examples(60, heavy=2_000), deadline=None)
@given(st.binary(max_size=80), st.sampled_from([200, 400, 503]), st.sampled_from(["news.take", "sessions.open"]))
def test_no_bytes_make_the_phone_fall_over(raw: bytes, status: int, op: str) -> None:
    one = Bench(SAME.cloud, SAME.clock, SAME.storage.copy(), SAME.keystore.copy())
    work = SAME.cloud.work
    between(one, lambda call, reply: structs.replace(reply, status=status, body=Raw(raw)), op)
    try:
        assert isinstance(opened(one), Refused)
    finally:
        SAME.cloud.work = work  # type: ignore[method-assign]
    assert one.tap() in ("OK", "ATC_OUT_OF_WINDOW"), "the cloud of the bench has seen this number from another copy"


def test_every_problem_is_a_refusal_and_nothing_else() -> None:
    assert Problem(title="new", status=499, code="never-heard-of").retryable is False
    one = bench().enrolled()
    strange = Problem(title="new", status=499, code="never-heard-of")
    one.cloud.refuse["transactions.list"] = strange
    refused = one.phone.do(one.phone.app(APP).transactions(one.token))
    assert (refused.problem, refused.en) == (strange, Reason.REFUSED.en)  # type: ignore[union-attr]
