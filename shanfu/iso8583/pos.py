"""The terminal dialect: what a UnionPay POS and its acquirer say to one another.

    length 2 | TPDU 5 | header 6 | MTI 2 | bitmap 8 | fields          length counts everything behind itself

Numbers are BCD, text is ASCII or GBK, there are 64 fields and the last one carries the MAC. The TPDU is the transport's
address label: the answer goes back with destination and source exchanged. The header says what kind of application and
version the terminal is and, in the answer, what the host wants the terminal to do next.

The alignment of odd digits differs per field: DE22 is filled behind (`071` is `07 10`), DE23 in front (`001` is
`00 01`), variable digits behind. MAC input is everything from the MTI to the byte before DE64, with bit 64 already set.
Terminal and acquirer call this. Sources: ISO 8583:1987 for the formats; frame, header and alignment from public
terminal implementations (docs/sources.md), since the scheme's own terminal specification is not freely licensed.
"""

from dataclasses import dataclass

from msgspec import Struct

from shanfu.errors import DecodeError, Fault, ProtocolError
from shanfu.iso8583.codec import Dialect, Message
from shanfu.iso8583.fields import FIXED, Encoding, Field, Prefix

__all__ = ["POS", "PROCESSING_REQUIREMENT", "PosFrame", "PosHeader", "Unsealed", "decode_pos", "encode_pos", "prepare_pos"]

LL = Prefix(2, bcd=True)
LLL = Prefix(3, bcd=True)
N, N_LEFT, Z = Encoding.BCD_RIGHT, Encoding.BCD_LEFT, Encoding.TRACK_BCD
AN, ANS, B = Encoding.ASCII, Encoding.TEXT, Encoding.BYTES
SECRET = True

# fmt: off
#   DE  kind    length size  secret   English                          Chinese
_TABLE = (
    (2,  N_LEFT, LL,    19,  SECRET,  "primary account number",        "主账号"),
    (3,  N,      FIXED, 6,   False,   "processing code",               "交易处理码"),
    (4,  N,      FIXED, 12,  False,   "amount",                        "交易金额"),
    (11, N,      FIXED, 6,   False,   "trace number",                  "受卡方系统跟踪号"),
    (12, N,      FIXED, 6,   False,   "local time",                    "受卡方所在地时间"),
    (13, N,      FIXED, 4,   False,   "local date",                    "受卡方所在地日期"),
    (14, N,      FIXED, 4,   SECRET,  "expiry date",                   "卡有效期"),
    (15, N,      FIXED, 4,   False,   "settlement date",               "清算日期"),
    (22, N_LEFT, FIXED, 3,   False,   "point of service entry mode",   "服务点输入方式码"),
    (23, N,      FIXED, 3,   False,   "card sequence number",          "卡序列号"),
    (25, N,      FIXED, 2,   False,   "point of service condition",    "服务点条件码"),
    (26, N,      FIXED, 2,   False,   "PIN capture code",              "服务点PIN获取码"),
    (32, N_LEFT, LL,    11,  False,   "acquiring institution",         "受理方标识码"),
    (35, Z,      LL,    37,  SECRET,  "track 2",                       "第二磁道数据"),
    (36, Z,      LLL,   104, SECRET,  "track 3",                       "第三磁道数据"),
    (37, AN,     FIXED, 12,  False,   "retrieval reference number",    "检索参考号"),
    (38, AN,     FIXED, 6,   False,   "authorisation code",            "授权标识应答码"),
    (39, AN,     FIXED, 2,   False,   "response code",                 "应答码"),
    (41, AN,     FIXED, 8,   False,   "terminal",                      "受卡机终端标识码"),
    (42, AN,     FIXED, 15,  False,   "merchant",                      "受卡方标识码"),
    (43, ANS,    FIXED, 40,  False,   "merchant name and place",       "受卡方名称地址"),
    (44, ANS,    LL,    25,  False,   "additional response data",      "附加响应数据"),
    (48, N_LEFT, LLL,   322, SECRET,  "additional data, private",      "附加数据"),      # batch records hold PANs
    (49, AN,     FIXED, 3,   False,   "currency",                      "交易货币代码"),
    (52, B,      FIXED, 8,   SECRET,  "PIN block",                     "个人标识码数据"),
    (53, N,      FIXED, 16,  False,   "security control information",  "安全控制信息"),
    (54, ANS,    LLL,   20,  False,   "additional amounts",            "附加金额"),
    (55, B,      LLL,   255, False,   "chip data",                     "IC卡数据域"),
    (58, ANS,    LLL,   100, False,   "e-purse data",                  "PBOC电子钱包标准的交易信息"),
    (59, ANS,    LLL,   600, SECRET,  "extended data",                 "自定义域59"),     # A2 holds PAN digits
    (60, N_LEFT, LLL,   30,  False,   "message type and batch",        "自定义域60"),
    (61, N_LEFT, LLL,   29,  False,   "original message",              "原始信息域"),
    (62, B,      LLL,   512, SECRET,  "keys, parameters, records",     "自定义域62"),
    (63, ANS,    LLL,   163, False,   "scheme or operator, remarks",   "自定义域63"),
    (64, B,      FIXED, 8,   False,   "message authentication code",   "MAC"),
)

# Header digit 6 of an answer: what the terminal shall do next (from memory, unverified: one table).
PROCESSING_REQUIREMENT = {
    0: ("nothing",                    "无处理要求"),
    1: ("download parameters",        "下传终端磁条卡参数"),
    2: ("upload terminal status",     "上传终端磁条卡状态信息"),
    3: ("sign in again",              "重新签到"),
    4: ("update CA public keys",      "通知终端发起更新公钥信息操作"),
    5: ("download chip parameters",   "下载终端IC卡参数"),
    6: ("update terminal software",   "TMS参数下载"),
    7: ("download card black list",   "卡BIN黑名单下载"),
}
# fmt: on

