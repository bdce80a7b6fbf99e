"""The LMK file: who may read it, what it refuses, and that it comes back."""

import copy
import json
import os
import pickle

import pytest

from shanfu.errors import ConfigError, DecodeError, IntegrityError, KeyUseError
from shanfu.hsm import LMK, create_lmk, load_lmk

PASSPHRASE = "correct horse"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "issuer.lmk"


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE, "口令"])
def test_it_comes_back(path, passphrase):
    made = create_lmk(path, passphrase=passphrase)
    assert load_lmk(path, passphrase=passphrase).key == made.key
    assert path.stat().st_mode & 0o777 == 0o600
    assert (made.key.hex() in path.read_text()) == (passphrase is None)


def test_a_loose_umask_changes_nothing(path):
    before = os.umask(0)
    try:
        create_lmk(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_is_never_overwritten(path):
    made = create_lmk(path)
    with pytest.raises(ConfigError, match="exists"):
        create_lmk(path)
    assert load_lmk(path).key == made.key


def test_a_ceremony_gives_the_same_key_whoever_comes_first(path):
    parts = [os.urandom(32) for _ in range(3)]
    made = create_lmk(path, lmk=LMK.form(parts))
    assert load_lmk(path).key == made.key == LMK.form(parts[::-1]).key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601, 0o610])
def test_a_file_that_others_may_open_is_refused(path, mode):
    create_lmk(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"{mode:04o}.*chmod 600"):
        load_lmk(path)


def changed(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


# what is changed in the file, and what that is called
DAMAGE = [
    ({"key": "00" * 32}, IntegrityError),
    ({"check": "0000000000"}, IntegrityError),
    ({"check": ""}, IntegrityError),
    ({"key": "00" * 31}, ConfigError),
    ({"key": "zz"}, ConfigError),
    ({"key": None}, ConfigError),
    ({"format": 2}, ConfigError),
    ({"protection": "none"}, ConfigError),
    ({"protection": "scrypt"}, ConfigError),
]


@pytest.mark.parametrize(("fields", "error"), DAMAGE)
def test_a_changed_file_is_refused(path, fields, error):
    create_lmk(path)
    changed(path, **fields)
    with pytest.raises(error):
        load_lmk(path)


SEALED_DAMAGE = [
    ({"nonce": "00" * 12}, IntegrityError),
    ({"nonce": ""}, IntegrityError),
    ({"salt": "00" * 16}, IntegrityError),
    ({"key": "00" * 48}, IntegrityError),
    ({"scrypt": {"n": 1 << 30, "r": 8, "p": 1}}, ConfigError),
    ({"scrypt": {"n": 1 << 15, "r": 1024, "p": 1}}, ConfigError),
    ({"scrypt": {"n": 3, "r": 8, "p": 1}}, ConfigError),
    ({"scrypt": 3}, ConfigError),
]


@pytest.mark.parametrize(("fields", "error"), SEALED_DAMAGE)
def test_a_changed_sealed_file_is_refused(path, fields, error):
    create_lmk(path, passphrase=PASSPHRASE)
    changed(path, **fields)
    with pytest.raises(error):
        load_lmk(path, passphrase=PASSPHRASE)


@pytest.mark.parametrize(
    ("passphrase", "error"), [("correct horsE", IntegrityError), ("", IntegrityError), (None, ConfigError)]
)
def test_a_wrong_passphrase_is_refused(path, passphrase, error):
    create_lmk(path, passphrase=PASSPHRASE)
    with pytest.raises(error) as caught:
        load_lmk(path, passphrase=passphrase)
    assert PASSPHRASE not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "3", '"x"', "\x00\xff", "{" * 5000])
def test_another_file_is_refused(path, text):
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not an LMK file"):
        load_lmk(path)


def test_a_missing_file_or_folder_and_a_link_are_refused(path, tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_lmk(path)
    with pytest.raises(ConfigError, match="cannot be written"):
        create_lmk(tmp_path / "none" / "x.lmk")
    create_lmk(path)
    link = tmp_path / "link.lmk"
    link.symlink_to(path)
    with pytest.raises(ConfigError):
        load_lmk(link)


def test_it_shows_its_check_value_only():
    lmk = LMK.generate()
    shown = f"{lmk!r} {lmk}"
    assert lmk.key.hex()[:8] not in shown.lower()
    assert lmk.check.hex().upper() in shown
    for spread in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            spread(lmk)


def test_it_has_32_bytes():
    for size in (0, 16, 31, 33):
        with pytest.raises(KeyUseError):
            LMK(bytes(size))
    with pytest.raises(DecodeError):
        LMK.form([bytes(32)])
