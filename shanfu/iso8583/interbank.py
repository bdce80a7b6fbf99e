"""The interbank dialect: what acquirer, network and issuer say to one another (the CUPS family).

    length 4 ASCII | header 46 | MTI 4 ASCII | bitmap 8 or 16 | fields

Values are ASCII (names in GBK), bitmaps binary, DE52, 55 and 96 raw bytes, and the MAC in DE128 is eight ASCII hex
characters. The header carries the addresses of both stations and a reject code: a rejected message comes back as it was
sent with that code set, and is never an answer. Live traffic breaks published limits, hence over-long fields are read
with a warning; what we write keeps them.

The MAC is computed over text made of selected fields (`mab.py`), not over the bytes. Acquirer, network and issuer call
this. Sources: ISO 8583:1987 for the formats; header and fields from open implementations under MIT licence
(docs/sources.md); the scheme's own documents are not freely licensed, a member corrects these tables.
"""

from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from shanfu.errors import DecodeError, Fault, ProtocolError
from shanfu.iso8583.codec import Dialect, Message
from shanfu.iso8583.fields import FIXED, Encoding, Field, Prefix
from shanfu.iso8583.mab import mac_input
from shanfu.iso8583.pos import Unsealed

__all__ = [
    "INTERBANK", "REJECT_CODES", "InterbankFrame", "InterbankHeader", "decode_interbank", "encode_interbank",
    "prepare_interbank",
]  # fmt: skip

LL = Prefix(2)
LLL = Prefix(3)
N, Z, AN, ANS, B = Encoding.DIGITS, Encoding.TRACK, Encoding.ASCII, Encoding.TEXT, Encoding.BYTES
SECRET = True

# fmt: off
#   DE   kind length size secret   English                               Chinese
_TABLE = (
    (2,   N,   LL,    19,  SECRET, "primary account number",             "主账号"),
    (3,   N,   FIXED, 6,   False,  "processing code",                    "交易处理码"),
    (4,   N,   FIXED, 12,  False,  "amount",                             "交易金额"),
    (5,   N,   FIXED, 12,  False,  "settlement amount",                  "清算金额"),
    (6,   N,   FIXED, 12,  False,  "cardholder billing amount",          "持卡人扣账金额"),
    (7,   N,   FIXED, 10,  False,  "transmission date and time",         "交易传输时间"),
    (9,   N,   FIXED, 8,   False,  "settlement conversion rate",         "清算汇率"),
    (10,  N,   FIXED, 8,   False,  "billing conversion rate",            "持卡人扣账汇率"),
    (11,  N,   FIXED, 6,   False,  "system trace number",                "系统跟踪号"),
    (12,  N,   FIXED, 6,   False,  "local time",                         "受卡方所在地时间"),
    (13,  N,   FIXED, 4,   False,  "local date",                         "受卡方所在地日期"),
    (14,  N,   FIXED, 4,   SECRET, "expiry date",                        "卡有效期"),
    (15,  N,   FIXED, 4,   False,  "settlement date",                    "清算日期"),
    (16,  N,   FIXED, 4,   False,  "conversion date",                    "兑换日期"),
    (18,  N,   FIXED, 4,   False,  "merchant category",                  "商户类型"),
    (19,  N,   FIXED, 3,   False,  "acquiring country",                  "商户国家代码"),
    (22,  N,   FIXED, 3,   False,  "point of service entry mode",        "服务点输入方式码"),
    (23,  N,   FIXED, 3,   False,  "card sequence number",               "卡序列号"),
    (25,  N,   FIXED, 2,   False,  "point of service condition",         "服务点条件码"),
    (26,  N,   FIXED, 2,   False,  "PIN capture code",                   "服务点PIN获取码"),
    (28,  AN,  FIXED, 9,   False,  "transaction fee",                    "交易费"),          # x+n8: C or D, 8 digits
    (32,  N,   LL,    11,  False,  "acquiring institution",              "代理机构标识码"),
    (33,  N,   LL,    11,  False,  "forwarding institution",             "发送机构标识码"),
    (35,  Z,   LL,    37,  SECRET, "track 2",                            "第二磁道数据"),     # separator = or D
    (36,  Z,   LLL,   104, SECRET, "track 3",                            "第三磁道数据"),
    (37,  AN,  FIXED, 12,  False,  "retrieval reference number",         "检索参考号"),
    (38,  AN,  FIXED, 6,   False,  "authorisation code",                 "授权标识应答码"),
    (39,  AN,  FIXED, 2,   False,  "response code",                      "应答码"),
    (41,  AN,  FIXED, 8,   False,  "terminal",                           "受卡机终端标识码"),
    (42,  AN,  FIXED, 15,  False,  "merchant",                           "受卡方标识码"),
    (43,  ANS, FIXED, 40,  False,  "merchant name and place",            "受卡方名称地址"),
    (44,  ANS, LL,    25,  False,  "additional response data",           "附加响应数据"),
    (45,  Z,   LL,    76,  SECRET, "track 1",                            "第一磁道数据"),
    (48,  B,   LLL,   512, SECRET, "additional data, private",           "附加数据"),         # NK holds a key
    (49,  AN,  FIXED, 3,   False,  "currency",                           "交易货币代码"),
    (50,  AN,  FIXED, 3,   False,  "settlement currency",                "清算货币代码"),
    (51,  AN,  FIXED, 3,   False,  "billing currency",                   "持卡人账户货币代码"),
    (52,  B,   FIXED, 8,   SECRET, "PIN block",                          "个人标识码数据"),
    (53,  N,   FIXED, 16,  False,  "security control information",       "安全控制信息"),
    (54,  ANS, LLL,   40,  False,  "additional amounts",                 "实际余额"),
    (55,  B,   LLL,   255, False,  "chip data",                          "IC卡数据域"),
    (56,  B,   LLL,   512, SECRET, "additional information",             "附加信息"),         # PR: the PAR
    (57,  ANS, LLL,   100, False,  "additional transaction information", "附加交易信息"),
    (59,  ANS, LLL,   600, False,  "detail enquiry",                     "明细查询数据"),
    (60,  ANS, LLL,   100, False,  "reserved, national",                 "自定义域"),
    (61,  ANS, LLL,   200, SECRET, "cardholder authentication",          "持卡人身份认证信息"),  # id number, CVN2
    (62,  B,   LLL,   200, False,  "switching data",                     "交换中心数据"),
    (63,  B,   LLL,   512, SECRET, "financial network data",             "金融网络数据"),      # SM: a PIN; TK: a token
    (70,  N,   FIXED, 3,   False,  "network management code",            "网络管理信息码"),
    (90,  N,   FIXED, 42,  False,  "original data elements",             "原始数据元"),
    (96,  B,   FIXED, 8,   SECRET, "message security code",              "报文安全码"),
    (100, N,   LL,    11,  False,  "receiving institution",              "接收机构标识码"),
    (102, ANS, LL,    28,  SECRET, "account 1",                          "账户标识1"),
    (103, ANS, LL,    28,  SECRET, "account 2",                          "账户标识2"),
    (104, B,   LLL,   512, SECRET, "transaction and industry data",      "交易及行业应用信息"),
    (113, B,   LLL,   512, SECRET, "additional information 1",           "附加信息1"),
    (116, B,   LLL,   512, SECRET, "additional information 2",           "附加信息2"),
    (117, B,   LLL,   256, SECRET, "additional information 3",           "附加信息3"),
    (121, ANS, LLL,   100, False,  "switch reserved",                    "CUPS保留"),
    (122, ANS, LLL,   100, False,  "acquirer reserved",                  "受理方保留"),
    (123, ANS, LLL,   100, False,  "issuer reserved",                    "发卡方保留"),
    (125, B,   LLL,   256, SECRET, "security additional information 1",  "安全风险评估信息1"),
    (126, B,   LLL,   256, SECRET, "security additional information 2",  "安全风险评估信息2"),
    (128, AN,  FIXED, 8,   False,  "message authentication code",        "报文鉴别码"),
)