POS = Dialect(
    "terminal",
    tuple(
        Field(number=n, encoding=e, prefix=p, size=size, secret=secret, name=name, name_zh=name_zh)
        for n, e, p, size, secret, name, name_zh in _TABLE
    ),
    bcd_mti=True,
    wide=False,
)

BODY = 13  # length 2, TPDU 5, header 6


@dataclass(frozen=True, slots=True, kw_only=True)
class PosHeader:
    """The six header bytes as twelve BCD digits."""

    application_class: str = "61"  # 60 magnetic stripe, 61 chip
    software_version: str = "31"
    terminal_status: int = 0
    processing_requirement: int = 0
    sub_version: str = "310000"

    @classmethod
    def parse(cls, digits: str) -> "PosHeader":
        """Take apart the twelve digits of `PosFrame.header`.

        >>> PosHeader.parse("603100311003").sub_version
        '311003'
        """
        if len(digits) != 12 or not digits.isdecimal():
            raise DecodeError(f"{len(digits)} characters, twelve digits wanted", path="header", offset=7)
        return cls(
            application_class=digits[:2],
            software_version=digits[2:4],
            terminal_status=int(digits[4]),
            processing_requirement=int(digits[5]),
            sub_version=digits[6:],
        )

    def __str__(self) -> str:
        status = f"{self.terminal_status}{self.processing_requirement}"
        return f"{self.application_class}{self.software_version}{status}{self.sub_version}"


class PosFrame(Struct, frozen=True):
    """A frame: TPDU (ten hex digits), header (twelve) and the message."""

    tpdu: str
    header: str
    message: Message

    def answer(self, message: Message, *, requirement: int | None = None) -> "PosFrame":
        """The frame that carries `message` back: TPDU addresses exchanged, optionally asking the terminal for action."""
        header = self.header if requirement is None else f"{self.header[:5]}{requirement}{self.header[6:]}"
        return PosFrame(self.tpdu[:2] + self.tpdu[6:] + self.tpdu[2:6], header, message)


class Unsealed(Struct, frozen=True):
    """A finished message that waits for its MAC: `mab` is what the MAC is computed over.

    MACs are made in batches by the security module, so encoding and sealing are two steps.
    """

    head: bytes
    mab: bytes
    rest: bytes = b""  # the wire form of the message when `mab` is not it

    def seal(self, mac: bytes) -> bytes:
        """Return the whole frame; `mac` is the eight bytes of the MAC field."""
        if len(mac) != 8:
            raise ProtocolError(f"MAC: {len(mac)} bytes, the field has 8", by="us")
        return self.head + (self.rest or self.mab) + mac


def decode_pos(frame: bytes) -> PosFrame:
    """Decode one whole frame, its two length bytes included.

    Raises DecodeError: incomplete when bytes are missing, truncated when the announced bytes end inside something,
    trailing when bytes are left; offsets count from the start of the frame.

    >>> frame = decode_pos(bytes.fromhex("0037600003000060310031100008200020000000C000100005033132333435363738383938313030"
    ...     "3031323334303030310011000000240020"))
    >>> frame.message.mti, frame.message.fields[41], frame.message.fields[60]
    ('0820', '12345678', '00000024002')
    """
    if len(frame) < 2 or len(frame) < (announced := int.from_bytes(frame[:2], "big") + 2):
        raise DecodeError(f"{len(frame)} bytes, the length announces more", fault=Fault.INCOMPLETE, path="frame")
    if len(frame) > announced:
        raise DecodeError(f"{len(frame) - announced} bytes too many", fault=Fault.TRAILING, path="frame", offset=announced)
    label = frame[2:BODY].hex().upper()
    if len(label) < 2 * (BODY - 2):
        raise DecodeError("the frame ends inside TPDU or header", fault=Fault.TRUNCATED, path="header", offset=len(frame))
    if label[:2] != "60":  # ISO 8583 transport label of the national terminal networks
        raise DecodeError(f"begins with {label[:2]}, a TPDU begins with 60", path="TPDU", offset=2)
    return PosFrame(label[:10], label[10:], POS.decode(frame[BODY:], base=BODY))


def _head(frame: PosFrame, size: int) -> bytes:
    label = bytes.fromhex(frame.tpdu + frame.header)
    if len(label) != BODY - 2:
        raise ProtocolError(f"TPDU and header: {len(label)} bytes, 11 wanted", by="us")
    return (size + BODY - 2).to_bytes(2, "big") + label


def encode_pos(frame: PosFrame) -> bytes:
    """Encode a frame as it is; DE64, if present, must be final already. The way back of `decode_pos`, byte for byte."""
    body = POS.encode(frame.message)
    return _head(frame, len(body)) + body


def prepare_pos(frame: PosFrame) -> Unsealed:
    """Encode a frame up to its MAC: `mab` runs from the MTI to the byte before DE64, with bit 64 set.

    >>> frame = PosFrame("6000030000", "603100311000", Message("0200", {3: "000000"}))
    >>> prepare_pos(frame).mab.hex()
    '02002000000000000001000000'
    """
    message = frame.message
    body = POS.encode(Message(message.mti, {**message.fields, 64: bytes(8)}, (), message.kept))
    return Unsealed(_head(frame, len(body)), body[:-8])


def mab_of(frame: bytes) -> bytes:
    """The MAC input of a received frame that carries DE64, cut from its very bytes."""
    return frame[BODY:-8]
