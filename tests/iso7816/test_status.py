import pytest

from shanfu.iso7816 import (
    Family,
    StatusWord,
    bytes_waiting,
    family,
    is_success,
    phrase,
    right_le,
    status,
    tries_left,
)

NORMAL, WARNING, EXECUTION, CHECKING = Family.NORMAL, Family.WARNING, Family.EXECUTION, Family.CHECKING


@pytest.mark.parametrize(
    ("sw", "group", "success", "en", "zh"),
    [
        (0x9000, NORMAL, True, "done", "成功"),
        (0x6117, NORMAL, True, "23 bytes waiting", "还有23字节待取"),
        (0x6283, WARNING, False, "selected file or application is blocked", "所选文件或应用已锁定"),
        (0x63C0, WARNING, False, "0 tries left", "还可尝试0次"),
        (0x6300, WARNING, False, "authentication failed", "认证失败"),
        (0x6581, EXECUTION, False, "memory failure", "存储器故障"),
        (0x6985, CHECKING, False, "conditions of use not satisfied", "不满足使用条件"),
        (0x69F7, CHECKING, False, "command not allowed", "命令不允许"),
        (0x6C2A, CHECKING, False, "wrong Le, 42 is right", "Le错误，应为42"),
        (0x9F0C, None, False, "status of the application's own", "应用自定义状态"),
    ],
)
def test_words(sw: int, group: Family | None, success: bool, en: str, zh: str) -> None:
    assert (family(sw), is_success(sw), phrase(sw), phrase(sw, "zh")) == (group, success, en, zh)


@pytest.mark.parametrize(
    ("sw", "waiting", "le", "tries"),
    [
        (0x6100, 256, None, None),
        (0x6117, 23, None, None),
        (0x6C00, None, 256, None),
        (0x63C3, None, None, 3),
        (0x6300, None, None, None),
        (0x9000, None, None, None),
    ],
)
def test_numbers_in_words(sw: int, waiting: int | None, le: int | None, tries: int | None) -> None:
    assert (bytes_waiting(sw), right_le(sw), tries_left(sw)) == (waiting, le, tries)


def test_the_table_agrees_with_the_families() -> None:
    for word in StatusWord:
        assert family(word) is word.family, word.name
        assert word.en
        assert word.zh
        assert status(int(word)) is word
    assert sorted(StatusWord) == list(StatusWord)
