"""The curve of SM2: points checked, multiplied and added; on libcrypto, or on plain integers where it is missing.

y² = x³ - 3x + b over a prime of 256 bits, generator G of prime order n, cofactor 1: every point of the curve but infinity is
good, so being on it is the whole check. libcrypto multiplies a secret number in constant time (a ladder) as long as a call
has one number; the plain integers do **not**, they serve tests and machines that only verify.
Who calls: `sm2`, nobody else. Source: GB/T 32918.5 (parameters), GB/T 32918.1 4.2 (points as bytes).
"""

import functools
from typing import Any

from shanfu.crypto.libcrypto import open_libcrypto
from shanfu.errors import DecodeError

__all__ = [
    "CURVE_TEXT",
    "GENERATOR",
    "ORDER",
    "SCALAR_BYTES",
    "Point",
    "add",
    "encode_point",
    "multiply",
    "multiply_sum",
    "parse_point",
]

Point = tuple[int, int]

# GB/T 32918.5 clause 3: recommended curve sm2p256v1
PRIME = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = PRIME - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
GENERATOR: Point = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
SCALAR_BYTES = 32
CURVE_TEXT = b"".join(part.to_bytes(SCALAR_BYTES) for part in (A, B, *GENERATOR))  # what ZA hashes of the curve

DECLARATIONS = """
typedef struct ec_group_st EC_GROUP;
typedef struct ec_point_st EC_POINT;
typedef struct bignum_st BIGNUM;
EC_GROUP *EC_GROUP_new_by_curve_name(int);
EC_POINT *EC_POINT_new(const EC_GROUP *);
void EC_POINT_clear_free(EC_POINT *);
int EC_POINT_oct2point(const EC_GROUP *, EC_POINT *, const unsigned char *, size_t, void *);
size_t EC_POINT_point2oct(const EC_GROUP *, const EC_POINT *, int, unsigned char *, size_t, void *);
int EC_POINT_mul(const EC_GROUP *, EC_POINT *, const BIGNUM *, const EC_POINT *, const BIGNUM *, void *);
BIGNUM *BN_bin2bn(const unsigned char *, int, BIGNUM *);
void BN_clear_free(BIGNUM *);
void ERR_clear_error(void);
"""
NEEDED = ("EC_GROUP_new_by_curve_name", "EC_POINT_mul", "EC_POINT_oct2point", "EC_POINT_point2oct", "EC_POINT_clear_free")
NID_SM2, UNCOMPRESSED = 1172, 4  # openssl/obj_mac.h, openssl/ec.h


def parse_point(text: bytes) -> Point:
    """Read X ‖ Y, 64 bytes; `DecodeError` unless it is a point of the curve (GB/T 32918.1 5.2.2)."""
    x, y = int.from_bytes(text[:SCALAR_BYTES]), int.from_bytes(text[SCALAR_BYTES:])
    if len(text) != 2 * SCALAR_BYTES or max(x, y) >= PRIME or (y * y - x * x * x - A * x - B) % PRIME:
        raise DecodeError("64 bytes X ‖ Y of a point on the curve are needed", path="SM2 point", spec="GB/T 32918.1 5.2.2")
    return x, y


def encode_point(point: Point) -> bytes:
    """Return X ‖ Y, 64 bytes."""
    return point[0].to_bytes(SCALAR_BYTES) + point[1].to_bytes(SCALAR_BYTES)


def multiply(number: int, point: Point | None = None) -> Point | None:
    """Return number·point, of the generator by default; None is infinity. The number may be secret (see above)."""
    engine = _engine()
    if engine is None:
        return _affine(_jacobian_multiply(number, point or GENERATOR))
    return engine.multiply(0, number, point) if point else engine.multiply(number, 0, None)


def multiply_sum(number: int, times: int, point: Point) -> Point | None:
    """Return number·generator + times·point; both numbers are public."""
    engine = _engine()
    if engine is None:
        return _affine(_add(_jacobian_multiply(number, GENERATOR), _jacobian_multiply(times, point)))
    return engine.multiply(number, times, point)


def add(one: Point, other: Point) -> Point | None:
    """Return the sum of two public points."""
    return _affine(_add((*one, 1), (*other, 1)))


