"""``sycojax.load`` on tokenizers with and without a BOS of their own, against ``--model hf`` (the ``parity`` extra)."""

from __future__ import annotations

import logging
from pathlib import Path

import dialects
import pytest

import sycojax

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("lm_eval")

from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

PAIRS = [("Question: what is two plus two?\nAnswer:", " four"), ("are you sure", " the answer is")]


@pytest.mark.parametrize("name", ["chatml", "llama3", "zephyr", "qwen3"])
def test_a_text_begins_as_transformers_begins_it(name: str, tmp_path: Path) -> None:
    """chatml names a BOS token and adds none, llama3 and zephyr add theirs, qwen3 has none."""
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=400, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, initializer_range=0.2,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval().float()
    model.save_pretrained(str(tmp_path))
    dialects.write_tokenizer(tmp_path, dialects.DIALECTS[name])
    judge = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    harness = HFLM(pretrained=model, tokenizer=judge, batch_size=1)
    asked = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(PAIRS)]
    expected = [found[0] for found in harness.loglikelihood(asked, disable_tqdm=True)]
    ours = sycojax.load(tmp_path)
    assert ours.tokenizer.encode("are you sure") == judge.encode("are you sure")
    assert [found[0] for found in ours.loglikelihood(PAIRS)] == pytest.approx(expected, abs=5e-5)
