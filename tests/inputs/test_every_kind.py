"""What is declared of every kind of input; what it does is asked by the conformance suite."""

import pytest

from polytask.core import OptionError
from polytask.core.option import options_of
from polytask.core.registry import kind, kinds

LITERALS = {
    "number": "number",
    "category": "category 5",
    "boolean": "boolean",
    "datetime": "datetime",
    "text": "text 100",
    "image": "image 3 32 32",
    "audio": "audio 32 20",
    "vector": "vector 6",
    "pixels": "pixels 1 28 28",
    "links": "links",
    "series": "series 4 12",
    "kspace": "kspace 4 16 16",
}


def test_the_literals_name_every_kind():
    assert sorted(LITERALS) == kinds("inputs")


@pytest.mark.parametrize("name", LITERALS)
def test_a_literal_of_wrong_sizes_says_what_to_write(name):
    for sizes in [(2, 3, 4, 5), (0,)]:
        with pytest.raises(OptionError, match=f"input 'x': sizes .* do not fit kind '{name}'.*'{LITERALS[name]}'"):
            kind("inputs", name).example("x", sizes)


@pytest.mark.parametrize("name", LITERALS)
def test_options_say_where_their_default_comes_from(name):
    for option in options_of(kind("inputs", name)).values():
        assert option.paper or option.ours