# Known reject codes; every other non-zero code is opaque and means the same: the message failed.
REJECT_CODES = {
    "00000": ("not rejected",               "未拒绝"),
    "00015": ("header length is not 46",    "报文头长度错"),
    "00025": ("version is not known",       "版本标志错"),
}
# fmt: on

INTERBANK = Dialect(
    "interbank",
    tuple(
        Field(number=n, encoding=e, prefix=p, size=size, secret=secret, name=name, name_zh=name_zh, strict=False)
        for n, e, p, size, secret, name, name_zh in _TABLE
    ),
    bcd_mti=False,
    wide=True,
)

HEADER = 46  # 2E
PREFIX = 4
BODY = PREFIX + HEADER


class InterbankHeader(Struct, frozen=True, kw_only=True):
    """The 46 bytes without their two lengths. Station ids are kept without the spaces that fill them."""

    flag_version: int = 0x02  # bit 8: test or production; low seven bits: version
    destination: str
    source: str
    reserved: bytes = bytes(3)
    batch: int = 0
    transaction_info: str = "00000000"
    user_info: int = 0
    reject_code: str = "00000"

    @property
    def rejected(self) -> bool:
        """The message came back refused: a failed request, never an answer."""
        return self.reject_code != "00000"

    @classmethod
    def parse(cls, raw: bytes, *, base: int = 0) -> tuple["InterbankHeader", int]:
        """Return the header and the total length (header and message) that it announces; `base` moves error offsets.

        >>> header, total = InterbankHeader.parse(bytes.fromhex(
        ...     "2E023034303730333035303030312020203030303130303030202020414139013030303030303030003030303030"))
        >>> header.destination, header.source, header.reserved, total
        ('03050001', '00010000', b'AA9', 407)
        """
        if len(raw) != HEADER or raw[0] != HEADER:
            what = f"header of {len(raw)} bytes says {raw[0] if raw else 0}, both must be {HEADER}"
            raise DecodeError(what, fault=Fault.LENGTH, path="header/1", offset=base, spec="reject code 00015")
        if not raw[2:6].isdigit():
            raise DecodeError("total length is not ASCII digits", path="header/3", offset=base + 2)
        return _header(raw[1:2] + raw[6:], base), int(raw[2:6])

    def encode(self, total: int) -> bytes:
        """Return the 46 bytes for a header and message of `total` bytes."""
        if total > 9999:
            raise ProtocolError(f"frame: {total} bytes, four digits count 9999", by="us")
        front, back = _header_bytes(self)
        return b"%c%c%04d%b" % (HEADER, front, total, back)

    def turned(self) -> "InterbankHeader":
        """The header of the answer: stations exchanged."""
        return _turned(self)


