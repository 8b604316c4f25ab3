"""YAML's traps: each is a problem with a place, found quickly and with little memory."""

import io

import pytest

from deploy_guard.policy.load import MAX_BYTES, inspect
from deploy_guard.policy.source import Source
from deploy_guard.policy.yaml import MAX_DEPTH, MAX_NODES, parse, plain

from .good import GOOD, Read

# defect: (text, code, line, column, part of message or help)
TRAPS: dict[str, tuple[str | bytes, str, int, int, str]] = {
    "empty": ("", "empty", 1, 1, "no policy"),
    "only-comments": ("# nothing\n\n# here\n", "empty", 1, 1, "version: 1"),
    "only-null": ("~\n", "empty", 1, 1, "no policy"),
    "a-list": ("- version: 1\n", "bad-type", 1, 1, "a policy is a mapping"),
    "a-text": ("hello\n", "bad-type", 1, 1, "a policy is a mapping"),
    "two-documents": ("version: 1\n---\nversion: 1\n", "several-documents", 2, 1, "own file"),
    "tab": ("watch:\n\tfor: 10m\n", "tab", 2, 1, "a tab cannot indent"),
    "nul": ("version: 1\nname: a\0b\n", "binary", 2, 8, "U+0000"),
    "control-character": ("version: 1\nname: \x1b[31m\n", "binary", 2, 7, "U+001B"),
    "not-utf-8": (b"version: 1\nname: caf\xe9\n", "binary", 2, 10, "0xe9"),
    "utf-16": ("version: 1".encode("utf-16"), "binary", 1, 1, "UTF-8"),
    "gzip": (b"\x1f\x8b\x08\x00\x00", "binary", 1, 2, "UTF-8"),
    "character-that-yaml-forbids": ("name: \uffff\n", "binary", 1, 7, "does not allow"),
    "tag": ("version: !number 1\n", "tag", 1, 10, "!number"),
    "python-tag": ("name: !!python/name:os.system x\n", "tag", 1, 7, "python"),
    "unknown-alias": ("version: *one\n", "unknown-anchor", 1, 10, "'one'"),
    "cyclic-list": ("signals: &all\n  - *all\n", "cyclic-anchor", 2, 5, "contains itself"),
    "cyclic-merge": ("watch: &w\n  <<: *w\n", "cyclic-anchor", 2, 7, "contains itself"),
    "merge-of-a-text": ("watch:\n  <<: word\n", "merge-key", 2, 3, "takes a mapping"),
    "unclosed-bracket": ("signals: [1, 2\n", "yaml-syntax", 1, 10, "bracket is not closed"),
    "unclosed-quote": ("version: 1\nname: 'shop\n", "yaml-syntax", 2, 7, "quote is not closed"),
    "colon-in-a-text": ("name: a: b\n", "yaml-syntax", 1, 8, "in quotes"),
    "text-that-begins-with-a-percent": ("name: %a\n", "yaml-syntax", 1, 7, "cannot begin with %"),
    "text-that-begins-with-an-at": ("name: @a\n", "yaml-syntax", 1, 7, "in quotes"),
    "key-out-of-line": ("watch:\n  for: 1m\n interval: 1s\n", "yaml-syntax", 3, 2, "indentation"),
    "unquoted-variable": ("name: {{ name }}\n", "key", 1, 8, "must stand in quotes"),
    "future-yaml": ("%YAML 3.0\n---\nversion: 1\n", "yaml-syntax", 1, 1, "not YAML"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_a_problem_at_its_place(trap: str, read: Read) -> None:
    """Each trap is told as the first problem, with code, line and column."""
    text, code, line, column, words = TRAPS[trap]
    loaded = read(text)
    first = next(p for p in loaded.problems if p.code == code)
    assert (first.line, first.column) == (line, column), first
    assert words in first.message + first.help
    assert loaded.policy is None


def test_laughs_stop_at_the_node_limit() -> None:
    """Aliases that multiply are refused at the first that passes the limit, before any is built."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    root, problems = parse(Source("laughs.yaml", "\n".join(lines)))
    assert root is None
    assert [(p.code, p.line) for p in problems] == [("too-large", 5)]
    assert str(MAX_NODES) in problems[0].message


def test_too_many_plain_values_stop_at_the_node_limit() -> None:
    """A long list without any alias meets the same limit."""
    root, problems = parse(Source("long.yaml", "signals:\n" + "- a\n" * (MAX_NODES + 10)))
    assert root is None
    assert [(p.code, p.line) for p in problems] == [("too-large", MAX_NODES - 1)]


@pytest.mark.parametrize("opening", ["[", "{a: "])
def test_deep_nesting_stops_at_the_depth_limit(opening: str) -> None:
    """Brackets without end are refused at the depth limit, not by the end of the stack."""
    root, problems = parse(Source("deep.yaml", opening * 20_000))
    assert root is None
    assert [p.code for p in problems] == ["too-deep"]
    assert problems[0].column == MAX_DEPTH * len(opening) + 1


def test_aliases_cannot_nest_deeper_than_brackets() -> None:
    """Depth counts through aliases: a chain of anchors is as deep as what it stands for."""
    half = MAX_DEPTH // 2
    lines = ["a: &a " + "[" * half + "]" * half, "b: " + "[" * half + "*a" + "]" * half]
    root, problems = parse(Source("chain.yaml", "\n".join(lines)))
    assert root is None
    assert [(p.code, p.line) for p in problems] == [("too-deep", 2)]


class _Endless(io.RawIOBase):
    """A stream without end that counts what was read of it."""

    taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        buffer[:] = b"x" * len(buffer)
        self.taken += len(buffer)
        return len(buffer)


def test_an_endless_file_is_read_no_further_than_the_limit() -> None:
    """A file larger than 1 MiB is refused without being read whole."""
    endless = _Endless()
    with io.BufferedReader(endless) as stream:
        loaded = inspect(["-"], stdin=stream)
    assert [p.code for p in loaded.problems] == ["too-large"]
    assert endless.taken < MAX_BYTES * 2


def test_a_file_of_ten_megabytes_is_refused(read: Read) -> None:
    """The size is a problem of the file as a whole."""
    problem = read("# " + "x" * (10 << 20)).problems[0]
    assert (problem.code, problem.line) == ("too-large", 0)


def test_scalars_stay_text() -> None:
    """None of YAML 1.1's guesses is made: the text of each scalar is kept."""
    words = ["1:30", "on", "0777", "1e3", "yes", "5%", "2023-06-01", "0x1F", "1_000", ".5"]
    root, problems = parse(Source("words.yaml", "\n".join(f"- {word}" for word in words)))
    assert root is not None and not problems
    assert plain(root) == words


def test_quoted_and_plain_are_the_same(read: Read) -> None:
    """Quotes around durations, percentages, numbers and truths change nothing."""
    quoted = GOOD.replace("for: 10m", "for: '10m'").replace("limit: 5%", 'limit: "5%"')
    quoted = quoted.replace("enabled: true", "enabled: 'true'").replace(
        "failures: 3", "failures: '3'"
    )
    assert read(quoted).policy == read(GOOD).policy


def test_anchors_and_merge_keys_may_be_used(read: Read) -> None:
    """Anchors, also under x- keys, and merge keys with own keys first give the plain policy."""
    short = GOOD.replace(
        "watch:\n  for: 10m\n  interval: 15s\n",
        "x-times: &times {for: 99m, interval: 15s}\nwatch:\n  <<: *times\n  for: 10m\n",
    )
    assert short != GOOD
    assert read(short).policy == read(GOOD).policy


def test_a_problem_in_an_anchor_is_told_once(read: Read) -> None:
    """An anchor's mistake is one mistake however often it is used."""
    text = GOOD.replace("limit: 5%", "limit: 5%\n    compare: &c {ratio: 1}")
    text = text.replace("    compare: {ratio: 2, difference: 1%}", "    compare: *c")
    assert [(p.code, p.line) for p in read(text).problems] == [("bad-value", 26)]


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_lines_of_other_systems_count_the_same(end: str, read: Read) -> None:
    """Windows' and old Macs' line ends do not move a problem."""
    text = GOOD.replace("limit: 5%", "limit: 5").replace("\n", end)
    assert [(p.line, p.column, p.source) for p in read(text).problems] == [(25, 12, "    limit: 5")]


def test_a_byte_order_mark_is_no_character(read: Read) -> None:
    """A UTF-8 file may begin with a byte order mark; columns do not count it."""
    loaded = read(b"\xef\xbb\xbfverion: 1\n")
    assert (loaded.problems[0].line, loaded.problems[0].column) == (1, 1)
    assert read(b"\xef\xbb\xbf" + GOOD.encode()).policy is not None


def test_columns_count_characters(read: Read) -> None:
    """Umlauts and emoji before a problem are one column each."""
    text = GOOD.replace("value: max(queue_depth)", 'value: x{a="äöü𝄞"} + {{ nme }}')
    problem = next(p for p in read(text).problems if p.code == "template")
    assert problem.column == text.splitlines()[problem.line - 1].index("nme") + 1


@pytest.mark.parametrize(
    ("text", "place", "message", "help"),
    [
        ("version:1\nname: a\n", (1, 8), "a blank is missing after :", "write version: "),
        ("version: 1\nwatch:\n  for:10m\n  interval: 1s\n", (3, 6), "missing after :", "for: "),
        ("signals:\n  -name: a\n   provider: pods\n", (2, 3), "missing after -", "- name:"),
        ("a:\n  for: 1m\n\u00a0\u00a0b: 1s\n  c: 1\n", (3, 1), "this is no blank", ""),
        ('name: "a "b" c"\n', (1, 11), "goes on after its quote", "in single quotes"),
        ("a: 1\n b: 2\n", (2, 3), "a key is not expected here", "check the indentation"),
        ("a: b: c\n", (1, 5), "a key is not expected here", "in quotes"),
        ("a: 1\nb:\n    c: 1\n  d: 2\n", (4, 3), "expected a key or the end", "indentation"),
    ],
)
def test_a_slip_is_told_where_it_was_made(
    text: str, place: tuple[int, int], message: str, help: str
) -> None:
    """A blank that is missing is not blamed on the next line, where the parser notices it."""
    (problem,) = parse(Source("a.yaml", text))[1]
    assert (problem.line, problem.column) == place
    assert message in problem.message and help in problem.help
