import pytest
import yaml

from dopsd.support import markdown


@pytest.mark.parametrize(
    "plain", ["my corgi", "concept_fidelity", "Tongyi-MAI/Z-Image-Turbo", "1e-05", "柯基", "R&B", "a (b), c; d: 1."]
)
def test_plain_names_stay_as_they_are(plain):
    assert markdown.text(plain) == plain


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a | b", r"a \| b"),
        ("*a* _b_ `c` ~d~", r"\*a\* \_b\_ \`c\` \~d\~"),
        ("[x](javascript:1)", r"\[x\](javascript:1)"),
        ("<script>&lt;", "&lt;script&gt;&amp;lt;"),
        ("one\n\n# two\r\nthree", "one # two three"),
        ("$x$", r"\$x\$"),
        ("a\x1b\u202e", r"a\\x1b\\u202e"),
    ],
)
def test_marks_are_shown_and_not_read(name, shown):
    assert markdown.text(name) == shown


@pytest.mark.parametrize(
    ("name", "shown"), [("a.b", "`a.b`"), ("a`b", "``a`b``"), ("`", "`` ` ``"), ("a|b\nc", r"`a\|b c`")]
)
def test_code_ends_where_it_should(name, shown):
    assert markdown.code(name) == shown


@pytest.mark.parametrize(
    "value",
    [
        "apache-2.0",
        "no",
        "null",
        "1.0",
        "a: b",
        "# a",
        "[V]",
        "x\ny: z",
        "柯基",
        "😀",
        "\u2028",
        "- a",
        "",
        "'\"",
        "a #b",
    ],
)
def test_a_text_of_front_matter_comes_back_as_it_was(value):
    assert yaml.safe_load(f"license: {markdown.scalar(value)}\nnext: 1") == {"license": value, "next": 1}
    assert markdown.scalar("apache-2.0") == "apache-2.0"
