"""Mutual TLS 1.3 between the parties, from a certificate authority of the sandbox's own.

`make_ca` and `issue` write PEM files that only their owner may read; a certificate's common name is the station's name, and
that is how a host knows who speaks. Both sides present a certificate and accept only those of this one authority; there is no
way back to plain TCP or to an older version, a link without TLS is asked for as such. A real deployment puts its own
`ca.pem`, `NAME.pem` and `NAME.key` into the folder.

Sources: RFC 8446 (TLS 1.3), RFC 5280 (certificates, names, key usage).
"""

import os
import re
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shanfu.errors import ConfigError

__all__ = ["client_context", "common_name", "issue", "make_ca", "server_context", "visitor_context"]

VALID_DAYS = 5 * 365  # a sandbox outlives its makers' attention, not its cryptography
_STATION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")  # a DNS label (RFC 5280 4.2.1.6)


def _write(path: Path, content: bytes) -> None:
    """Replace a file in one step, readable by its owner alone from its first byte on."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _save(folder: Path, name: str, pair: tuple[ec.EllipticCurvePrivateKey, x509.Certificate]) -> None:
    key, certificate = pair
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    _write(folder / f"{name}.key", key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    _write(folder / f"{name}.pem", certificate.public_bytes(pem))


def _builder(subject: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # machines of one laboratory disagree about the time
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:  # RFC 5280 4.2.1.3
    return x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def make_ca(folder: Path, *, now: datetime | None = None) -> None:
    """Write `ca.pem` and `ca.key` (EC P-256) into the folder, unless it has an authority already."""
    if (folder / "ca.pem").exists():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    name = "Shanfu sandbox CA"
    certificate = (
        _builder(name, key, now or datetime.now(UTC))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _save(folder, "ca", (key, certificate))


def issue(folder: Path, name: str, *, now: datetime | None = None) -> None:
    """Write `NAME.pem` and `NAME.key` for a station, signed by the folder's authority; an older pair is replaced.

    Raises ConfigError when the folder has no authority, or the name is no DNS label.
    """
    if not _STATION.fullmatch(name) or name == "ca":
        raise ConfigError(
            f"station {name!r}: should be letters, digits and hyphens, at most 63, and not 'ca' (RFC 5280 4.2.1.6)"
        )
    authority = _certificate(folder / "ca.pem")
    authority_key = serialization.load_pem_private_key(_read(folder / "ca.key"), password=None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise ConfigError("ca.key: should be an EC key")
    key = ec.generate_private_key(ec.SECP256R1())
    local = [x509.IPAddress(ip_address("127.0.0.1")), x509.IPAddress(ip_address("::1"))]
    certificate = (
        _builder(name, key, now or datetime.now(UTC))
        .issuer_name(authority.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName("localhost"), *local]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    _save(folder, name, (key, certificate))


def server_context(folder: Path, name: str, *, strangers: bool = False) -> ssl.SSLContext:
    """Return the context with which `name` accepts stations that hold a certificate of the folder's authority.

    With `strangers` also who shows none: a phone has other ways to say who it is. A certificate that is shown must be good.
    Raises ConfigError, in one line, when a file is missing or readable by others, the certificate has expired, or another
    authority signed it.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, folder, name)
    if strangers:
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(folder: Path, name: str) -> ssl.SSLContext:
    """Return the context with which `name` calls a station; the called one must bear the name it is called by.

    Raises ConfigError as `server_context` does.
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT, folder, name)


def visitor_context(folder: Path) -> ssl.SSLContext:
    """Return the context of who calls without a certificate, as a phone does; the called one's must be of the authority."""
    _certificate(folder / "ca.pem")
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def common_name(peer: object) -> str:
    """Return the subject's common name from what `getpeercert` gave; "" when there is none."""
    subject = peer.get("subject", ()) if isinstance(peer, dict) else ()
    names = [value for part in subject for kind, value in part if kind == "commonName"]
    return str(names[-1]) if names else ""


def _context(side: int, folder: Path, name: str) -> ssl.SSLContext:
    _check(folder, name)
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    if side == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0  # each connection proves its certificate anew (RFC 8446 4.6.1)
    try:
        context.load_verify_locations(folder / "ca.pem")
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    except ssl.SSLError as fault:
        raise ConfigError(f"{name}.pem, {name}.key: do not belong together ({fault.reason})") from fault
    return context


def _check(folder: Path, name: str) -> None:
    """Find here what would otherwise fail at each peer in its own words."""
    key_path = folder / f"{name}.key"
    _read(key_path)
    mode = key_path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError(f"{key_path.name}: has mode {mode:04o}, should be 0600: others can read the key")
    authority, own = _certificate(folder / "ca.pem"), _certificate(folder / f"{name}.pem")
    now = datetime.now(UTC)
    for file, certificate in (("ca.pem", authority), (f"{name}.pem", own)):
        if now > certificate.not_valid_after_utc:
            raise ConfigError(f"{file}: expired on {certificate.not_valid_after_utc:%Y-%m-%d}, issue a new one")
        if now < certificate.not_valid_before_utc:
            raise ConfigError(
                f"{file}: is valid from {certificate.not_valid_before_utc:%Y-%m-%d} on, check this machine's clock"
            )
    try:
        own.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as fault:
        raise ConfigError(f"{name}.pem: was not signed by this folder's ca.pem, issue a new one") from fault


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise ConfigError(f"{path}: {fault.strerror}, should be a PEM file") from fault


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_read(path))
    except ValueError as fault:
        raise ConfigError(f"{path}: is no PEM certificate") from fault
