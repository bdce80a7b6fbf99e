"""Random valid messages of a dialect, made from its own table, and ways to spoil them."""

from hypothesis import strategies as st

from shanfu.iso8583 import Dialect, Encoding, Field, Message, Value

DIGITS = "0123456789"
PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
GBK = st.one_of(st.sampled_from(PRINTABLE), st.sampled_from("闪付中国银联支付卡交易金额"))


def sizes(field: Field, least: int = 1) -> st.SearchStrategy[int]:
    return st.integers(least, field.size) if field.prefix.digits else st.just(field.size)


@st.composite
def values(draw: st.DrawFn, field: Field) -> Value:
    size = draw(sizes(field))
    match field.encoding:
        case Encoding.BYTES:
            return draw(st.binary(min_size=size, max_size=size))
        case Encoding.TEXT:
            text = ""
            while len((text + (more := draw(GBK))).encode("gbk")) <= size:
                text += more
            return text.encode("gbk").ljust(0 if field.prefix.digits else size).decode("gbk") or "A"
        case Encoding.ASCII:
            return draw(st.text(PRINTABLE, min_size=size, max_size=size))
        case Encoding.TRACK | Encoding.TRACK_BCD:
            track = draw(st.text(DIGITS, min_size=size, max_size=size))
            if size > 17:
                track = track[:16] + ("D" if field.encoding is Encoding.TRACK_BCD else draw(st.sampled_from("=D"))) + track[17:]
            return track
    return draw(st.text(DIGITS, min_size=size, max_size=size))


@st.composite
def messages(draw: st.DrawFn, dialect: Dialect) -> Message:
    numbers = draw(st.lists(st.sampled_from(sorted(dialect.fields)), min_size=1, max_size=14, unique=True))
    mti = draw(st.sampled_from(["0100", "0200", "0210", "0220", "0320", "0400", "0500", "0620", "0800", "0820"]))
    return Message(mti, {number: draw(values(dialect.fields[number])) for number in sorted(numbers)})
