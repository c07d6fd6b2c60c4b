"""Arms and readouts: what is asked, what made-up models read in them, and which readout is taken."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from own_probe import write_probe
from synthetic_study import rows

from analysis.results.instrument import Sight, chosen, sights
from analysis.statistics import Estimate
from sycojax.config import ScoreConfig, StudyConfig
from sycojax.data import arms
from sycojax.data.prompts import FEEDBACK_PAIRS, Prompts
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN, readouts
from sycojax.evals.readouts import LISTS, Reading
from sycojax.evals.registry import load_file
from sycojax.files import read_json
from sycojax.records import Record
from sycojax.requests import Request

ITEMS = {"answer": 48, "are_you_sure": 24, "feedback": 24}  # of ``answer`` two ask the same
ALL = {"answer": arms.ANSWER, "are_you_sure": arms.ARE_YOU_SURE, "feedback": arms.FEEDBACK}
# How strongly a model goes towards x in an arm, from -1 to 1.
Model = Callable[[str, str], float]


def instrument(probe: str):
    found = BUILTIN[probe].instrument
    assert found is not None
    return found


@functools.cache
def asked(probe: str) -> list[Request]:
    own = instrument(probe)
    return readouts.requests(probe, own, own.units(rows(probe, ITEMS[probe]), 0), Prompts())


def readings(probe: str, model: Model, noise: float = 0.3) -> dict[str, Reading]:
    """What a model that leans ``model(arm, readout)`` towards x gives in every readout; wordings differ a little."""
    found = readouts.read(instrument(probe), made_by(model, asked(probe), noise))
    return {r.readout: r for r in found}


def made_by(model: Model, requests: Sequence[Request], noise: float = 0.3) -> list[Record]:
    """Its answers."""
    # Second wordings have noise of their own, and leave that of the others as it is without them.
    rng, aside = np.random.default_rng(3), np.random.default_rng(4)
    made = []
    for request in requests:
        probe = request.evaluation
        readout, arm, sign, wording = _parts(request.condition)
        lean = model(arm, readout) * (1 if sign == "+" else -1)
        lean += 0.05 * (wording - 0.5)
        # log-odds of x: 0 without a lean, 6 with a full one.
        odds = 6 * lean + noise * (aside if arm in readouts.REWORDED else rng).normal()
        scores = [odds / 2 if c % 2 == 0 else -odds / 2 for c in range(len(request.candidates))]
        if probe == "are_you_sure":
            scores = [odds, *[0.0] * (len(request.candidates) - 1)]
        if readout == "yes_no" and probe == "answer":
            scores = [request.meta["weight"] * s / 2 for s in scores]
        made.append(
            Record.scored(request, np.array(scores) - 5, [1] * len(scores), [False] * len(scores))
        )
    return made


def _parts(condition: str) -> tuple[str, str, str, int]:
    match = re.fullmatch(r"(\w+),(\w+)([+-])(\d),\d+", condition)
    assert match is not None
    return match[1], match[2], match[3], int(match[4])


def seen(probe: str, model: Model, readout: str = "words") -> dict[str, Sight]:
    return {s.contrast: s for s in sights(readings(probe, model)[readout])}


def likes(**arms: float) -> Model:
    """Leans by arm; an order to agree with somebody leaves ``sides`` as it is, unless named."""
    return lambda arm, _: arms.get(arm, arms.get("sides", 0.0) if arm.startswith("agree") else 0.0)


@pytest.mark.parametrize("probe", ALL)
def test_both_sentences_of_a_pair_say_the_same_words(probe: str) -> None:
    """So that nothing but who holds what differs: copying a word, or a longer sentence, moves no contrast."""
    for arm, pairs in (*ALL[probe].items(), ("binding", arms.BINDING)):
        for pair in pairs:
            first, second = (sorted(re.findall(r"\w+|[{}]", text.lower())) for text in pair)
            if probe == "are_you_sure" and arm in ("order", "chance", "neutral"):
                continue  # "the same answer again" and "another one" are not one word for one
            if (probe, arm) in (
                ("feedback", "user"),
                ("feedback", "user_reworded"),
                ("feedback", "other"),
            ):
                continue  # one view, or its opposite
            if (probe, arm) == ("feedback", "chance"):
                assert {"monday"} == set(first) - set(second)
                continue
            assert [w.rstrip("s") for w in first] == [w.rstrip("s") for w in second], (arm, pair)


def test_two_wordings_name_both_in_both_orders() -> None:
    for name, pairs in arms.ANSWER.items():
        orders = {text.index("{w}") < text.index("{r}") for pair in pairs for text in pair}
        assert orders == {True, False}, name
        # For x = w as for x = r, one wording names x first and one last.
        if name != "neutral":
            assert {pair[0].index("{w}") < pair[0].index("{r}") for pair in pairs} == {True, False}


def test_no_arm_holds_a_word_that_an_answer_is_read_from() -> None:
    polar = {word for pair in FEEDBACK_PAIRS for word in pair}
    for pair in itertools.chain(*arms.FEEDBACK.values()):
        for text in pair:
            assert not polar & set(re.findall(r"\w+", text.lower())), text


@pytest.mark.parametrize("probe", ALL)
def test_every_arm_is_asked_and_remarks_stand_behind_the_question(probe: str) -> None:
    """Of one item and readout the prompts begin alike, so that a tree of prefixes scores the beginning once."""
    requests = asked(probe)
    assert len({r.key for r in requests}) == len(requests)
    first = [r for r in requests if r.item == requests[0].item]
    found = {_parts(r.condition)[:2] for r in first}
    for readout in instrument(probe).readouts:
        expected = set(ALL[probe]) | ({"bind"} if readout in LISTS else set())
        assert {arm for name, arm in found if name == readout} == expected
    question = first[0].turns[0].split(" Rather")[0].split(" I ")[0]
    assert all(r.turns[0].startswith(question.split("\n")[0].split('"')[0]) for r in first)


@pytest.mark.parametrize(
    ("model", "uptake", "siding"),
    [
        # An order moves it, a user does not: it can say "no change".
        (likes(order=1.0, bind=1.0), (True, 0.0), (True, 0.0)),
        # Goes over to the user as far as half: valid, and read as planted.
        (likes(order=1.0, bind=1.0, user=0.2, sides=0.2), (True, 0.54), (True, 0.54)),
        # Believes anybody: uptake over a clean floor, nobody's side.
        (likes(order=1.0, bind=1.0, user=0.2, other=0.2), (True, 0.54), (True, 0.0)),
        # Copies what is affirmed, whoever says it: as much where nobody does.
        (likes(order=1.0, bind=1.0, user=1.0, other=1.0, chance=1.0, told=1.0), (False, 0.0), (False, 0.0)),
        # Hears nothing of any of it.
        (likes(), (False, 0.0), (False, 0.0)),
        # Sees the turn, not the question: no option is found by what is said of it.
        (likes(order=1.0, user=0.2, sides=0.2), (False, 0.54), (False, 0.54)),
        # Not steered by an order, but it takes the user's side.
        (likes(bind=1.0, sides=0.2), (False, 0.0), (True, 0.54)),
    ],
    ids=["obedient", "deferential", "believes anybody", "copier", "deaf", "blind to options", "not steerable"],
)  # fmt: skip
@pytest.mark.parametrize("probe", ["answer", "are_you_sure"])
def test_made_up_models_are_told_apart(
    probe: str, model: Model, uptake: tuple[bool, float], siding: tuple[bool, float]
) -> None:
    found = seen(probe, model)
    for name, (valid, net) in (("uptake", uptake), ("siding", siding)):
        assert found[name].valid is valid, found[name]
        # sigmoid(1.2) - sigmoid(-1.2) = .54; of more than two options the insert starts lower.
        assert found[name].net.value == pytest.approx(net, abs=0.05 if probe == "answer" else 0.12)


def test_what_shows_that_a_readout_sees_is_named() -> None:
    assert seen("feedback", likes(order=1.0, bind=1.0))["uptake"].sees_by == "order"
    assert seen("feedback", likes(sides=0.3, bind=1.0))["siding"].sees_by == "contrast"
    told = likes(bind=1.0, agree_user=0.3, agree_other=-0.3)
    assert seen("feedback", told)["siding"].sees_by == "control"
    assert "sees nothing" in seen("feedback", told)["uptake"].fails


@pytest.mark.parametrize("probe", ALL)
def test_other_words_that_say_the_same_read_the_same(probe: str) -> None:
    """What a second wording reads beyond the first is 0 for a model that hears who holds what, and not for one that knows a wording."""
    alike = dict.fromkeys(("user", "sides", "user_reworded", "sides_reworded"), 0.2)
    found = readings(probe, likes(bind=1.0, **alike))["words"].measures
    knows = readings(probe, likes(bind=1.0, user=0.2, sides=0.2, sides_reworded=0.1))[
        "words"
    ].measures
    for name in ("uptake_reworded", "siding_reworded"):
        assert found[name].estimate == pytest.approx(0, abs=0.05)
    assert knows["uptake_reworded"].estimate == pytest.approx(
        -knows["uptake_gross"].estimate, abs=0.05
    )
    assert -knows["siding_gross"].estimate < knows["siding_reworded"].estimate < -0.1


def test_few_items_are_not_valid() -> None:
    own = instrument("feedback")
    units = own.units(rows("feedback", 8), 0)
    made = [
        Record.scored(r, [0.0] * len(r.candidates), [1] * len(r.candidates), [False] * len(r.candidates))
        for r in readouts.requests("feedback", own, units, Prompts())
    ]  # fmt: skip
    for sight in sights(readouts.read(own, made)[0]):
        assert sight.fails == "too few items (8)"


def test_the_first_of_the_readouts_that_see_alike_is_taken() -> None:
    def model(arm: str, readout: str) -> float:
        order = {"open": 0.1, "words": 0.5, "letters": 0.6, "yes_no": 0.0}[readout]
        return {"order": order, "bind": 1.0}.get(arm, 0.0)

    found = readings("answer", model)
    assert chosen(list(found.values())) == "words"
    assert chosen([found["yes_no"]]) == "yes_no", "blind as it is"
    better = dataclasses.replace(found["letters"], readout="open")
    assert chosen([better, found["words"], found["letters"]]) == "open"


def test_an_item_without_one_of_its_prompts_is_an_error() -> None:
    own = instrument("answer")
    made = [
        Record.scored(r, [0.0, -1.0], [1, 1], [False, False]) for r in asked("answer") if len(r.candidates) == 2
    ]  # fmt: skip
    one = next(i for i, r in enumerate(made) if r.condition == "words,order+1,0")
    with pytest.raises(
        SycojaxError, match=r"item \w+ has no record of every prompt under 'words,order\+1,1'"
    ):
        readouts.read(own, made[:one] + made[one + 1 :])
    lacking = [
        r for r in made if r.item != made[0].item or not r.condition.startswith("open,user-0")
    ]
    with pytest.raises(SycojaxError, match=r"has a record of 'user\+0' and none of 'user-0'"):
        readouts.read(own, lacking)


def test_a_contrast_at_matched_spread_does_not_know_a_factor() -> None:
    """Log-odds three times as large: the contrast grows, the one at the base's spread is the base's."""
    model = likes(order=0.5, bind=1.0, user=0.05, sides=0.05)

    def read(factor: float, spread: float | None = None) -> dict[str, float]:
        asked_in_words = [r for r in asked("answer") if r.meta["readout"] == "words"]
        rng, made = np.random.default_rng(0), []
        for request in asked_in_words:
            _, arm, sign, _ = _parts(request.condition)
            odds = 6 * model(arm, "words") * (1 if sign == "+" else -1) + rng.normal()
            scores = factor * np.array([odds / 2, -odds / 2]) - 9
            made.append(Record.scored(request, scores, [1, 1], [False, False]))
        own = instrument("answer")
        (found,) = readouts.read(own, made, spread)
        spreads.append(readouts.neutral_spread(own, made))
        return {n: m.estimate for n, m in found.measures.items()}

    spreads: list[float] = []
    once = read(1.0)
    three = read(3.0, spreads[0])
    assert spreads[1] == pytest.approx(3 * spreads[0])
    assert three["uptake"] > 1.5 * once["uptake"]
    assert once["uptake_matched"] == once["uptake"]
    assert three["uptake_matched"] == pytest.approx(once["uptake"])


# Probe -> what is replied to a remark for x, to one against it, and nothing clear.
REPLIES = {
    "answer": ("I would say {x}.", "It is {y}, not {x}.", "Who knows?"),
    "are_you_sure": ("The answer is ({own})", "The answer is ({other})", "I am not sure."),
    "feedback": ("A convincing, sound text.", "This is flawed and weak.", "It has three lines."),
}


@pytest.mark.parametrize("probe", REPLIES)
def test_replies_are_read_for_the_side_they_take(probe: str) -> None:
    """All go with the remark: 1; all against it: -1; nothing clear: 0. And a readout that says the opposite is not taken."""
    own = instrument(probe)
    asked_of = readouts.spoken(probe, own, own.units(rows(probe, ITEMS[probe]), 0), Prompts())
    assert {r.condition for r in asked_of} == {
        f"text,{arm}{s}0,0" for arm in ("user", "order") for s in "+-"
    }
    # In Llama 2's marks the user's next turn is ordinary text, which a base may go on with.
    assert {r.stop for r in asked_of} == {("</s>", "[INST]")}

    def said(request: Request, takes: str) -> Record:
        named = request.meta.get("named", ["", ""])
        letter = request.meta.get("own", 0)
        text = REPLIES[probe]["+-0".index(takes)].format(
            x=named[0], y=named[1], own="ABCDE"[letter], other="ABCDE"[(letter + 1) % 3]
        )
        return Record.generated(request, text, True)

    def contrasts(replied: Callable[[Request], Record]) -> dict[str, float]:
        found = readouts.read_texts(own, [replied(r) for r in asked_of])
        return {arm: m.estimate for arm, m in found.items()}

    with_it = contrasts(lambda r: said(r, _parts(r.condition)[2]))
    against = contrasts(lambda r: said(r, "+-"[_parts(r.condition)[2] == "+"]))
    assert with_it == {"user": 1.0, "order": 1.0}
    assert against == {"user": -1.0, "order": -1.0}
    assert contrasts(lambda r: said(r, "0")) == {"user": 0.0, "order": 0.0}


def test_a_readout_that_contradicts_the_replies_is_not_taken() -> None:
    def model(arm: str, readout: str) -> float:
        return {"order": 0.6 if readout == "words" else -0.6, "bind": 1.0}.get(arm, 0.0)

    found = list(readings("answer", model).values())
    sure = Estimate(0.8, 0.7, 0.9, 40, 40)
    assert chosen(found, {"order": sure}) == "words"
    assert (
        chosen(found, {"order": dataclasses.replace(sure, value=-0.8, low=-0.9, high=-0.7)})
        != "words"
    )


@pytest.mark.slow
def test_the_command_writes_records_and_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sycojax.cli.dispatch import dispatch

    file = write_probe(tmp_path)
    tmp_path /= "w"
    dispatch(
        ["readouts", "--config=configs/toy.py", f"--workdir={tmp_path}", "--quiet", f"--probe={file}",
         "--config.score.readout_items=2", "--config.score.evaluations=feedback"]
    )  # fmt: skip
    table = read_json(tmp_path / "readouts.json")["feedback"]["read"]
    assert [(r["readout"], r["contrast"]) for r in table] == [
        (readout, contrast)
        for readout in ("open", "words", "yes_no")
        for contrast in ("uptake", "siding")
    ]
    assert {r["fails"] for r in table} == {"too few items (2)"}
    assert (tmp_path / "readouts" / "feedback.jsonl").is_file()
    out = capsys.readouterr().out
    assert "not valid: too few items (2)" in out
    assert "\nmine: 2 items" in out, "a probe of one's own, which score.evaluations does not name"


@pytest.mark.parametrize(
    "pinned", [("answer=open", "answer=words"), ("feedback=letters",), ("answer",)]
)
def test_a_probe_is_pinned_to_one_readout_that_it_has(pinned: tuple[str, ...]) -> None:
    with pytest.raises(SycojaxError, match=r"score\.readout"):
        StudyConfig(score=ScoreConfig(readout=pinned))


@pytest.mark.parametrize(
    ("arms_of", "readouts_of", "says"),
    [
        ("{k: v for k, v in own.arms.items() if k not in ('told', 'agree_user')}", "own.readouts", "lacks the arms told, agree_user"),
        ("own.arms", "()", "must be some of"),
        ("own.arms", "('aloud',)", "must be some of"),
    ],
)  # fmt: skip
def test_an_instrument_of_a_user_that_cannot_be_chosen_by_is_refused(
    tmp_path: Path, arms_of: str, readouts_of: str, says: str
) -> None:
    changed = f"dataclasses.replace(own, arms={arms_of}, readouts={readouts_of})"
    file = write_probe(tmp_path, changed)
    with pytest.raises(SycojaxError, match=says):
        load_file(file)
