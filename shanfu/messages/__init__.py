"""The JSON wire: what wallets, key cloud, token service and issuers say to one another, as strict structs.

Equipment that parties own; nobody speaks to it. A message is a `Call` (an operation, who asks, a body) or its `Reply` (a body
or a `Problem`). Over HTTPS a call is one request and the problem an RFC 9457 document; on a loop link or between hosts of one
process the same call is a frame. `OPERATIONS` lists every operation once: its name, its HTTP place, who may ask, and the
structs of both directions; hosts, HTTP shells, clients and the OpenAPI page are made from that table.

Files in reading order: envelope (calls, replies, frames), problems (refusals), shared (words that several messages use),
limits (whether a key set may be used once more), wallet
(phone and key cloud), requestor (key cloud and token service), issuing (token service and issuer), operations (the table).
"""

from shanfu.messages.envelope import (
    LIMIT_BYTES,
    Call,
    Device,
    Empty,
    JSONFrames,
    Reply,
    decoded,
    encoded,
    is_json_frame,
    pack,
    unpack,
)
from shanfu.messages.limits import KeyLimits, LimitReason, LimitVerdict, Usage, judge, limits_of
from shanfu.messages.operations import OPERATIONS, Operation, Role, operation
from shanfu.messages.problems import Problem, ProblemCode, problem
from shanfu.messages.shared import (
    Actor,
    CardEvent,
    Colour,
    ColouredMark,
    ExplainStep,
    IDVMethod,
    IDVOption,
    KeyPolicy,
    KeySetTerms,
    LifeCycleEvent,
    PhoneCVM,
    TokenState,
    TokenView,
    TransactionView,
    UseReport,
)  # fmt: skip

from shanfu.messages import issuing, requestor, wallet  # isort: skip

__all__ = [
    "LIMIT_BYTES", "OPERATIONS", "Actor", "Call", "CardEvent", "Colour", "ColouredMark", "Device", "Empty", "ExplainStep",
    "IDVMethod", "IDVOption", "JSONFrames", "KeyLimits", "KeyPolicy", "KeySetTerms", "LifeCycleEvent", "LimitReason",
    "LimitVerdict", "Operation", "PhoneCVM", "Problem", "ProblemCode", "Reply", "Role", "TokenState",
    "TokenView", "TransactionView", "Usage", "UseReport", "decoded", "encoded", "is_json_frame", "issuing", "judge",
    "limits_of", "operation", "pack", "problem", "requestor", "unpack", "wallet",
]  # fmt: skip
