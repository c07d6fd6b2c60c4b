"""The harness's ``generation_kwargs``, as far as they mean greedy decoding."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sycojax.errors import SycojaxError

# Names of the same limit, in the harness's order of precedence.
LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
# Without sampling, the last two change nothing.
READ = ("until", *LIMITS, "do_sample", "temperature", "top_p", "top_k")
# What tasks, and a checkpoint's generation_config.json, also say: the values with which it is greedy decoding.
NEUTRAL = {
    "num_beams": 1, "num_return_sequences": 1, "early_stopping": False, "length_penalty": 1, "repetition_penalty": 1,
    "no_repeat_ngram_size": 0,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Greedy:
    """How long a context is continued, and what ends it."""

    until: tuple[str, ...]
    max_gen_toks: int

    @classmethod
    def read(
        cls,
        kwargs: Mapping[str, Any],
        default_limit: int,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> Greedy:
        """``checkpoint`` is its generation_config.json, which ``hf`` obeys where ``kwargs`` say nothing.

        Raises ``SycojaxError`` naming what is not greedy decoding.
        """
        kwargs = {**{k: v for k, v in (checkpoint or {}).items() if k in NEUTRAL}, **kwargs}
        refused = sorted(
            f"{name}={value}"
            for name, value in kwargs.items()
            if name not in READ and not (name in NEUTRAL and value in (NEUTRAL[name], None))
        )
        sampled = kwargs.get("do_sample")
        if sampled is None:
            sampled = float(kwargs.get("temperature") or 0.0) > 0
        if refused or sampled:
            what = ", ".join(refused) if refused else "sampling"
            said = ",".join(f"{name}={value}" for name, value in NEUTRAL.items() if name in kwargs)
            raise SycojaxError(
                f"generation_kwargs or the checkpoint's generation_config.json ask for {what}: sycojax decodes "
                f"greedily (--gen_kwargs do_sample=False,temperature=0{',' if said else ''}{said})"
            )
        until = kwargs.get("until") or []
        limits = [kwargs[name] for name in LIMITS if kwargs.get(name) is not None]
        return cls(
            (until,) if isinstance(until, str) else tuple(until),
            int(limits[0]) if limits else default_limit,
        )

    def cut(self, text: str, eos: str) -> str:
        """``text`` before its stop strings, one after the other as the harness does, then before ``eos``."""
        for stop in (*self.until, eos):
            if stop:
                text = text.split(stop)[0]
        return text
