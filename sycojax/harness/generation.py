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


@dataclasses.dataclass(frozen=True)
class Greedy:
    """How long a context is continued, and what ends it."""

    until: tuple[str, ...]
    max_gen_toks: int

    @classmethod
    def read(cls, kwargs: Mapping[str, Any], default_limit: int) -> Greedy:
        """Raises ``SycojaxError`` naming what is not greedy decoding."""
        unknown = sorted(set(kwargs) - set(READ))
        sampled = kwargs.get("do_sample")
        if sampled is None:
            sampled = float(kwargs.get("temperature") or 0.0) > 0
        if unknown or sampled:
            what = ", ".join(unknown) if unknown else "sampling"
            raise SycojaxError(
                f"generation_kwargs ask for {what}: sycojax decodes greedily "
                "(--gen_kwargs do_sample=False,temperature=0)"
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
