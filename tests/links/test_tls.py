"""The sandbox's certificate authority, and what its contexts refuse before any peer is met."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shanfu.errors import ConfigError
from shanfu.links import client_context, issue, make_ca, server_context

LONG_AGO = datetime.now(UTC) - timedelta(days=6 * 365)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_ca(tmp_path / "tls")
    issue(tmp_path / "tls", "network")
    return tmp_path / "tls"


def test_only_the_owner_may_read(folder: Path) -> None:
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        ["ca.key", "ca.pem", "network.key", "network.pem"], 0o600
    )


def test_an_authority_is_made_once(folder: Path) -> None:
    before = (folder / "ca.pem").read_bytes()
    make_ca(folder)
    assert (folder / "ca.pem").read_bytes() == before


@pytest.mark.parametrize("make", [server_context, client_context])
def test_contexts_ask_for_both_certificates_and_nothing_older_than_tls_1_3(folder: Path, make: Callable) -> None:
    context = make(folder, "network")
    assert (context.minimum_version, context.verify_mode) == (ssl.TLSVersion.TLSv1_3, ssl.CERT_REQUIRED)
    assert len(context.get_ca_certs()) == 1
    assert context.check_hostname == (make is client_context)


def other_authority(folder: Path) -> None:
    make_ca(folder / "other")
    (folder / "other" / "ca.pem").replace(folder / "ca.pem")


def other_key(folder: Path) -> None:
    issue(folder, "issuer")
    (folder / "issuer.key").replace(folder / "network.key")


def expired_authority(folder: Path) -> None:
    (folder / "ca.pem").unlink()
    make_ca(folder, now=LONG_AGO)
    issue(folder, "network")


def expired(folder: Path) -> None:
    issue(folder, "network", now=LONG_AGO)


def early(folder: Path) -> None:
    issue(folder, "network", now=datetime.now(UTC) + timedelta(2))


def missing(folder: Path) -> None:
    (folder / "network.key").unlink()


def no_certificate(folder: Path) -> None:
    (folder / "network.pem").write_text("hello")


def readable(folder: Path) -> None:
    (folder / "network.key").chmod(0o644)


@pytest.mark.parametrize(("spoil", "line"), [
    (early,             r"network\.pem: is valid from .* check this machine's clock"),
    (expired,           r"network\.pem: expired on 20\d\d-\d\d-\d\d, issue a new one"),
    (expired_authority, r"ca\.pem: expired on 20\d\d-\d\d-\d\d, issue a new one"),
    (missing,           r".*network\.key: No such file or directory, should be a PEM file"),
    (no_certificate,    r".*network\.pem: is no PEM certificate"),
    (other_authority,   r"network\.pem: was not signed by this folder's ca\.pem, issue a new one"),
    (other_key,         r"network\.pem, network\.key: do not belong together .*"),
    (readable,          r"network\.key: has mode 0644, should be 0600: others can read the key"),
])  # fmt: skip
@pytest.mark.parametrize("make", [server_context, client_context])
def test_refusals_are_one_clear_line(folder: Path, make: Callable, spoil: Callable, line: str) -> None:
    spoil(folder)
    with pytest.raises(ConfigError, match=f"^{line}$"):
        make(folder, "network")


@pytest.mark.parametrize("name", ["", "ca", "a/b", "../x", "bank_1", "-a", "a" * 64, "银行"])
def test_names_that_cannot_stand_in_a_certificate(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="should be letters, digits and hyphens"):
        issue(folder, name)
