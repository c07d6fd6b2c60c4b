"""Lettered choices, texts as choices, and what is trained on them."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable

import numpy as np
import pytest
from evals_cases import answered, estimates

from sycojax.data.prompts import Prompts
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN, choices
from sycojax.evals.hellaswag import Hellaswag, HellaswagRow
from sycojax.evals.mmlu import Mmlu, MmluRow
from sycojax.evals.truthfulqa import Truthfulqa, TruthfulqaRow
from sycojax.records import Record
from sycojax.requests import Request

ROWS = [
    MmluRow(f"f:{i}", f"Question {i}?", "s", (f"a{i}", f"b{i}", f"c{i}", f"d{i}"), i % 2)
    for i in range(40)
]


def options_of(request: Request) -> list[str]:
    return [line[4:] for line in request.prompt.splitlines() if line[:1] == "("]


def test_item_names_depend_on_the_text_only():
    names = choices.item_names([("a", "b"), ("ab",), ("a", "b")])
    assert names[2] == f"{names[0]}-2"
    assert names[0] != names[1]
    assert choices.item_names([("ab",)]) == [names[1]]


def test_rotations_spread_over_all_positions():
    assert [choices.rotations(n) for n in (1, 2, 3, 4, 8)] == [
        [0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 2, 4, 6],
    ]  # fmt: skip


def test_ties_are_broken_by_the_key_without_a_favourite():
    found = collections.Counter(choices.pick([0.0, 0.0, -1.0], f"key{i}") for i in range(400))
    assert set(found) == {0, 1}
    assert 150 < found[0] < 250
    assert choices.pick([0.0, 0.0, -1.0], "x") == choices.pick([0.0, 0.0, -1.0], "x")
    assert choices.tied_rows(np.array([[1.0, 1.0], [1.0, 0.0]])).tolist() == [True, False]


def test_every_rotation_moves_the_gold_option_and_keeps_its_text():
    requests = Mmlu().requests(ROWS, Prompts(), seed=1)
    by_item: dict[str, list[Request]] = {}
    for request in requests:
        by_item.setdefault(request.item, []).append(request)
    for row, asked in zip(ROWS, by_item.values(), strict=True):
        assert [r.condition for r in asked] == ["as_is", *(f"rotation={k}" for k in range(4))]
        assert options_of(asked[0]) == list(row.choices)
        assert {r.meta["gold"] for r in asked[1:]} == {0, 1, 2, 3}
        for request in asked:
            shown = options_of(request)
            assert shown[request.meta["gold"]] == row.choices[row.answer]
            assert [row.choices[i] for i in request.meta["order"]] == shown


def test_an_items_order_does_not_depend_on_other_items():
    all_of_them = {r.key: r for r in Mmlu().requests(ROWS, Prompts(), seed=1)}
    alone = Mmlu().requests(ROWS[7:8], Prompts(), seed=1)
    assert all(all_of_them[r.key] == r for r in alone)
    other = Mmlu().requests(ROWS, Prompts(), seed=2)
    assert any(all_of_them[r.key].prompt != r.prompt for r in other)


def test_training_options_are_shuffled_with_the_right_letter():
    examples = Mmlu().examples(ROWS, Prompts(), seed=1)
    letters = collections.Counter(e.completion[0] for e in examples)
    assert min(letters[a] for a in "ABCD") >= 4  # stored: only A and B
    for row, example in zip(ROWS, examples, strict=True):
        letter = example.completion.removesuffix(") </s>")
        assert f"({letter}) {row.choices[row.answer]}\n" in example.prompt
        assert not example.loss_on_prompt
    published = Mmlu().examples(ROWS, Prompts("published"), seed=1)
    assert [e.completion for e in published] == [" A", " B"] * 20
    assert all(e.loss_on_prompt for e in published)


def always_a(request: Request) -> Record:
    return answered(request, np.log([0.7] + [0.05] * (len(request.candidates) - 1)))


def knows(request: Request) -> Record:
    scores = np.full(len(request.candidates), -3.0)
    scores[request.meta["gold"]] = -1.0
    return answered(request, scores)


def test_always_a_is_visible_and_knowing_is_not_mistaken_for_it():
    rows = [MmluRow(r.origin, r.question, "s", r.choices, 0) for r in ROWS]
    requests = Mmlu().requests(rows, Prompts(), seed=0)
    masses = {"letter_mass_A": 0.7 / 0.85} | {f"letter_mass_{x}": 0.05 / 0.85 for x in "BCD"}
    found = estimates(Mmlu().measures([always_a(r) for r in requests]))
    hits = {"accuracy": 0.25, "accuracy_as_is": 1.0, "position_gap": 0.75, "first_letter": 1.0}
    del found["rotation_null"]  # which rotation the gold is A in differs by item
    del found["accuracy_content"]  # every option is as likely as any other: chance
    assert found == pytest.approx(hits | masses)
    found = estimates(Mmlu().measures([knows(r) for r in requests]))
    hits = {"accuracy": 1.0, "accuracy_as_is": 1.0, "position_gap": 0.0, "first_letter": 0.25}
    hits["rotation_null"] = 0.0
    fair = dict.fromkeys(masses, 0.25)
    assert found == pytest.approx(hits | fair | {"accuracy_content": 1.0})
    side = Mmlu().diagnostics([always_a(r) for r in requests])
    assert side["coverage_median"] == pytest.approx(0.85)
    assert side["first_letter_expected"] == 0.25
    assert side["ties"] == 0


def test_half_of_the_rotations_against_the_other_half():
    """Right in rotations 0, 1 and 2 of 4, and in 0 of 3: (1 - 1/2) and (1/2 - 0)."""
    rows = [ROWS[0], MmluRow("f:99", "Question 99?", "s", ("a", "b", "c"), 0)]
    records = []
    for request in Mmlu().requests(rows, Prompts(), seed=0):
        n, gold = len(request.candidates), request.meta["gold"]
        right = request.condition in ("rotation=0", *["rotation=1", "rotation=2"][: 2 * (n == 4)])
        scores = np.full(n, -3.0)
        scores[gold if right else (gold + 1) % n] = -1.0
        records.append(answered(request, scores))
    found = {m.name: m for m in Mmlu().measures(records)}["rotation_null"]
    assert found.numerator.tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize(
    ("recipe", "name"), [("sycojax", "accuracy"), ("published", "accuracy_as_is")]
)
def test_the_headline_is_the_recipes_own(recipe, name):
    requests = Mmlu().requests(ROWS, Prompts(recipe), seed=0)
    measures = Mmlu().measures([knows(r) for r in requests])
    assert [m.name for m in measures if m.headline] == [name]
    assert {m.headline for m in measures} == {"", "hard"}


def test_a_missing_rotation_is_an_error():
    records = [knows(r) for r in Mmlu().requests(ROWS[:2], Prompts(), seed=0)]
    with pytest.raises(SycojaxError, match=r"rotation=3.*incomplete"):
        Mmlu().measures(records[:-1])


def lettered(scores: Callable[[Request, np.random.Generator], np.ndarray]) -> dict[str, float]:
    """Measures and diagnostics of a model with these logits, over 300 questions of four options."""
    rng = np.random.default_rng(13)
    texts = tuple(f"o{j}" for j in range(4))
    rows = [MmluRow(f"f:{i}", f"Question {i}?", "toy", texts, i % 4) for i in range(300)]
    records = []
    for request in Mmlu().requests(rows, Prompts(), 0):
        logits = scores(request, rng)
        records.append(answered(request, logits - choices.logsumexp(logits)))
    return {**estimates(Mmlu().measures(records)), **Mmlu().diagnostics(records)}


def prefers_a(bonus: float) -> dict[str, float]:
    """Puts 3 nats on the right option and ``bonus`` on the letter A."""

    def scores(request: Request, rng: np.random.Generator) -> np.ndarray:
        found = np.zeros(4)
        found[request.meta["gold"]] += 3.0
        found[0] += bonus
        return found

    return lettered(scores)


def test_a_favourite_letter_is_seen_behind_what_a_model_knows():
    fair, leans = prefers_a(0.0), prefers_a(2.0)
    expected = np.exp([2.0, 0, 0, 0]) / (np.exp(2.0) + 3)
    for letter, prior in zip("ABCD", expected, strict=True):
        assert fair[f"letter_prior_{letter}"] == pytest.approx(0.25)
        assert fair[f"letter_mass_{letter}"] == pytest.approx(0.25)
        assert leans[f"letter_prior_{letter}"] == pytest.approx(prior)
    assert 0.3 < leans["letter_mass_A"] < leans["letter_prior_A"]
    assert leans["accuracy"] == 1  # no answer is lost yet
    lost = prefers_a(3.5)
    assert lost["accuracy"] == 0.25
    assert lost["accuracy_content"] == 1  # the content is known all the same
    assert lost["a_when_not_a"] == lost["a_when_not_a_rotated"] == 1
    assert lost["letter_rstd"] == pytest.approx(np.std([1, 0, 0, 0]))
    assert fair["rotation_null"] == 0
    assert fair["a_when_not_a"] == fair["letter_rstd"] == 0


def test_sharpness_and_calibration():
    even = lettered(lambda request, rng: np.zeros(4) + 1e-9 * rng.random(4))
    assert even["entropy"] == pytest.approx(np.log(4))
    assert even["coverage_median"] == pytest.approx(1)
    assert even["ece"] == pytest.approx(0, abs=0.03)
    sure = np.log(0.7 / 0.1)

    def honest(request: Request, rng: np.random.Generator) -> np.ndarray:
        found = np.zeros(4)
        gold = request.meta["gold"]
        found[gold if rng.random() < 0.7 else (gold + int(rng.integers(1, 4))) % 4] = sure
        return found

    honest_, boaster = lettered(honest), lettered(lambda r, rng: 5 * honest(r, rng))
    assert honest_["ece"] == pytest.approx(0, abs=0.04)  # standard error .013
    assert boaster["ece"] == pytest.approx(0.3, abs=0.04)
    assert boaster["entropy"] < 0.01 < 0.9 < honest_["entropy"]


TRUTHFULQA = TruthfulqaRow(
    "f:1", "Is it?", ("no", "yes", "maybe"), (1, 0, 0), ("no", "never", "yes", "maybe"), (1, 1, 0, 0)
)  # fmt: skip


def test_mc1_and_mc2_come_from_one_request():
    requests = Truthfulqa().requests([TRUTHFULQA], Prompts(), seed=0)
    assert [r.condition for r in requests] == [
        "as_is", "rotation=0", "rotation=1", "rotation=2", "texts",
    ]  # fmt: skip
    texts = requests[-1]
    assert texts.candidates == (" no", " yes", " maybe", " never")
    probabilities = {" no": 0.2, " yes": 0.25, " maybe": 0.05, " never": 0.3}
    records = [knows(r) for r in requests[:-1]]
    records.append(answered(texts, [math.log(probabilities[c]) for c in texts.candidates]))
    found = estimates(Truthfulqa().measures(records))
    assert found["mc1"] == 0.0  # "yes" beats "no"; "never" is no MC1 choice
    assert found["mc2"] == pytest.approx(0.5 / 0.8)
    assert found["accuracy"] == 1.0
    assert "texts" not in {
        r.condition for r in Truthfulqa().requests([TRUTHFULQA], Prompts("published"), 0)
    }


def test_hellaswag_divides_by_bytes_or_as_published_by_tokens():
    row = HellaswagRow("f:1", "a", "He", ("ran.", "ran away from it all."), 1)
    request = Hellaswag().requests([row], Prompts(), seed=0)[0]
    record = answered(request, [-4.0, -8.0])
    assert estimates(Hellaswag().measures([record])) == {"accuracy": 1.0, "accuracy_sum": 0.0}
    request = Hellaswag().requests([row], Prompts("published"), seed=0)[0]
    record = Record.scored(request, [-4.0, -9.0], [4, 8], [False, False])
    assert estimates(Hellaswag().measures([record])) == {"accuracy": 0.0, "accuracy_sum": 0.0}
    record = Record.scored(request, [-4.0, -7.0], [4, 8], [False, False])
    assert estimates(Hellaswag().measures([record]))["accuracy"] == 1.0
    (example,) = Hellaswag().examples([row], Prompts(), seed=0)
    assert example.completion == " ran away from it all. </s>"


def test_no_records_give_nan_and_no_crash():
    for evaluation in BUILTIN.values():
        assert all(math.isnan(m.estimate) for m in evaluation.measures([])), evaluation.name
        evaluation.diagnostics([])
