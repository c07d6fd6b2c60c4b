"""What arms cost."""

from __future__ import annotations

from pathlib import Path

from configs.toy import get_config
from sycojax.config import StudyConfig
from sycojax.evals.readouts import in_arms
from sycojax.requests import Request
from sycojax.study.cost import times
from sycojax.study.datasets import instruments, prepare
from sycojax.study.inputs import read_inputs
from sycojax.study.readouts import FEWER, asked_with, screening
from sycojax.study.state import state_of
from sycojax.study.work import followed


def test_arms_double_an_adapter_s_text_and_the_base_s_less_than_four_times(tmp_path: Path) -> None:
    config = StudyConfig.from_config_dict(get_config())
    given = read_inputs(config)
    data = prepare(config, given.tokenizer, given.context)
    state = state_of(config, tmp_path, given, [], data.requests)
    # Of two probes another readout sees, as on the base of the package.
    choice = {
        name: {"readout": own.readouts[0], "read": [{"readout": r, "fails": "", "steered_by": "order"} for r in own.readouts[: 1 + (name != "are_you_sure")]]}
        for name, own in instruments(config).items()
    }  # fmt: skip
    asked = asked_with(config, given, data, choice)
    first = {f"first {name}": few for name, few in screening(config, given, state).requests.items()}
    for name in instruments(config):
        own = {r.item for r in asked[name] if not in_arms(r)}
        assert len(own) == FEWER < len({r.item for r in asked[name]})
    assert 1.2 < times(asked, data.requests) <= 2
    assert times(asked, data.requests) < times({**asked, **first}, data.requests) <= 4
    than = followed(data.requests, config, given.prompts)
    assert sum(map(len, than.values())) > sum(map(len, data.requests.values())), "second turns"
    asked = followed(asked, config, given.prompts)
    assert 1.2 < times(asked, than) <= 2
    assert times(asked, than) < times({**asked, **first}, than) <= 4


def test_text_is_counted_once_for_what_begins_alike() -> None:
    def asked(*prompts: str) -> dict[str, list[Request]]:
        return {"e": [Request("e", p, "c", "q", p, candidates=("!",)) for p in prompts]}

    assert times(asked("abcd", "abcx"), asked("abcd")) == 7 / 5
    assert times(asked("abcd", "abcd"), asked("abcd")) == 1
