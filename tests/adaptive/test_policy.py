"""Policies: two files that people can read and change, refused with file, line and field where they are wrong."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ttc.adaptive.classes import AnyClasses, ClassRule, ClusterClasses, FunctionClasses, RuleClasses, TagClasses
from ttc.adaptive.policy import (
    Escalation,
    Estimation,
    Expected,
    Policy,
    Provenance,
    Row,
    SourcePool,
    check_for,
    hashes_of,
)
from ttc.errors import ConfigurationError
from ttc.pools import RecordedProblem
from ttc.seeds import problem_hash
from ttc.types import Query

MEASURED = Expected(accuracy=0.61, accuracy_interval=(0.52, 0.7), cost=812, cost_interval=(700, 930), problems=84)


def policy(**changed: Any) -> Policy:
    """A policy that uses every field."""
    fields: dict[str, Any] = {
        "model": "smollm2",
        "made": date(2026, 11, 28),
        "rate": 0.00012,
        "calibrated": True,
        "classes": TagClasses(tags=("family",)),
        "difficulty": Estimation(probe=4, cap=200),
        "rows": (
            Row(
                query_class="addition",
                difficulty=(0.0, 0.35),
                strategy="majority:n=16",
                stop="gain",
                thinking="512",
                budget="generated_tokens=4000",
                escalate=Escalation(below=0.6, strategy="best_of_n:n=8", model="smollm2", thinking="low"),
                expected=MEASURED,
            ),
            Row(query_class="addition", difficulty=(0.35, 1.0), strategy="", expected=MEASURED),
            Row(query_class="default", difficulty=(0.2, 1.0), strategy="knockout:n=4", verifier="self_certainty"),
            Row(query_class="default", difficulty=(0.0, 0.2), strategy="", give_up=True),
        ),
        "estimator": {"kind": "probe", "weights": [0.1, -2.5e-7]},
        "stops": {"gain": {"first": 4}},
        "confidence": {"intercept": 1.5},
        "hashes": frozenset(problem_hash(f"p{i}") for i in range(84)),
        "provenance": Provenance(
            pools=(SourcePool(name="pool", model="smollm2", digest="d", problems=84),),
            problems=84,
            folds=5,
            seeds=(0, 1),
            expected=MEASURED,
            recording={"generate": 51_000},
            earned_back=310.0,
        ),
    }
    return Policy(**{**fields, **changed})


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    policy().write(path)
    return path


def refusal(path: Path, **how: Any) -> str:
    with pytest.raises(ConfigurationError) as found:
        Policy.read(path, **how)
    return str(found.value)


def line_with(path: Path, start: str, *, number: int = 0) -> int:
    """The line, from 1, on which the given one of those that begin so stands."""
    return [n for n, line in enumerate(path.read_text().splitlines(), 1) if line.startswith(start)][number]


def changed(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


# -- files ------------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_again(written: Path) -> None:
    read = Policy.read(written)
    assert read.model_copy(update={"tuned": ""}) == policy()


def test_what_was_read_is_written_alike(written: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / "policy.toml"
    again.parent.mkdir()
    Policy.read(written).write(again)
    assert again.read_bytes() == written.read_bytes()
    assert again.with_suffix(".json").read_bytes() == written.with_suffix(".json").read_bytes()


def test_the_table_is_for_people(written: Path) -> None:
    text = written.read_text()
    assert 'class = "addition"\ndifficulty = [0.0, 0.35]\nstrategy = "majority:n=16"\nstop = "gain"\n' in text
    assert "thinking = 512\n" in text
    assert "[row.escalate]\nbelow = 0.6\n" in text
    assert "calibrated = true  " in text
    assert max(map(len, text.splitlines())) <= 120
    assert "weights" not in text


def test_the_file_beside_it_is_plain_json(written: Path) -> None:
    found = json.loads(written.with_suffix(".json").read_text())
    assert found["estimator"] == {"kind": "probe", "weights": [0.1, -2.5e-7]}
    assert found["provenance"]["folds"] == 5
    assert len(found["hashes"]) == 84
    assert sorted(p.name for p in written.parent.iterdir()) == ["policy.json", "policy.toml"]


def test_both_files_go_together_wherever_they_go(written: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("policy.toml", "policy.json"):
        (written.parent / name).rename(elsewhere / name)
    assert Policy.read(elsewhere / "policy.toml").model == "smollm2"


def test_another_file_beside_it_is_noticed(written: Path) -> None:
    beside = written.with_suffix(".json")
    beside.write_text(beside.read_text().replace("310.0", "311.0"))
    said = refusal(written)
    assert f"{written}, line {line_with(written, 'side_hash')}, side_hash: policy.json is not the file" in said


def test_a_missing_file_beside_it_is_named(written: Path) -> None:
    written.with_suffix(".json").unlink()
    assert "policy.json cannot be read: No such file" in refusal(written)


def test_a_policy_is_no_policy_without_what_it_was_tuned_on(written: Path) -> None:
    lines = written.read_text().splitlines(keepends=True)
    written.write_text("".join(line for line in lines if not line.startswith(("side", "stop"))))
    assert "calibrated: the file beside it that says what it was tuned on is missing" in refusal(written)


def test_line_ends_and_marks_of_other_systems_change_nothing(written: Path) -> None:
    before = Policy.read(written)
    for path in (written, written.with_suffix(".json")):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert Policy.read(written) == before


def test_where_it_cannot_be_written_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        policy().write(tmp_path / "policy.toml")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    with pytest.raises(ConfigurationError, match="a policy is TOML"):
        policy().write(tmp_path / "policy.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}.__iter__])
def test_what_is_no_plain_data_is_not_written(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no plain data"):
        policy(stops={"gain": {"weight": value}}).write(tmp_path / "policy.toml")
    assert list(tmp_path.iterdir()) == []


def test_a_policy_written_by_hand_needs_no_file_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'made = 2026-11-28\ncalibrated = false\n[[row]]\nclass = "default"\nstrategy = "majority:n=8"\nthinking = 256\n'
    )
    read = Policy.read(path)
    assert read.rows == (Row(query_class="default", strategy="majority:n=8", thinking="256"),)
    assert read.difficulty == Estimation(probe=4)
    assert read.label.startswith("uncalibrated")


@pytest.mark.parametrize(
    "classes",
    [
        None,
        TagClasses(),
        TagClasses(tags=("family", "level"), known=frozenset({"a/1", "b/2"})),
        RuleClasses(
            rules=(
                ClassRule(name="proofs", tag={"kind of": 'a "proof"'}, longer_than=12),
                ClassRule(name="rest", shorter_than=5, unit="characters"),
            )
        ),
        FunctionClasses(name="mine"),
    ],
    ids=["none", "tags", "known", "rules", "function"],
)
def test_how_queries_are_sorted_is_kept(classes: AnyClasses | None, tmp_path: Path) -> None:
    before = policy(classes=classes)
    before.write(tmp_path / "policy.toml")
    assert Policy.read(tmp_path / "policy.toml").classes == before.classes


def test_clusters_are_kept_beside_the_table(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="clusters are learned with scikit-learn (extra 'tune')")
    prompts = [f"add {i} to the sum of numbers" for i in range(8)] + [f"spell word {i} backwards" for i in range(8)]
    clusters = ClusterClasses.learn(prompts)
    path = tmp_path / "policy.toml"
    policy(classes=clusters).write(path)
    assert '[classes]\nkind = "clusters"\n' in path.read_text()
    assert Policy.read(path).classes == clusters


NUMBERS = st.floats(0, 1)
TEXTS = st.text(max_size=12).filter(lambda s: not any("\ud800" <= c <= "\udfff" for c in s))
BRACKET = "knockout:n=4,each=(majority:n=3,stop=beta)"
ROWS = st.builds(
    lambda **fields: Row(**fields | ({"escalate": None} if fields["strategy"] == BRACKET else {})),
    query_class=TEXTS.filter(bool),
    strategy=st.sampled_from(["majority:n=4", "best_of_n", BRACKET]),
    thinking=st.sampled_from(["", "off", "low", "17"]),
    model=TEXTS,
    budget=st.sampled_from(["", "calls=3", "seconds=0.5,generated_tokens=7"]),
    escalate=st.none()
    | st.builds(Escalation, below=st.floats(0, 1, exclude_min=True), strategy=st.just("majority"), model=TEXTS),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(ROWS, max_size=3, unique_by=lambda row: row.query_class),
    rate=st.floats(0, 1e300),
    model=TEXTS,
    unit=TEXTS.filter(bool),
)
def test_any_policy_comes_back(
    rows: list[Row], rate: float, model: str, unit: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "policy.toml"
    others = tuple(row for row in rows if row.query_class != "default")
    before = policy(rows=(*others, Row(query_class="default", strategy="single")), rate=rate, model=model, unit=unit)
    before.write(path)
    after = Policy.read(path)
    assert after.model_copy(update={"tuned": ""}) == before
    assert not after.edited


# -- malformed files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('strategy = "majority:n=16"', 'strategy = "majority:m=16"', "strategy", "row 1, strategy: unknown parameter"),
        ('strategy = "majority:n=16"', 'strategy = "majorty"', "strategy", "Did you mean 'majority'?"),
        ('strategy = "majority:n=16"', 'strategy = "adaptive"', "strategy", "cannot be adaptive itself"),
        ('strategy = "majority:n=16"', 'strategi = "majority"', "strategi", "unknown field. Did you mean 'strategy'?"),
        ("difficulty = [0.0, 0.35]", "difficulty = [0.0, 1.35]", "difficulty = ", "row 1, difficulty: must be less"),
        (
            "difficulty = [0.0, 0.35]",
            "difficulty = [0.35, 0.35]",
            "difficulty = ",
            "0.35 to 0.35 there is nothing",
        ),
        ("difficulty = [0.0, 0.35]", "difficulty = [0.0]", "difficulty = ", "row 1, difficulty: must be a pair"),
        ("difficulty = [0.0, 0.35]", "difficulty = 0.35", "difficulty = ", "row 1, difficulty: "),
        ("difficulty = [0.0, 0.35]", "difficulty = [0.1, 0.35]", "difficulty = ", "no row covers 0 to 0.1"),
        ("difficulty = [0.0, 0.35]", "difficulty = [nan, 0.35]", "difficulty = ", "row 1, difficulty: must be"),
        ("thinking = 512", "thinking = 0", "thinking", "row 1, thinking: must be empty, off, low"),
        ("thinking = 512", 'thinking = "hard"', "thinking", "row 1, thinking: must be empty, off, low"),
        ("thinking = 512", "thinking = true", "thinking", "row 1, thinking: must be a valid string, and is True"),
        ("generated_tokens=4000", "generated_tokns=4000", "budget", "row 1, budget: budget 'generated_tokns=4000'"),
        ("generated_tokens=4000", "calls=-1", "budget", "row 1, budget: budget calls=-1"),
        ('stop = "gain"', 'stop = "gian"', "stop", "row 1, stop: there is no learned stop 'gian'. Known: gain"),
        ("below = 0.6", "below = 0", "below", "row 1, escalate, below: must be greater than 0, and is 0"),
        ("below = 0.6", 'below = 0.6\nstop = "gian"', "stop", "row 1, escalate, stop: there is no learned stop 'gian'"),
        ("below = 0.6", "unter = 0.6", "unter", "row 1, escalate, unter: unknown field"),
        ('strategy = "best_of_n:n=8"', 'strategy = ""', 'strategy = ""', "row 1, escalate, strategy: "),
        ("accuracy = 0.61", "accuracy = 0.81", "[row.expected]", "row 1, expected: the accuracy 0.81 is not in its"),
        ("problems = 84", "problems = 8.5", "problems", "row 1, expected, problems: "),
        ("problems = 84", "problems = true", "problems", "row 1, expected, problems: "),
        ("give_up = true", 'give_up = "yes"', "give_up", "row 4, give_up: must be a valid boolean"),
        ("give_up = true", 'give_up = true\nstop = "gain"', "[[row]]", "row 4: a learned stop needs a strategy"),
        ("probe = 4", "probe = 400", "probe", "difficulty, probe: must be less than or equal to 64"),
        ("probe = 4", "probe = 0", "[difficulty]", "difficulty: estimator 'probe' needs samples"),
        ('estimator = "probe"', 'estimator = "oracle"', "estimator", "the oracle knows verdicts"),
        ('estimator = "probe"', 'estimator = "verifier"', "[difficulty]", "estimator 'verifier' needs one"),
        ("cap = 200", "cap = 0.5", "cap", "difficulty, cap: "),
        ("cap = 200", "caps = 200", "caps", "unknown field. Did you mean 'cap'?"),
        ('tags = ["family"]', "tags = [3]", "tags", "classes, tags: must be a valid string, and is 3"),
        ('tags = ["family"]', 'tag = "family"', "[classes]", 'classes: give tags = ["family"]'),
        ('tags = ["family"]', 'rules = [{ nam = "a" }]', "rules", "classes, rules"),
        (
            'tags = ["family"]',
            'rules = [{ name = "a", longer = 3 }]',
            "rules",
            "longer: unknown field. Did you mean 'longer_than'? Known: name, matches",
        ),
        ("rate = 0.00012", "rate = -1", "rate", "rate: must be greater than or equal to 0, and is -1"),
        ("rate = 0.00012", 'rate = "low"', "rate", "rate: must be a valid number, and is 'low'"),
        ("rate = 0.00012", "rate = inf", "rate", "rate: must be a finite number"),
        ("rate = 0.00012", "rates = 0.00012", "rates", "unknown field. Did you mean 'rate'? Known: version, model"),
        ("rate = 0.00012", "stops = {}", "stops", "stops: unknown field"),
        ("made = 2026-11-28", 'made = "November"', "made", "made: "),
        ("made = 2026-11-28", "made = 2026-13-28", "made", "is not TOML: expected newline"),
        ("calibrated = true", "calibrated = 1", "calibrated", "calibrated: must be a valid boolean, and is 1"),
        ('side = "policy.json"', 'side = "../policy.json"', "side", "side: must be the name of a file"),
        ('side = "policy.json"', "side = 3", "side", "side: must be the name of a file"),
        ('class = "addition"', 'class = ""', "class", "row 1, class: "),
        ('class = "addition"', "class addition", "class", "is not TOML: expected '=' after a key"),
        ("[[row]]", "[row]", "[row]", "is not TOML: "),
        ('unit = "thinking tokens"', 'unit = "thinking', "unit", "is not TOML: illegal character"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_field(
    old: str, new: str, line: str, said: str, written: Path
) -> None:
    found = refusal(changed(written, old, new))
    where = re.match(re.escape(f"{written}, line ") + r"(\d+)", found)
    assert where, found
    assert said in found
    if "is not TOML" not in found:
        starts = [n for n, text in enumerate(written.read_text().splitlines(), 1) if text.startswith(line)]
        assert int(where[1]) in starts
    assert "\n" not in found


@pytest.mark.parametrize("row", [0, 1, 2])
def test_the_line_is_that_of_the_row(row: int, written: Path) -> None:
    text = written.read_text()
    parts = text.split("[[row]]\n")
    parts[row + 1] = "giveup = 1\n" + parts[row + 1]
    written.write_text("[[row]]\n".join(parts))
    line = line_with(written, "giveup")
    assert f"line {line}, row {row + 1}, giveup: unknown field. Did you mean 'give_up'?" in refusal(written)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "made: is missing"),
        (b"\x00", "is not TOML"),
        (b"made = \xff", "line 1: is not text in UTF-8"),
        (b"# fine\nversion = 'a'", "line 2, version: must be a valid integer"),
        (b"made = 2026-11-28\ncalibrated = false\n", "row: is missing"),
        (b"made = 2026-11-28\ncalibrated = false\nrow = []\n", "line 3, row: "),
        (b"made = 2026-11-28\ncalibrated = false\nrow = 3\n", "line 3, row: "),
        (b"made = 2026-11-28\ncalibrated = false\nrow = [3]\n", "line 3, row 1: "),
        (b'made = 2026-11-28\ncalibrated = false\n[[row]]\nclass = "a"\n', "line 3, row 1, strategy: is missing"),
        (b'made = 2026-11-28\ncalibrated = false\n[[row]]\nclass="a"\nstrategy=""\n', 'no row has class = "default"'),
        (b"a = " + b"[" * 20_000, "nested too deeply"),
        (b"a = " + b"1" * 5_000, "is not TOML that can be read"),
        (b'made = """\n[[row]]\n"""\nx = 1\n', "line 4, x: unknown field"),
        (b'"x y" = 1\n', "line 1, x y: unknown field"),
    ],
)
def test_a_file_of_another_kind_is_refused(raw: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(raw)
    assert said in refusal(path)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "line 1: is not JSON"),
        (b'{"a": NaN', "line 1: is not JSON"),
        (b"[]", "the file: must be a valid dictionary"),
        (b"{}\n]", "line 2: is not JSON"),
        (b'{"kind": "other"}', "kind: must be 'ttc policy', and is 'other'"),
        (b'{"stop": {}}', "stop: "),
        (b'{"provenance": {"folds": "many"}}', "provenance.folds: must be a valid integer"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5_000, "is not JSON that can be read"),
        (b"\xff", "is not text in UTF-8"),
    ],
)
def test_a_file_beside_it_of_another_kind_is_refused(raw: bytes, said: str, written: Path) -> None:
    from ttc.adaptive.policy_file import _hash

    old = re.search('side_hash = "(.*)"', written.read_text())
    assert old
    written.with_suffix(".json").write_bytes(raw)
    found = refusal(changed(written, old[1], _hash(raw)))
    assert f"{written.with_suffix('.json')}, " in found or "that can be read" in found
    assert said in found


@pytest.mark.parametrize("name", ["missing.toml", "", "\x00.toml"])
def test_a_file_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / name)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damage_never_ends_in_anything_but_a_clear_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "policy.toml"
    policy().write(path)
    lines = path.read_text().splitlines()
    k = data.draw(st.integers(0, len(lines) - 1))
    junk = st.sampled_from(["[", "]", '"', "=", "[[row]]", "[row]", "1", "-1", "nan", "[]", "{}", "true", "x = 1", ""])
    match data.draw(st.sampled_from(["drop", "double", "value", "cut", "swap"])):
        case "drop":
            del lines[k]
        case "double":
            lines.insert(k, lines[k])
        case "value":
            lines[k] = lines[k].partition("=")[0] + "= " + data.draw(junk)
        case "cut":
            lines[k] = lines[k][: data.draw(st.integers(0, len(lines[k])))] + data.draw(junk)
        case _:
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[k], lines[other] = lines[other], lines[k]
    path.write_text("\n".join(lines))
    with contextlib.suppress(ConfigurationError):
        Policy.read(path)
        return
    said = refusal(path)
    assert str(path) in said
    assert "\n" not in said


# -- versions and models ----------------------------------------------------------------------------------------------


def test_another_version_is_refused_or_read_by_force(written: Path) -> None:
    said = refusal(changed(written, "version = 1", "version = 2"))
    assert "line 2, version: it is of version 2, and this ttc knows version 1" in said
    assert "--force-policy" in said
    read = Policy.read(written, force=True)
    assert read.version == 2
    with pytest.raises(ConfigurationError, match="of version 2"):
        check_for(read, model="smollm2")
    assert check_for(read, model="smollm2", force=True) == (
        "the policy is of version 2, and this ttc knows version 1; it is used by force",
    )


def test_force_reads_no_field_that_is_not_known(written: Path) -> None:
    changed(written, "version = 1", "version = 2\nnew = 3")
    assert "new: unknown field" in refusal(written, force=True)


def test_another_model_is_refused_or_warned_of() -> None:
    tuned = policy(rows=(Row(query_class="default", strategy="majority"),))
    assert check_for(tuned, model="smollm2") == ()
    with pytest.raises(ConfigurationError, match=r"tuned for model 'smollm2', and 'qwen' is served.*--force-policy"):
        check_for(tuned, model="qwen")
    (warning,) = check_for(tuned, model="qwen", force=True)
    assert "tuned for model 'smollm2'" in warning


def test_a_prior_is_for_any_model() -> None:
    assert check_for(Policy.prior(), model="whatever") == ()


@pytest.mark.parametrize("where", ["row", "escalation"])
@pytest.mark.parametrize("force", [False, True])
def test_a_row_for_a_model_that_is_not_served_is_refused(where: str, force: bool) -> None:
    large = "large" if where == "row" else ""
    escalation = Escalation(below=0.5, strategy="majority", model="large") if where == "escalation" else None
    fleet = policy(
        model="",
        rows=(Row(query_class="default", strategy="majority", model=large, escalate=escalation),),
    )
    assert check_for(fleet, model="small+large") == ()
    with pytest.raises(ConfigurationError, match="row 1 of the policy asks for model 'large', and there is only small"):
        check_for(fleet, model="small", force=force)


def test_of_a_fleet_all_names_count() -> None:
    fleet = policy(model="small+large", rows=(Row(query_class="default", strategy="majority", model="large"),))
    assert check_for(fleet, model="small+large") == ()
    with pytest.raises(ConfigurationError, match="tuned for model 'small\\+large', and 'small' is served"):
        check_for(fleet, model="small")


def test_a_probe_by_a_model_that_is_not_served_is_refused() -> None:
    fleet = policy(model="", difficulty=Estimation(model="large"))
    with pytest.raises(ConfigurationError, match="the probe of the policy asks for model 'large'"):
        check_for(fleet, model="smollm2")
    assert check_for(fleet, model="large+smollm2") == ()


# -- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query_class", "p", "row", "known"),
    [
        ("addition", 0.0, 0, True),
        ("addition", 0.3499, 0, True),
        ("addition", 0.35, 1, True),
        ("addition", 1.0, 1, True),
        ("default", 0.1, 3, True),
        ("geometry", 0.1, 3, False),
        ("geometry", 0.2, 2, False),
        ("", 1.0, 2, False),
    ],
)
def test_each_query_has_one_row(query_class: str, p: float, row: int, known: bool) -> None:
    tuned = policy()
    assert tuned.row_for(query_class, p) == (tuned.rows[row], known)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), None])
def test_what_is_no_probability_finds_no_row(p: float | None) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        policy().row_for("addition", p)


def test_without_an_estimate_the_only_row_is_taken() -> None:
    rows = (Row(query_class="default", strategy="majority"),)
    tuned = policy(rows=rows, difficulty=Estimation(estimator="none", probe=0))
    assert tuned.row_for("any", None) == (rows[0], False)


def test_estimator_none_tells_no_difficulties_apart() -> None:
    with pytest.raises(pydantic.ValidationError, match="class 'addition' has 2 rows, and estimator 'none'"):
        policy(difficulty=Estimation(estimator="none"))


@given(edges=st.lists(st.floats(0, 1), max_size=6), p=st.floats(0, 1))
def test_whatever_the_edges_every_difficulty_has_a_row(edges: list[float], p: float) -> None:
    cuts = sorted({0.0, 1.0, *(round(e, 4) for e in edges)})
    rows = tuple(
        Row(query_class="default", difficulty=(low, high), strategy=f"majority:n={k + 1}")
        for k, (low, high) in enumerate(itertools.pairwise(cuts))
    )
    row, _ = policy(rows=rows[::-1]).row_for("default", p)
    low, high = row.difficulty
    assert low <= p < high or (p == high == 1)


def test_edges_that_differ_by_a_rounding_leave_no_gap() -> None:
    rows = (
        Row(query_class="default", difficulty=(0.0, 1 / 3), strategy="majority"),
        Row(query_class="default", difficulty=(1 / 3 + 1e-12, 1.0), strategy="single"),
    )
    assert policy(rows=rows).row_for("default", 0.3334)[0] == rows[1]


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ([(0.0, 0.4), (0.5, 1.0)], "no row covers 0.4 to 0.5"),
        ([(0.0, 0.6), (0.5, 1.0)], "0.5 to 0.6 is covered twice"),
        ([(0.0, 1.0), (0.0, 1.0)], "0 to 1 is covered twice"),
        ([(0.0, 0.9)], "no row covers 0.9 to 1"),
        ([(0.1, 1.0)], "no row covers 0 to 0.1"),
    ],
)
def test_gaps_and_overlaps_are_refused(ranges: list[tuple[float, float]], said: str) -> None:
    rows = tuple(Row(query_class="default", difficulty=r, strategy="majority") for r in ranges)
    with pytest.raises(pydantic.ValidationError, match=re.escape(said)):
        policy(rows=rows)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"strategy": "majority", "give_up": True}, "gives up returns what the probe says"),
        ({"strategy": "knockout", "stop": "gain"}, "'knockout' is none"),
        ({"strategy": "", "stop": "gain"}, "needs a strategy that may be stopped"),
        ({"strategy": "knockout:n=2,each=(adaptive)"}, "cannot be adaptive itself"),
        ({"strategy": "adaptive:probe=2"}, "cannot be adaptive itself"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=said):
        Row(query_class="default", **fields)


def test_without_a_probe_there_is_nothing_to_return() -> None:
    with pytest.raises(pydantic.ValidationError, match="without a probe there is no answer"):
        policy(difficulty=Estimation(estimator="none", probe=0), rows=(Row(query_class="default", strategy=""),))


@pytest.mark.parametrize("kind", ["prompt", "verifier"])
def test_an_estimator_that_was_not_fitted_is_refused(kind: Any) -> None:
    with pytest.raises(pydantic.ValidationError, match=f"estimator '{kind}' was not fitted"):
        policy(difficulty=Estimation(estimator=kind, verifier="self_certainty"), estimator=None)


@pytest.mark.parametrize(
    ("tags", "name", "why"),
    [
        ({"family": "addition"}, "addition", ""),
        ({"family": "geometry"}, "default", "the policy has no rows for class 'geometry'"),
        ({}, "default", "it has no tag 'family'"),
    ],
)
def test_an_unknown_class_is_the_default_one_and_says_why(tags: dict[str, str], name: str, why: str) -> None:
    query = Query(messages=({"role": "user", "content": "?"},), id="q", tags=tags)
    found = policy().class_of(query)
    assert (found.name, found.known, found.why) == (name, not why, why)


def test_without_classes_every_query_is_of_the_default_one() -> None:
    found = policy(classes=None).class_of(Query.of("?"))
    assert (found.name, found.known) == ("default", True)


# -- what it is worth -------------------------------------------------------------------------------------------------


def test_a_prior_says_that_it_is_none(tmp_path: Path) -> None:
    prior = Policy.prior()
    assert prior.label == "uncalibrated: a prior that was tuned on nothing"
    assert all(row.budget or not row.strategy for row in prior.rows)
    assert [prior.row_for("any", agreement)[0].does for agreement in (0.25, 0.5, 0.75, 1.0)] == [
        "majority:n=16,stop=beta",
        "majority:n=8",
        "majority:n=8",
        "the probe's answer",
    ]
    prior.write(tmp_path / "prior.toml")
    assert [p.name for p in tmp_path.iterdir()] == ["prior.toml"]
    assert Policy.read(tmp_path / "prior.toml") == prior


@pytest.mark.parametrize("missing", ["provenance", "hashes"])
def test_what_names_no_problems_is_not_calibrated(missing: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="calibrated = false"):
        policy(**{missing: None if missing == "provenance" else frozenset()})


def test_a_table_that_was_changed_says_so(written: Path) -> None:
    assert Policy.read(written).label == "tuned on 84 problems"
    read = Policy.read(changed(written, "knockout:n=4", "knockout:n=8"))
    assert read.edited
    assert read.label == "tuned on 84 problems, and edited by hand since"


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 0.5},
        {"stops": {"gain": {"first": 5}}},
        {"estimator": {"kind": "probe"}},
        {"confidence": None},
        {"classes": TagClasses(tags=("level",))},
        {"difficulty": Estimation(probe=5)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_its_digest_follows_from_all_that_it_does(changes: dict[str, Any]) -> None:
    assert policy(**changes).digest() != policy().digest()
    assert policy(provenance=Provenance(problems=1), tuned="x").digest() == policy().digest()


def test_a_comment_is_no_change(written: Path) -> None:
    assert not Policy.read(changed(written, "[[row]]\n", "# mine\n\n[[row]]\n")).edited


def test_it_knows_the_problems_that_it_was_tuned_on() -> None:
    tuned = policy()
    assert tuned.tuned_on("p0")
    assert not tuned.tuned_on("p84")


def test_a_problem_is_known_by_its_record_and_by_its_own_name() -> None:
    record = RecordedProblem(id="run/p1", group="p1", answers=("1",), right=(1.0,))
    assert hashes_of([record]) == {problem_hash("p1"), problem_hash("run/p1")}


@pytest.mark.parametrize(
    ("prompt", "known"),
    [("What is\n 1 +  1? ", True), ("what is 1 + 1?", False), ("What is 1 + 2?", False), ("", False)],
)
def test_a_problem_under_another_id_is_known_by_what_it_asks_whatever_its_whitespace(prompt: str, known: bool) -> None:
    records = [
        RecordedProblem(id="mine.jsonl:1", prompt="What is 1 + 1?", answers=("2",), right=(1.0,)),
        RecordedProblem(id="mine.jsonl:2", answers=("2",), right=(1.0,)),
    ]
    tuned = policy(hashes=hashes_of(records))
    assert tuned.tuned_on_query(Query.of(prompt, id="yours.jsonl:7")) == known
    assert tuned.tuned_on_query(Query.of("anything", id="mine.jsonl:2"))
