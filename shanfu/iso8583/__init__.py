"""ISO 8583: the messages between terminal, acquirer, network and issuer, in UnionPay's two dialects.

In the world this is what runs on the lines of the card trade. It is no party: it turns bytes into fields and back, knows
the tables of codes, and says what is wrong with bytes and where. It is asked by terminal, acquirer, network and issuer,
by the links (frames out of a stream) and by the tools (a message in words). It asks nobody; MACs and PINs are computed
by the security module over what `prepare_…` hands out.

Reading order:
    fields         one element: encoding, length prefix, size; read and write it with care
    codec          messages and dialects; byte-exact, errors that say where
    plan           the same, compiled per combination of fields: why and how it is fast
    pos            the terminal dialect: table, frame, MAC input
    interbank      the interbank dialect: table, 46-byte header, frame
    mab            the text that the interbank MAC covers
    frames         frames out of a byte stream
    codes          response codes, reversal reasons
    message_types  MTI, DE3, DE22, DE25, DE60, DE70 and the table of uses
    positions      fixed-position fields with an open end; lists of usage, length, value
    reserved       DE53, 54, 60, 61, 63, 90, 121
    usages         token data, PAR, SM4 PIN, key and batch usages
    de62           working keys of a sign-in answer
    describe       a message in words, secrets hidden
    masking        a frame as it may be shown
"""

from shanfu.iso8583.codec import Dialect, Message
from shanfu.iso8583.codes import REVERSAL_DONE, REVERSAL_DROPS, Action, Family, ResponseCode, ReversalReason
from shanfu.iso8583.de62 import KEY_LAYOUTS, KeyLayout, WorkingKey, encode_working_keys, parse_working_keys
from shanfu.iso8583.describe import Row, describe
from shanfu.iso8583.fields import FIXED, Encoding, Field, Prefix, Value
from shanfu.iso8583.frames import FRAME_LIMITS, FrameDecoder, InterbankFrames, PosFrames
from shanfu.iso8583.interbank import (
    INTERBANK,
    REJECT_CODES,
    InterbankFrame,
    InterbankHeader,
    decode_interbank,
    encode_interbank,
    prepare_interbank,
)  # fmt: skip
from shanfu.iso8583.mab import MAC_ALGORITHMS, MAC_FIELDS, mab_bytes, mab_text, mac_algorithm, mac_input
from shanfu.iso8583.masking import explain, masked
from shanfu.iso8583.message_types import (
    ENTRY_MODES,
    MTI,
    USES,
    ConditionCode,
    EntryMode,
    ManagementCode,
    MessageType,
    NetworkCode,
    ProcessingCode,
    Use,
    answer_needs_mac,
    is_advice,
    is_repeat,
    is_request,
    response_mti,
    use_of,
)  # fmt: skip
from shanfu.iso8583.pos import (
    POS,
    PROCESSING_REQUIREMENT,
    PosFrame,
    PosHeader,
    Unsealed,
    decode_pos,
    encode_pos,
    mab_of,
    prepare_pos,
)  # fmt: skip
from shanfu.iso8583.positions import Positions, encode_list, parse_list
from shanfu.iso8583.reserved import (
    TERMINAL_TYPES,
    Balance,
    CupsDE60,
    CupsDE61,
    CupsDE121,
    OriginalData,
    PosDE60,
    PosDE61,
    PosDE63,
    SecurityControl,
    encode_balances,
    parse_balances,
    track_cipher_span,
)  # fmt: skip
from shanfu.iso8583.usages import (
    MOST_OUTCOMES,
    TK_WIDTHS,
    AnswerParties,
    BatchRecord,
    Outcome,
    SettlementTotals,
    TokenAnswer,
    TokenBlock,
    TokenVerdict,
    Totals,
    UsageField,
    encode_batch_records,
    encode_de59,
    encode_outcomes,
    encode_par,
    encode_sm4_pin,
    parse_batch_records,
    parse_de59,
    parse_outcomes,
    parse_par,
    parse_sm4_pin,
)  # fmt: skip

__all__ = [
    "ENTRY_MODES",
    "FIXED",
    "FRAME_LIMITS",
    "INTERBANK",
    "KEY_LAYOUTS",
    "MAC_ALGORITHMS",
    "MAC_FIELDS",
    "MOST_OUTCOMES",
    "MTI",
    "POS",
    "PROCESSING_REQUIREMENT",
    "REJECT_CODES",
    "REVERSAL_DONE",
    "REVERSAL_DROPS",
    "TERMINAL_TYPES",
    "TK_WIDTHS",
    "USES",
    "Action",
    "AnswerParties",
    "Balance",
    "BatchRecord",
    "ConditionCode",
    "CupsDE60",
    "CupsDE61",
    "CupsDE121",
    "Dialect",
    "Encoding",
    "EntryMode",
    "Family",
    "Field",
    "FrameDecoder",
    "InterbankFrame",
    "InterbankFrames",
    "InterbankHeader",
    "KeyLayout",
    "ManagementCode",
    "Message",
    "MessageType",
    "NetworkCode",
    "OriginalData",
    "Outcome",
    "PosDE60",
    "PosDE61",
    "PosDE63",
    "PosFrame",
    "PosFrames",
    "PosHeader",
    "Positions",
    "Prefix",
    "ProcessingCode",
    "ResponseCode",
    "ReversalReason",
    "Row",
    "SecurityControl",
    "SettlementTotals",
    "TokenAnswer",
    "TokenBlock",
    "TokenVerdict",
    "Totals",
    "Unsealed",
    "UsageField",
    "Use",
    "Value",
    "WorkingKey",
    "answer_needs_mac",
    "decode_interbank",
    "decode_pos",
    "describe",
    "encode_balances",
    "encode_batch_records",
    "encode_de59",
    "encode_interbank",
    "encode_list",
    "encode_outcomes",
    "encode_par",
    "encode_pos",
    "encode_sm4_pin",
    "encode_working_keys",
    "explain",
    "is_advice",
    "is_repeat",
    "is_request",
    "mab_bytes",
    "mab_of",
    "mab_text",
    "mac_algorithm",
    "mac_input",
    "masked",
    "parse_balances",
    "parse_batch_records",
    "parse_de59",
    "parse_list",
    "parse_outcomes",
    "parse_par",
    "parse_sm4_pin",
    "parse_working_keys",
    "prepare_interbank",
    "prepare_pos",
    "response_mti",
    "track_cipher_span",
    "use_of",
]  # fmt: skip
