"""Vector kinds of tokens: the limits of a key set, the window of transaction counters."""

from shanfu.messages import KeyLimits, Usage, judge
from shanfu.tsp.window import Window, atc_in_window
from tests.vector_kinds.registry import Values, kind

REFUSED = "030"  # the vectors' code for ATC_OUT_OF_WINDOW


@kind("luk_usage", "policy usage", "decision reason")
def luk_usage(v: Values) -> Values:
    policy, usage = v["policy"], v["usage"]
    limits = KeyLimits(
        max_uses=policy["max_uses"],
        ttl_ms=policy["ttl_s"] * 1000,
        max_amount=policy["max_amount"],
        replenish_below=policy["replenish_below"],
        replenish_before_ms=policy["replenish_before_s"] * 1000,
    )
    now = Usage(uses=usage["uses"], age_ms=usage["age_s"] * 1000, spent=usage["spent"], amount=usage["amount"])
    verdict = judge(limits, now)
    return {"decision": "ALLOW" if verdict.allowed else "REFUSE", "reason": verdict.reason and verdict.reason.value}


@kind("atc_window", "previous_atc atc positive_window negative_window transit", "accept code_if_refused")
def atc_window(v: Values) -> Values:
    window = Window(positive=v["positive_window"], negative=v["negative_window"])
    accept = atc_in_window(v["previous_atc"], v["atc"], window, transit=v["transit"])
    return {"accept": accept, "code_if_refused": None if accept else REFUSED}
