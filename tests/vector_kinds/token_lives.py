"""Kinds of the token service's rules: a token's life, and the decision of three parties."""

from shanfu.messages import Actor, Colour, LifeCycleEvent, TokenState
from shanfu.tsp import combine, step
from tests.vector_kinds.registry import Values, kind


@kind("token_lifecycle", "state suspended_by event actor", "outcome result new_state new_suspended_by")
def token_lifecycle(case: Values) -> Values:
    by = [Actor(name) for name in case["suspended_by"]]
    found = step(TokenState(case["state"]), by, LifeCycleEvent(case["event"]), Actor(case["actor"]))
    return {
        "outcome": found.outcome.value, "result": found.result.value, "new_state": found.state.value,
        "new_suspended_by": sorted(actor.value for actor in found.suspended_by),
    }  # fmt: skip


@kind(
    "provisioning_decision",
    "wallet tsp issuer",
    "final token_created token_state in_app_idv_allowed tenured_channel_only",
)
def provisioning_decision(case: Values) -> Values:
    found = combine(wallet=Colour(case["wallet"]), service=Colour(case["tsp"]), issuer=Colour(case["issuer"]))
    return {
        "final": found.colour.value, "token_created": found.created, "token_state": found.state.value if found.state else None,
        "in_app_idv_allowed": found.in_app, "tenured_channel_only": found.tenured_only,
    }  # fmt: skip