class _Engine:
    """libcrypto with the curve, fetched once for the life of the process; read only, so threads share it."""

    def __init__(self) -> None:
        self.ffi: Any
        self.lib: Any
        self.ffi, self.lib = open_libcrypto(DECLARATIONS, NEEDED)
        self.group = self.lib.EC_GROUP_new_by_curve_name(NID_SM2)
        if self.group == self.ffi.NULL:  # built without SM2
            self.lib.ERR_clear_error()
            raise OSError("libcrypto lacks SM2")

    def multiply(self, number: int, times: int, point: Point | None) -> Point | None:
        ffi, lib, group = self.ffi, self.lib, self.group
        result = self._new_point()
        base, factor, scalar = ffi.NULL, ffi.NULL, ffi.NULL
        if point is not None:
            base, factor = self._new_point(), self._number(times)
            text = b"\x04" + encode_point(point)
            if lib.EC_POINT_oct2point(group, base, text, len(text), ffi.NULL) != 1:
                lib.ERR_clear_error()
                raise DecodeError("is not on the curve", path="SM2 point", spec="GB/T 32918.1 5.2.2")
        if point is None or number:  # one number alone takes the ladder
            scalar = self._number(number)
        if lib.EC_POINT_mul(group, result, scalar, base, factor, ffi.NULL) != 1:
            raise RuntimeError("libcrypto failed")
        out = ffi.new("unsigned char[]", 65)
        size = lib.EC_POINT_point2oct(group, result, UNCOMPRESSED, out, 65, ffi.NULL)
        text = bytes(ffi.buffer(out, size))
        return (int.from_bytes(text[1:33]), int.from_bytes(text[33:])) if size == 65 else None  # one byte: infinity

    def _new_point(self) -> Any:
        return self.ffi.gc(self.lib.EC_POINT_new(self.group), self.lib.EC_POINT_clear_free)

    def _number(self, number: int) -> Any:
        text = (number % ORDER).to_bytes(SCALAR_BYTES)
        return self.ffi.gc(self.lib.BN_bin2bn(text, len(text), self.ffi.NULL), self.lib.BN_clear_free)


@functools.cache
def _engine() -> _Engine | None:
    try:
        return _Engine()
    except (ImportError, OSError, AttributeError):
        return None


# Plain integers: Jacobian coordinates, (X/Z², Y/Z³); Z = 0 is infinity

Jacobian = tuple[int, int, int]
INFINITY: Jacobian = (1, 1, 0)


def _jacobian_multiply(number: int, point: Point) -> Jacobian:
    result, addend = INFINITY, (*point, 1)
    for bit in bin(number % ORDER)[2:]:
        result = _double(result)
        if bit == "1":
            result = _add(result, addend)
    return result


def _double(point: Jacobian) -> Jacobian:
    x, y, z = point
    if not z or not y:
        return INFINITY
    yy = y * y % PRIME
    s = 4 * x * yy % PRIME
    zz = z * z % PRIME
    m = 3 * (x - zz) * (x + zz) % PRIME  # a = -3
    left = (m * m - 2 * s) % PRIME
    return left, (m * (s - left) - 8 * yy * yy) % PRIME, 2 * y * z % PRIME


def _add(one: Jacobian, other: Jacobian) -> Jacobian:
    if not one[2] or not other[2]:
        return other if not one[2] else one
    (x1, y1, z1), (x2, y2, z2) = one, other
    zz1, zz2 = z1 * z1 % PRIME, z2 * z2 % PRIME
    u1, u2 = x1 * zz2 % PRIME, x2 * zz1 % PRIME
    s1, s2 = y1 * zz2 * z2 % PRIME, y2 * zz1 * z1 % PRIME
    if u1 == u2:
        return _double(one) if s1 == s2 else INFINITY
    h, r = (u2 - u1) % PRIME, (s2 - s1) % PRIME
    hh = h * h % PRIME
    hhh, v = h * hh % PRIME, u1 * hh % PRIME
    x = (r * r - hhh - 2 * v) % PRIME
    return x, (r * (v - x) - s1 * hhh) % PRIME, h * z1 * z2 % PRIME


def _affine(point: Jacobian) -> Point | None:
    x, y, z = point
    if not z:
        return None
    inverse = pow(z, -1, PRIME)
    square = inverse * inverse % PRIME
    return x * square % PRIME, y * square * inverse % PRIME
