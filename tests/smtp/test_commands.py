import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.smtp.addresses import Mailbox
from mwall.smtp.commands import (
    MAX_COMMAND_OCTETS,
    CommandError,
    MailCommand,
    Offers,
    parse_helo_name,
    parse_mail,
    parse_rcpt,
    split_command,
)
from tests.fuzz import cases

ALL = Offers(10_000, True, True)
NONE = Offers(10_000, False, False)
USER = Mailbox("user", "example.org")


def earned(error: pytest.ExceptionInfo[CommandError]) -> str:
    return f"{error.value.reply_code} {error.value.enhanced_status_code}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"NOOP\r\n", (b"NOOP", b"")),
        (b"noop  \r\n", (b"NOOP", b"")),
        (b"Mail   FROM:<a@b> \r\n", (b"MAIL", b"FROM:<a@b>")),
        (b"\r\n", (b"", b"")),
        (b" NOOP\r\n", (b"", b"NOOP")),
        (b"EHLO \xff\r\n", (b"EHLO", b"\xff")),
        (b"NOOP " + b"x" * (MAX_COMMAND_OCTETS - 7) + b"\r\n", (b"NOOP", b"x" * (MAX_COMMAND_OCTETS - 7))),
        (b"MAIL " + b"x" * (MAX_COMMAND_OCTETS + 53 - 7) + b"\r\n", (b"MAIL", b"x" * (MAX_COMMAND_OCTETS + 46))),
    ],
    ids=range(8),
)
def test_split(line: bytes, expected: tuple[bytes, bytes]) -> None:
    assert split_command(line) == expected


@pytest.mark.parametrize(
    "line", [b"NOOP\n", b"\n", b"NO\rOP\r\n", b"NOOP\r\r\n", b"NO\0OP\r\n", b"\0\r\n", b"NOOP\0\n"]
)
def test_bare_newlines_and_nul_are_501(line: bytes) -> None:
    with pytest.raises(CommandError) as error:
        split_command(line)
    assert error.value.reply_code == 501


@pytest.mark.parametrize(
    "line", [b"NOOP " + b"x" * 506 + b"\r\n", b"MAIL " + b"x" * 559 + b"\r\n", b"x" * 511 + b"\r\n"]
)
def test_long_lines_are_500(line: bytes) -> None:
    with pytest.raises(CommandError) as error:
        split_command(line)
    assert earned(error) == "500 5.5.2"


@pytest.mark.parametrize("name", ["mail.example.org", "[192.0.2.1]", "localhost", "my computer", "_x_", "a", "(none)"])
def test_helo_name_taken(name: str) -> None:
    assert parse_helo_name(name.encode()) == name


@pytest.mark.parametrize("argument", [b"", b"\t", b"a\x1bb", b"caf\xc3\xa9", b"a\x7f", b"\xff"])
def test_helo_name_refused(argument: bytes) -> None:
    with pytest.raises(CommandError) as error:
        parse_helo_name(argument)
    assert earned(error) == "501 5.5.4"


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("FROM:<user@example.org>", MailCommand(USER, None, False, False)),
        ("from: <user@example.org>", MailCommand(USER, None, False, False)),
        ("FROM:<>", MailCommand(None, None, False, False)),
        ("FROM:<> SIZE=0", MailCommand(None, 0, False, False)),
        ("FROM:<user@example.org>  size=123  body=8bitmime", MailCommand(USER, 123, True, False)),
        ("FROM:<user@example.org> BODY=7BIT SMTPUTF8", MailCommand(USER, None, False, True)),
        ("FROM:<\u00fc@example.org> SMTPUTF8", MailCommand(Mailbox("\u00fc", "example.org"), None, False, True)),
        ("FROM:<@a,@b:user@example.org> SIZE=99999999999999999999", MailCommand(USER, 10**20 - 1, False, False)),
    ],
)
def test_mail_taken(argument: str, expected: MailCommand) -> None:
    assert parse_mail(argument.encode(), ALL) == expected


