"""The manual pages and the tables of variables say the same: names, defaults, ranges, what a reload changes.

In a page a variable is an item `.It Ic name` of a list. Its default stands in one fixed form:
"Default:" and a `.Ql` macro, "Default: words." where none or a computed one, "Required." or "Repeatable.".
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from mwall.config.grammar import Variable
from mwall.config.settings import SETTINGS
from mwall.policy.profile import PROFILE_VARIABLES

TREE = Path(__file__).parents[2]
MAN = TREE / "man"
ITEM = re.compile(r"^\.It Ic ([a-z_]+)\n(.*?)(?=^\.It |^\.El)", re.DOTALL | re.MULTILINE)
DEFAULT = re.compile(r"^(Required\.|Repeatable\.|Default: .*\.|Default:\n\.Ql (\S+) \.)$", re.MULTILINE)
RANGE = re.compile(r"^Range:\n\.Ql (\S+)\nto\n\.Ql (\S+) \.$", re.MULTILINE)
WHOLE_NUMBER = re.compile(r"[0-9]+\Z")


def items(page: str) -> list[tuple[str, str]]:
    """Name and text of each item of a page that is a variable."""
    return ITEM.findall((MAN / page).read_text())


def stated_default(text: str) -> str:
    """The one sentence on the default: the value itself, or the words."""
    (found,) = DEFAULT.finditer(text)
    return found[2] or found[1]


def table_default(variable: Variable) -> str:
    """What the page has to state."""
    if variable.repeatable:
        return "Repeatable."
    if variable.computed:
        return f"Default: {variable.computed}."
    if variable.default is None:
        return "Required."
    return variable.default or "Default: none."


PAGES: list[tuple[str, Sequence[Variable]]] = [
    ("messagewall.conf.5", SETTINGS),
    ("messagewall_profiles.5", PROFILE_VARIABLES),
]


@pytest.mark.parametrize(("page", "table"), PAGES)
def test_page_and_table_have_the_same_variables_and_defaults(page: str, table: Sequence[Variable]) -> None:
    stated = [(name, stated_default(text)) for name, text in items(page)]
    assert sorted(stated) == sorted((variable.name, table_default(variable)) for variable in table)


@pytest.mark.parametrize(("page", "table"), PAGES)
def test_each_range_is_the_parsers(page: str, table: Sequence[Variable]) -> None:
    parsers = {variable.name: variable.parse for variable in table}
    ranges = [(name, *found.groups()) for name, text in items(page) for found in RANGE.finditer(text)]
    for name, low, high in ranges:
        parsers[name](low)
        parsers[name](high)
        outside = [str(int(bound) + step) for bound, step in ((low, -1), (high, 1)) if WHOLE_NUMBER.match(bound)]
        for value in outside:
            with pytest.raises(ValueError):
                parsers[name](value)
    if table is SETTINGS:
        assert len(ranges) > 20


def test_page_says_what_a_reload_changes() -> None:
    reloads = {variable.name: variable.reload for variable in SETTINGS}
    for name, text in items("messagewall.conf.5"):
        assert ("A reload changes it." in text, "Needs a restart." in text) == (reloads[name], not reloads[name]), name


@pytest.mark.parametrize("variable", PROFILE_VARIABLES, ids=lambda variable: variable.name)
def test_each_profile_variable_has_examples_that_parse(variable: Variable) -> None:
    text = dict(items("messagewall_profiles.5"))[variable.name]
    examples = re.findall(rf'^{variable.name}="(.*)"$', text, re.MULTILINE)
    assert examples
    for example in examples:
        variable.parse(example)


def test_page_lists_the_shipped_profiles() -> None:
    listed = re.findall(r"^\.It Pa profiles/(\S+)$", (MAN / "messagewall_profiles.5").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in (TREE / "conf/profiles").iterdir())
