"""Each bad configuration of tests/badconf fails for the reasons stated in its first lines: all of them, no others."""

from pathlib import Path

import pytest

from mwall.config.grammar import ConfigurationError
from mwall.config.settings import parse_settings

FOLDER = Path(__file__).parent.parent / "badconf"
EXPECT = "# expect: "


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.conf")), ids=lambda path: path.stem)
def test_fails_for_the_stated_reason(path: Path) -> None:
    text = path.read_bytes()
    lines = text.decode("utf-8", "replace").splitlines()
    expected = [line.removeprefix(EXPECT) for line in lines if line.startswith(EXPECT)]
    assert expected, "a bad configuration says what it expects"
    with pytest.raises(ConfigurationError) as raised:
        parse_settings(
            text, "x", cores=2, host_name="mail.example.org", foreground=False, default_root="/etc/messagewall",
            nameservers="127.0.0.1",
        )
    # "x:7: name: why" and, for the file as a whole, "x: name: why"
    assert [str(fault)[2:].strip() for fault in raised.value.faults] == expected
