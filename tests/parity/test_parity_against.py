"""``sycojax doctor --against=transformers`` on bases that agree and on one that does not (the ``parity`` extra)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sycojax.cli.against import against_transformers
from sycojax.config import BaseConfig, StudyConfig
from sycojax.errors import SycojaxError
from sycojax.toy import base_directory

pytest.importorskip("torch")
pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.mark.parametrize("evaluations", [StudyConfig().score.evaluations, ("gsm8k", "answer")])
def test_the_embedded_base_is_the_same_there(evaluations: tuple[str, ...]) -> None:
    """Twenty answers, however few kinds of prompts a study has."""
    said = against_transformers(StudyConfig().changed({"score.evaluations": evaluations}))
    assert "ids       agree in 3 conversations" in said
    assert said.count("the same") == 3
    (line,) = [line for line in said.splitlines() if line.startswith("largest difference")]
    assert float(line.split()[2]) < 1e-3
    assert sum("e-" in line or "0.0e+00" in line for line in said.splitlines()) == 21


def test_a_study_that_asks_nothing() -> None:
    with pytest.raises(SycojaxError, match="names nothing whose answers"):
        against_transformers(StudyConfig().changed({"score.evaluations": ()}))


def test_another_model_there_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers is given a base with other rotary angles."""
    import transformers

    other = tmp_path / "base"
    shutil.copytree(base_directory(), other)
    config = json.loads((other / "config.json").read_text())
    config["rope_theta"] = 500.0
    config.get("rope_parameters", {}).pop("rope_theta", None)
    (other / "config.json").write_text(json.dumps(config))
    load = transformers.AutoModelForCausalLM.from_pretrained

    def changed(path: str, **settings: Any) -> Any:
        return load(str(other), **settings)

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", changed)
    with pytest.raises(SycojaxError, match="disagree: log-likelihoods differ by up to"):
        against_transformers(StudyConfig(base=BaseConfig(path=str(base_directory()))))
