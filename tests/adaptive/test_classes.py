"""Query classes sort queries by tags, rules, clusters or a function, and say where a query belongs nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttc.adaptive.classes import (
    DEFAULT,
    ClassOf,
    ClusterClasses,
    FunctionClasses,
    RuleClasses,
    TagClasses,
    classes_from_json,
    classes_from_toml,
    read_classes,
)
from ttc.errors import ConfigurationError
from ttc.types import Query

RULES = """
[[class]]
name = "code"
matches = "def |class "

[[class]]
name = "long sums"
tag.family = "sums"
longer_than = 4

[[class]]
name = "sums"
tag.family = "sums"
"""


def query(prompt: str = "What is 2 + 2?", **tags: str) -> Query:
    return Query.of(prompt, tags=tags)


# -- tags ----------------------------------------------------------------------------------------------------------


def test_values_of_tags_are_joined():
    assert TagClasses(tags=("family", "level")).of(query(level="easy", family="sums", x="y")) == "sums/easy"


def test_without_names_all_tags_count_in_the_order_of_their_names():
    assert TagClasses().of(query(level="easy", family="sums")) == "sums/easy"


@pytest.mark.parametrize(
    ("classes", "why"), [(TagClasses(tags=("family",)), "it has no tag 'family'"), (TagClasses(), "it has no tags")]
)
def test_a_query_without_the_tag_is_of_the_default_class_and_it_says_why(classes: TagClasses, why: str):
    assert classes.look_up(query()) == ClassOf(DEFAULT, False, why)


def test_a_class_without_data_falls_back_and_says_so():
    classes = TagClasses(tags=("family",)).knowing(["sums"])
    assert classes.look_up(query(family="sums")) == ClassOf("sums")
    assert classes.look_up(query(family="prose")) == ClassOf(DEFAULT, False, "class 'prose' was not seen in tuning")


# -- a function ----------------------------------------------------------------------------------------------------


def test_a_function_names_the_class():
    classes = FunctionClasses.using(lambda q: "short" if len(q.prompt) < 20 else "")
    assert classes.of(query()) == "short"
    assert classes.look_up(query("x" * 30)).known is False


def test_a_function_goes_into_no_file():
    def by_length(q: Query) -> str:
        return str(len(q.prompt))

    classes = FunctionClasses.using(by_length)
    with pytest.raises(ConfigurationError, match="by_length"):
        classes.to_toml()
    again = classes_from_json(classes.to_json())
    with pytest.raises(ConfigurationError, match=r"'by_length', which no file holds.*FunctionClasses.using"):
        again.of(query())


# -- rules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (query("def f(): pass", family="sums"), "code"),
        (query("add one and two and three", family="sums"), "long sums"),
        (query("add one and two", family="sums"), "sums"),
        (query("add one and two"), DEFAULT),
    ],
)
def test_the_first_rule_that_fits_decides(asked: Query, name: str):
    assert classes_from_toml(RULES).of(asked) == name


def test_lengths_may_be_counted_in_characters():
    classes = classes_from_toml('[[class]]\nname = "short"\nshorter_than = 5\nunit = "characters"\n')
    assert [classes.of(query(text)) for text in ("1234", "12345")] == ["short", DEFAULT]


def test_where_no_rule_fits_it_says_so():
    assert classes_from_toml(RULES).look_up(query()) == ClassOf(DEFAULT, False, "no rule fits it")


def test_a_rule_without_conditions_takes_all_that_is_left():
    classes = classes_from_toml(RULES + '\n[[class]]\nname = "rest"\n')
    assert classes.look_up(query()) == ClassOf("rest")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[class]]\nname = "a"\n\n[[class]]\nmatches = "x"\n', r"rules\.toml, line 4: class 2: name: Field required"),
        (
            '[[class]]\nname = "a"\nmatches = "("\n',
            r"rules\.toml, line 1: class 1: matches: the pattern cannot be read",
        ),
        (
            '[[class]]\nname = "a"\nlonger = 3\n',
            r"class 1: unknown field 'longer'\. Did you mean 'longer_than'\? Known: name, matches, tag, longer_than",
        ),
        ('[[class]]\nnam = "a"\n', r"class 1: unknown field 'nam'\. Did you mean 'name'\?"),
        ('[[class]]\nname = "a"\nfits = 3\n', r"class 1: unknown field 'fits'\. Known: name,"),
        ('[[class]]\nname = "a"\nlonger_than = -1\n', r"class 1: longer_than: .*greater than or equal to 0"),
        ('[[class]]\nname = "a"\ntag.family = 3\n', r"class 1: tag\.family: .*valid string"),
        ("[[class]\n", r"rules\.toml is not TOML: .*line 1"),
        ("tags = 3\n", r"rules\.toml: tags: "),
        ("", r"rules\.toml: give rules .* or tags"),
        ("class = []\n", r"rules\.toml: rules: .*at least 1"),
        ("clusters = 3\n", r"rules\.toml: unknown setting 'clusters'. Known: class, tags, known"),
    ],
)
def test_a_malformed_file_names_itself_the_entry_and_the_field(tmp_path: Path, text: str, message: str):
    file = tmp_path / "rules.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_classes(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read: No such file"):
        read_classes(tmp_path / "none.toml")


# -- clusters ------------------------------------------------------------------------------------------------------

PROMPTS = (
    [f"Compute the sum of the numbers {i} and {i + 1} please" for i in range(10)]
    + [f"Write a python function called step{chr(97 + i)} that returns a list" for i in range(10)]
    + [f"Translate the french sentence into german, variant {i}" for i in range(10)]
)


def test_clusters_find_the_kinds_of_prompts_and_are_named_by_their_words():
    classes = ClusterClasses.learn(PROMPTS)
    found = [classes.of(query(p)) for p in PROMPTS]
    assert len(classes.names) == 3
    assert [len(set(found[i : i + 10])) for i in (0, 10, 20)] == [1, 1, 1]
    assert len(set(found)) == 3
    assert any(word in found[10] for word in ("python", "function", "list", "returns"))


def test_new_prompts_go_to_the_nearest_cluster_and_strange_ones_nowhere():
    classes = ClusterClasses.learn(PROMPTS)
    assert classes.of(query("a python function that returns pi")) == classes.of(query(PROMPTS[10]))
    assert classes.look_up(query("qwertz")) == ClassOf(
        DEFAULT, False, "its prompt has no word in common with the recorded ones"
    )


def test_clusters_are_the_same_for_the_same_seed():
    assert ClusterClasses.learn(PROMPTS, seed=3) == ClusterClasses.learn(PROMPTS, seed=3)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [(PROMPTS[:9], r"9 prompts, and it takes 10: 2 clusters of 5"), (["alike"] * 20, r"share no words .* use tags")],
)
def test_prompts_that_cannot_be_clustered_are_refused(prompts: list[str], message: str):
    with pytest.raises(ConfigurationError, match=message):
        ClusterClasses.learn(prompts)


def test_clusters_are_no_toml():
    with pytest.raises(ConfigurationError, match="keep them as JSON"):
        ClusterClasses.learn(PROMPTS).to_toml()


# -- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "classes",
    [
        TagClasses(tags=("family",)),
        TagClasses().knowing(["b", "a"]),
        classes_from_toml(RULES),
        ClusterClasses.learn(PROMPTS),
    ],
    ids=["tags", "known", "rules", "clusters"],
)
def test_classes_go_into_json_and_back(classes: TagClasses | RuleClasses | ClusterClasses):
    assert classes_from_json(classes.to_json()) == classes


@pytest.mark.parametrize(
    "classes",
    [
        TagClasses(tags=("family", "level")),
        TagClasses().knowing(["b", 'quote " and \\']),
        classes_from_toml(RULES),
        classes_from_toml('known = ["code"]\n' + RULES),
        classes_from_toml('[[class]]\nname = "a b"\nmatches = "\\\\d+\\n\\u007f"\ntag."x y" = "ü"\nshorter_than = 3\n'),
    ],
)
def test_classes_go_into_toml_and_back(classes: TagClasses | RuleClasses):
    assert classes_from_toml(classes.to_toml()) == classes


def test_json_of_something_else_is_refused():
    with pytest.raises(ConfigurationError, match=r"classes\.json: .*kind"):
        classes_from_json('{"kind": "guess"}', where="classes.json")