@pytest.mark.parametrize(
    ("argument", "offers", "reply"),
    [
        ("", ALL, "501 5.5.4"),
        ("<user@example.org>", ALL, "501 5.5.4"),
        ("TO:<user@example.org>", ALL, "501 5.5.4"),
        ("FROM:user@example.org", ALL, "501 5.1.7"),
        ("FROM:<user>", ALL, "501 5.1.7"),
        ("FROM:<postmaster>", ALL, "501 5.1.7"),
        ("FROM:<user@example.org>SIZE=1", ALL, "501 5.5.4"),
        ("FROM:<user@example.org>\tSIZE=1", ALL, "501 5.5.4"),
        ("FROM:<user@example.org> SIZE", ALL, "501 5.5.4"),
        ("FROM:<user@example.org> SIZE=", ALL, "501 5.5.4"),
        ("FROM:<user@example.org> SIZE=-1", ALL, "501 5.5.4"),
        ("FROM:<user@example.org> SIZE=1k", ALL, "501 5.5.4"),
        ("FROM:<user@example.org> SIZE=100000000000000000000", ALL, "501 5.5.4"),
        ("FROM:<user@example.org> SIZE=1 SIZE=1", ALL, "501 5.5.4"),
        ("FROM:<user@example.org> SIZE=1\x0bBODY=7BIT", ALL, "501 5.5.4"),
        ("FROM:<user@example.org> BODY", ALL, "501 5.5.4"),
        ("FROM:<user@example.org> BODY=BINARYMIME", ALL, "501 5.5.4"),
        ("FROM:<user@example.org> SMTPUTF8=yes", ALL, "501 5.5.4"),
        ("FROM:<user@example.org> BODY=8BITMIME", NONE, "555 5.5.4"),
        ("FROM:<user@example.org> SMTPUTF8", NONE, "555 5.5.4"),
        ("FROM:<user@example.org> AUTH=<>", ALL, "555 5.5.4"),
        ("FROM:<user@example.org> RET=HDRS", ALL, "555 5.5.4"),
        ("FROM:<user@example.org> SMTPUTF8 \u017fIZE=5", ALL, "555 5.5.4"),
        ("FROM:<user@example.org> SMTPUTF8\u2003SIZE=5", ALL, "555 5.5.4"),
        ("FROM:<\u00fc@example.org>", ALL, "553 5.6.7"),
        ("FROM:<\u00fc@example.org>", NONE, "553 5.6.7"),
    ],
)
def test_mail_refused(argument: str, offers: Offers, reply: str) -> None:
    with pytest.raises(CommandError) as error:
        parse_mail(argument.encode(), offers)
    assert earned(error) == reply


@pytest.mark.parametrize(
    ("argument", "mailbox"),
    [
        ("TO:<user@example.org>", USER),
        ("to:  <user@EXAMPLE.org>", USER),
        ("TO:<@relay.example:user@example.org>", USER),
        ("TO:<Postmaster>", Mailbox("Postmaster", "")),
        ("TO:<user@[192.0.2.1]>", Mailbox("user", "[192.0.2.1]")),
    ],
)
def test_rcpt_taken(argument: str, mailbox: Mailbox) -> None:
    assert parse_rcpt(argument.encode(), False) == mailbox


@pytest.mark.parametrize(
    ("argument", "smtputf8", "reply"),
    [
        (b"", False, "501 5.5.4"),
        (b"TO <user@example.org>", False, "501 5.5.4"),
        (b"TO:<>", False, "501 5.1.3"),
        (b"TO:<user>", False, "501 5.1.3"),
        (b"TO:<user@example.org> NOTIFY=NEVER", False, "555 5.5.4"),
        (b"TO:<user@example.org> x", True, "555 5.5.4"),
        ("TO:<\u00fc@example.org>".encode(), False, "553 5.6.7"),
        (b"TO:<\xfc@example.org>", False, "553 5.6.7"),
        (b"TO:<\xfc@example.org>", True, "553 5.6.7"),
        (b"TO:<\xed\xa0\x80@example.org>", True, "553 5.6.7"),
    ],
)
def test_rcpt_refused(argument: bytes, smtputf8: bool, reply: str) -> None:
    with pytest.raises(CommandError) as error:
        parse_rcpt(argument, smtputf8)
    assert earned(error) == reply


_texts = st.one_of(
    st.binary(max_size=60), st.text(st.sampled_from('<>@:." =SIZEBODYUTF8\\\u00fc\u017f\u212a')).map(str.encode)
)


@cases(300)
@given(_texts, st.sampled_from([ALL, NONE]), st.booleans())
def test_no_other_exception(text: bytes, offers: Offers, smtputf8: bool) -> None:
    for attempt in (
        lambda: parse_mail(b"FROM:<" + text, offers),
        lambda: parse_mail(b"FROM:<a@b> " + text, offers),
        lambda: parse_rcpt(b"TO:<" + text, smtputf8),
        lambda: parse_helo_name(text),
        lambda: split_command(text + b"\r\n"),
    ):
        try:
            attempt()
        except CommandError as error:
            assert str(error).isascii() and str(error).isprintable()
            assert str(error.reply_code)[0] == error.enhanced_status_code[0] == "5"
