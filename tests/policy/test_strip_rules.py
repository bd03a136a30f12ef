"""mime_strip and mime_allow: what is cut out of a message that passes, and what is said of it."""

import pytest

from tests.policy.conftest import Weigh

MIXED = 'Content-Type: multipart/mixed; boundary="b"\n'
TEXT = b"\r\n--b\r\n\r\ntext\r\n"
PICTURE = b'--b\r\nContent-Type: image/png; name="a.png"\r\n\r\npicture\r\n'
END = b"--b--\r\n"


def left(weigh: Weigh, rules: str, body: bytes, header: str = MIXED) -> tuple[bytes, list[str]]:
    """The body without what is cut out, and what is said of it."""
    verdict = weigh(rules, header, body=body)
    assert verdict.action == "accept", verdict.text
    for start, end in reversed(verdict.cuts):
        body = body[:start] + body[end:]
    return body, [f"{finding.check}: {finding.reason} ({finding.score})" for finding in verdict.findings]


def test_a_part_is_cut_out(weigh: Weigh) -> None:
    body, words = left(weigh, 'mime_strip="image/*"', TEXT + PICTURE + END)
    assert body == TEXT + END
    assert words == ['MIME_STRIP: cut out: image/png "a.png" (0)']


def test_nothing_to_cut_out(weigh: Weigh) -> None:
    assert left(weigh, 'mime_strip="video/*"', TEXT + PICTURE + END) == (TEXT + PICTURE + END, [])


def test_mime_allow_cancels_mime_strip(weigh: Weigh) -> None:
    body, words = left(weigh, 'mime_strip="text/*"\nmime_allow="text/plain"', TEXT + PICTURE + END)
    assert body == TEXT + END
    assert words == ['MIME_ALLOW: cut out: image/png "a.png" (0)']


@pytest.mark.parametrize("rules", ['mime_strip="*/*"', 'mime_allow="video/*"'])
def test_without_a_part_left_the_message_is_refused(weigh: Weigh, rules: str) -> None:
    verdict = weigh(rules, MIXED, body=TEXT + PICTURE + END)
    assert (verdict.action, verdict.reply_code, verdict.cuts) == ("reject", 554, [])
    assert verdict.text.startswith("MessageWall: MIME_") and "no part may stay" in verdict.text


def test_a_message_of_one_part(weigh: Weigh) -> None:
    assert weigh('mime_strip="text/html"', "Content-Type: text/html\n", body=b"\r\nx").action == "reject"
    assert weigh('mime_allow="text/plain"', "", body=b"\r\nx").action == "accept"


def test_a_multipart_that_becomes_empty_goes(weigh: Weigh) -> None:
    inner = b"--b\r\nContent-Type: multipart/related; boundary=i\r\n\r\n"
    inner += b"--i\r\nContent-Type: image/gif\r\n\r\nx\r\n--i--\r\n"
    body, words = left(weigh, 'mime_strip="image/*"', TEXT + inner + END)
    assert body == TEXT + END
    assert words == ["MIME_STRIP: cut out: image/gif (0)"]


def test_an_attached_message(weigh: Weigh) -> None:
    attached = b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\nContent-Type: image/gif\r\n\r\nx\r\n"
    assert left(weigh, 'mime_strip="image/*"', TEXT + attached + END)[0] == TEXT + END
    assert left(weigh, 'mime_allow="text/*"\nmime_allow="image/*"', TEXT + attached + END)[0] == TEXT + END
    kept = left(weigh, 'mime_allow="text/*"\nmime_allow="image/*"\nmime_allow="message/*"', TEXT + attached + END)
    assert kept[0] == TEXT + attached + END


def test_where_readers_differ_the_whole_goes(weigh: Weigh) -> None:
    """Two boundaries: whichever a reader takes, the picture must not be there."""
    inner = (
        b"--b\r\nContent-Type: multipart/mixed; boundary=i; boundary=j\r\n\r\n"
        b"--i\r\n\r\ntext\r\n--j\r\nContent-Type: image/gif\r\n\r\nx\r\n--j--\r\n--i--\r\n"
    )
    assert left(weigh, 'mime_strip="image/*"', TEXT + inner + END)[0] == TEXT + END


def test_an_encoded_message_goes_whole(weigh: Weigh) -> None:
    attached = (
        b"--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        b"Q29udGVudC1UeXBlOiBpbWFnZS9naWYNCg0KeA==\r\n"
    )
    assert left(weigh, 'mime_strip="image/*"', TEXT + attached + END)[0] == TEXT + END


def test_a_signature_that_no_longer_holds_is_told(weigh: Weigh) -> None:
    header = 'Content-Type: multipart/signed; boundary="b"\n'
    signature = b"--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n"
    words = left(weigh, 'mime_strip="application/*"', TEXT + signature + END, header)[1]
    assert words[-1] == "MIME_SIGNATURE: the message was signed; the signature no longer holds (0)"


def test_observe_cuts_nothing(weigh: Weigh) -> None:
    verdict = weigh('mode="observe"\nmime_strip="image/*"', MIXED, body=TEXT + PICTURE + END)
    assert (verdict.action, verdict.cuts) == ("accept", [])
    assert [finding.reason for finding in verdict.findings] == ['would be cut out: image/png "a.png"']
    everything = weigh('mode="observe"\nmime_strip="*/*"', MIXED, body=TEXT + PICTURE + END)
    assert (everything.action, everything.observed) == ("accept", True)


def test_a_refused_message_is_not_cut(weigh: Weigh) -> None:
    verdict = weigh('mime_strip="image/*"\nbody_reject="1,text"', MIXED, body=TEXT + PICTURE + END)
    assert (verdict.action, verdict.check, verdict.cuts) == ("reject", "BODY_REJECT", [])


@pytest.mark.parametrize("evil", [PICTURE, PICTURE.removesuffix(b"\r\n"), b"--b\r\nContent-Type: image/png\r\n"])
def test_what_is_left_of_an_unclosed_multipart_ends_in_a_line_end(weigh: Weigh, evil: bytes) -> None:
    """Or the final dot would stand behind the last line, and be none."""
    body = TEXT + evil.rstrip() + b"\r\n"
    assert left(weigh, 'mime_strip="image/*"', body)[0] == TEXT