@lru_cache(maxsize=1024)
def _turned(header: InterbankHeader) -> InterbankHeader:
    return replace(header, destination=header.source, source=header.destination)


@lru_cache(maxsize=1024)  # two stations talk under one header all day
def _header(raw: bytes, base: int) -> InterbankHeader:
    text = raw.decode("latin-1")
    for number, first, last in ((4, 1, 12), (5, 12, 23), (8, 27, 35), (10, 36, 41)):
        part = text[first:last]
        if not (part.isascii() and part.isprintable()):
            raise DecodeError("not printable ASCII", path=f"header/{number}", offset=base + first + 5)
    return InterbankHeader(
        flag_version=raw[0],
        destination=text[1:12].rstrip(" "),
        source=text[12:23].rstrip(" "),
        reserved=raw[23:26],
        batch=raw[26],
        transaction_info=text[27:35],
        user_info=raw[35],
        reject_code=text[36:41],
    )


@lru_cache(maxsize=1024)
def _header_bytes(header: InterbankHeader) -> tuple[int, bytes]:
    h = header
    back = b"%-11b%-11b%b%c%b%c%b" % (
        h.destination.encode("ascii"), h.source.encode("ascii"), h.reserved, h.batch,
        h.transaction_info.encode("ascii"), h.user_info, h.reject_code.encode("ascii"),
    )  # fmt: skip
    if len(back) != HEADER - 6 or len(h.reserved) != 3 or len(h.reject_code) != 5 or len(h.transaction_info) != 8:
        raise ProtocolError(f"header: {len(back) + 6} bytes, {HEADER} wanted", by="us")
    return h.flag_version, back


class InterbankFrame(Struct, frozen=True):
    """A frame: the header and the message."""

    header: InterbankHeader
    message: Message

    def answer(self, message: Message) -> "InterbankFrame":
        """The frame that carries `message` back to where this one came from."""
        return InterbankFrame(self.header.turned(), message)


def decode_interbank(frame: bytes) -> InterbankFrame:
    """Decode one whole frame, its four length digits included; DecodeError offsets count from the frame's start.

    >>> frame = decode_interbank(bytes.fromhex(
    ...     "303039352E02303039353031303230303030202020343831323030303020202000000000303030303030303000303030303030383230"
    ...     "822000008000000004000000000000003031303830303030303130303030303130383438313230303030303031"))
    >>> frame.header.destination, frame.message.mti, frame.message.fields[70]
    ('01020000', '0820', '001')
    """
    digits = frame[:PREFIX]
    if len(digits) == PREFIX and not digits.isdigit():
        raise DecodeError("the length is not four ASCII digits", path="frame")
    if len(digits) < PREFIX or len(frame) < (announced := int(digits) + PREFIX):
        raise DecodeError(f"{len(frame)} bytes, the length announces more", fault=Fault.INCOMPLETE, path="frame")
    if len(frame) > announced:
        raise DecodeError(f"{len(frame) - announced} bytes too many", fault=Fault.TRAILING, path="frame", offset=announced)
    if announced < BODY:
        raise DecodeError("the frame ends inside the header", fault=Fault.TRUNCATED, path="header", offset=announced)
    header, total = InterbankHeader.parse(frame[PREFIX:BODY], base=PREFIX)
    if total != announced - PREFIX:
        what = f"the header counts {total} bytes, the frame {announced - PREFIX}"
        raise DecodeError(what, fault=Fault.LENGTH, path="header/3", offset=PREFIX + 2)
    return InterbankFrame(header, INTERBANK.decode(frame[BODY:], base=BODY))


def _head(frame: InterbankFrame, size: int) -> bytes:
    return b"%04d" % (size + HEADER) + frame.header.encode(size + HEADER)


def encode_interbank(frame: InterbankFrame) -> bytes:
    """Encode a frame as it is; DE128, if present, must be final. The way back of `decode_interbank`, byte for byte."""
    body = INTERBANK.encode(frame.message)
    return _head(frame, len(body)) + body


def prepare_interbank(frame: InterbankFrame) -> Unsealed:
    """Encode a frame up to its MAC: `mab` is the text of the selected fields (`mab.MAC_FIELDS`), as bytes.

    `seal` takes the eight ASCII hex characters of DE128.
    """
    message = frame.message
    body = INTERBANK.encode(Message(message.mti, {**message.fields, 128: "00000000"}, (), message.kept))
    return Unsealed(_head(frame, len(body)), mac_input(message), body[:-8])
