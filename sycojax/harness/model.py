"""``--model sycojax`` of lm-evaluation-harness: a base, with one adapter or none, answering the harness's requests.

The base class makes token pairs of (context, continuation) texts; windows of rolling requests come from the
harness too. What ``hf`` does to them is done here alike: BOS, truncation on the left, stop strings, decoding.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2  # pyright: ignore[reportMissingImports]
import lm_eval.models  # noqa: F401  # pyright: ignore[reportMissingImports]  # the others' names, else unknown
from lm_eval.api.model import TemplateLM  # pyright: ignore[reportMissingImports]
from lm_eval.api.registry import register_model  # pyright: ignore[reportMissingImports]
from lm_eval.utils import (  # pyright: ignore[reportMissingImports]
    get_rolling_token_windows,
    make_disjoint_window,
)

from sycojax import __version__
from sycojax.errors import SycojaxError
from sycojax.files import read_json
from sycojax.harness import arguments
from sycojax.harness.generation import Greedy
from sycojax.harness.tokenizer import (
    ContextTokenizer,
    encode,
    reads_spaces_alike,
    special_ids,
)
from sycojax.weights.huggingface import GENERATION

# Requests that are answered before --use_cache saves them: what is not saved is lost with the process, but requests
# that are answered apart share nothing.
CACHED_PART = 2048

_log = logging.getLogger(__name__)


@register_model("sycojax")
class SycojaxLM(TemplateLM):
    """A model of ``sycojax.load`` in the harness, in one process."""

    def __init__(
        self,
        pretrained: str | Path = "",
        adapter: str | Path | None = None,
        *,
        peft: str | Path | None = None,
        dtype: str = "float32",
        quantization: str = "none",
        tokenizer: str | Path | None = None,
        max_length: int | None = None,
        add_bos_token: bool | None = None,
        prefix_token_id: int | None = None,
        fsdp: int = 1,
        tensor: int = 1,
        batch_tokens: int = 0,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        device: str | None = None,
        trust_remote_code: bool = False,
        **unknown: Any,
    ):
        """Load ``pretrained`` (a directory or hub id) and the PEFT ``adapter`` (``peft``, as ``hf`` calls it).

        ``dtype`` float32, bfloat16 or auto (bfloat16 where the checkpoint is); ``max_length`` shortens the context;
        ``add_bos_token`` and ``prefix_token_id`` as in ``hf``; ``fsdp`` and ``tensor`` split the weights over
        devices; ``batch_tokens`` are scored at once (0: chosen for the devices). ``batch_size`` above 1 is the number of texts continued
        together (32 by default); no result depends on it. ``device`` must be where jax runs. No code is ever
        taken from a checkpoint, so ``trust_remote_code`` changes nothing here. Raises ``SycojaxError`` on
        anything else, and when the model cannot be loaded.
        """
        super().__init__()
        import transformers

        import sycojax
        from sycojax.parallel.mesh import make_mesh
        from sycojax.weights.hub import resolve
        from sycojax.weights.huggingface import resolve_base

        arguments.check(
            unknown, pretrained, max_length=max_length, prefix_token_id=prefix_token_id, fsdp=fsdp, tensor=tensor,
            batch_tokens=batch_tokens,
        )  # fmt: skip
        if adapter and peft:
            raise SycojaxError(f"model_args: adapter={adapter} and peft={peft} mean the same")
        arguments.check_device(device)
        self._pretrained, self._adapter = str(pretrained), arguments.path(adapter or peft)
        directory = resolve_base(self._pretrained)
        reader = resolve(arguments.path(tokenizer) or directory)
        self._directory = directory
        self._dtype = arguments.stored_dtype(directory) if dtype == "auto" else dtype
        self._quantization = quantization
        rows = int(batch_size) if str(batch_size).isdecimal() else 1
        self.model = sycojax.load(
            directory,
            self._adapter,
            dtype=self._dtype,  # pyright: ignore[reportArgumentType]
            quantization=quantization,  # pyright: ignore[reportArgumentType]
            tokenizer=reader,
            mesh=make_mesh(-1, fsdp, tensor),
            batch_tokens=batch_tokens,
            decode_batch=rows if rows > 1 else 0,
        )
        longest = self.model.max_length
        if max_length is not None and not 1 <= max_length <= longest:
            raise SycojaxError(
                f"model_args: max_length={max_length} must be from 1 to {longest}, the model's own context"
            )
        self.max_length = max_length or longest
        self.max_gen_toks = 256
        self._add_bos_token = add_bos_token
        self.tokenizer: Any
        if reader.is_file():
            # transformers' own reader of GGUF files cuts some texts otherwise than the model's tokenizer does.
            self.tokenizer = self.model.tokenizer.raw
            if add_bos_token is not None:
                self.tokenizer.add_bos_token = add_bos_token
        else:
            given = {} if add_bos_token is None else {"add_bos_token": add_bos_token}
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(str(reader), **given)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.unk_token or self.tokenizer.eos_token
        ids = (prefix_token_id, self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        self._prefix_token_id = next(i for i in ids if i is not None)
        self._decoders: dict[tuple[int, tuple[int, ...]], Any] = {}
        if not reads_spaces_alike(self.tokenizer, self.model.tokenizer):
            _log.warning(
                "transformers %s reads %s otherwise than its files say where a text starts with a space or "
                "doubles one; these numbers follow transformers, as those of --model hf do",
                transformers.__version__,
                self.model.tokenizer.source,
            )

    # What the harness asks about the model, and tells it.

    @property
    def eot_token_id(self) -> int:
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text without context: BOS, or EOS where there is none."""
        return self._prefix_token_id

    @property
    def tokenizer_name(self) -> str:
        return self.tokenizer.name_or_path.replace("/", "__")

    def get_model_info(self) -> dict[str, Any]:
        """What goes into the results file."""
        return {
            "model_num_parameters": self.model.base.config.base_parameter_count,
            "model_dtype": self._dtype,
            "quantization": self._quantization,
            "adapter": self._adapter,
            "sycojax_version": __version__,
        }

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Raises ``SycojaxError`` when the answers in --use_cache's file are another model's."""
        from sycojax.weights.fingerprint import checksum

        super().set_cache_hook(cache_hook)
        if cache_hook.dbdict is not None:
            numbers = checksum((self.model.base.params, self.model.lora))
            settings = (
                self.tokenizer.name_or_path, self.max_length, self._add_bos_token, self._prefix_token_id,
            )  # fmt: skip
            arguments.claim_answers(cache_hook.dbdict, f"{numbers} {settings}")

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The tokenizer's chat template; without the system turn where the template refuses one."""
        if self.tokenizer.chat_template is None:
            raise SycojaxError(
                f"the tokenizer of {self._pretrained} has no chat template: leave --apply_chat_template out"
            )

        def render(turns: list[dict[str, str]]) -> str:
            return self.tokenizer.apply_chat_template(
                turns,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )

        try:
            return render(chat_history)
        except jinja2.TemplateError:
            _log.warning("the chat template refuses a system turn; it is left out")
            return render([turn for turn in chat_history if turn["role"] != "system"])

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        bos = self.tokenizer.decode([self.prefix_token_id])
        return encode(self.tokenizer, string, bos, add_special_tokens, self._add_bos_token)

    # The three kinds of requests.

    def _loglikelihood_tokens(
        self, requests: Sequence[Any], disable_tqdm: bool = False, **kwargs: Any
    ) -> list[tuple[float, bool]]:
        answers = []
        for part in self._parts(requests):
            found = self._score([(c, k) for _, c, k in part], disable_tqdm)
            for (texts, _, _), answer in zip(part, found, strict=True):
                self.cache_hook.add_partial("loglikelihood", texts, answer)
            answers += found
        return answers

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-probability of whole texts, in windows of the context's length, each predicting new tokens only."""
        totals: list[float] = []
        for part in self._parts(requests):
            pairs, texts = [], [text for (text,) in (request.args for request in part)]
            counts = []
            for text in texts:
                windows = get_rolling_token_windows(
                    self.tok_encode(text), self.prefix_token_id, self.max_length, context_len=1
                )
                own = [make_disjoint_window(window) for window in windows]
                pairs += own
                counts.append(len(own))
            scores = iter(self._score(pairs, disable_tqdm))
            for text, count in zip(texts, counts, strict=True):
                totals.append(float(sum(next(scores)[0] for _ in range(count))))
                self.cache_hook.add_partial("loglikelihood_rolling", (text,), totals[-1])
        return totals

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Greedy continuations. Raises ``SycojaxError`` where sampling or anything else is asked for."""
        file = self._directory / GENERATION
        settings = read_json(file) if file.is_file() else {}
        asked: dict[Greedy, list[int]] = {}
        for i, request in enumerate(requests):
            greedy = Greedy.read(request.args[1], self.max_gen_toks, settings)
            asked.setdefault(greedy, []).append(i)
        eos = self.tokenizer.decode([self.eot_token_id])
        texts = [""] * len(requests)
        for greedy, numbers in asked.items():
            for part in self._parts(numbers):
                contexts = [requests[i].args[0] for i in part]
                found = self._continue(contexts, greedy, disable_tqdm)
                for i, text in zip(part, found, strict=True):
                    texts[i] = greedy.cut(text, eos)
                    self.cache_hook.add_partial("generate_until", requests[i].args, texts[i])
        return texts

    def _score(self, pairs: Sequence[tuple[list[int], list[int]]], quiet: bool) -> list[Any]:
        """Of each continuation, given as much of its context as fits."""
        from sycojax.weights.precision import exact_products

        cut = []
        for context, continuation in pairs:
            room = self.max_length + 1 - len(continuation)
            if room < 1:
                raise SycojaxError(
                    f"a continuation of {len(continuation)} tokens does not fit into {self.max_length}"
                )
            cut.append((context[-room:], continuation))
        with exact_products(self._dtype):
            return self.model.loglikelihood_tokens(cut, progress=not quiet)

    def _continue(self, contexts: Sequence[str], greedy: Greedy, quiet: bool) -> list[str]:
        """Each with the stop string that ended it; special tokens are no text, and end it as the EOS does."""
        from sycojax.weights.precision import exact_products

        new_tokens, room = greedy.max_gen_toks, self.max_length - greedy.max_gen_toks
        if room < 1:
            raise SycojaxError(
                f"max_gen_toks={new_tokens} leaves no room for a context within {self.max_length} tokens"
            )
        special = special_ids(self.tokenizer)
        known = {*self.model.base.config.eos_token_ids, self.model.tokenizer.eos_id}
        ends = tuple(sorted({special[s] for s in greedy.until if s in special} - known))
        if (new_tokens, ends) not in self._decoders:
            from sycojax.interface import LanguageModel

            reader = ContextTokenizer(
                self.tokenizer, self.model.tokenizer, self._add_bos_token, room
            )
            config = self.model.base.config
            config = dataclasses.replace(config, eos_token_ids=(*config.eos_token_ids, *ends))
            self._decoders[new_tokens, ends] = LanguageModel(
                dataclasses.replace(self.model.base, config=config),
                self.model.lora,
                reader,
                self.model.scorer.config,
            )
        with exact_products(self._dtype):
            return self._decoders[new_tokens, ends].generate(
                contexts,
                new_tokens,
                stop=tuple(filter(None, greedy.until)),
                keep_stop=True,
                progress=not quiet,
            )

    def _parts(self, requests: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """All at once, or piecemeal where --use_cache saves what is done."""
        size = CACHED_PART if self.cache_hook.dbdict is not None else max(len(requests), 1)
        for start in range(0, len(requests), size):
            yield requests[start : start + size]
