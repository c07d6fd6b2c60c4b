"""A probe asked once more in another chat template, as an audit: does an effect keep its sign?

Adapters of the published recipe are trained on plain ``Question:`` / ``Answer:`` text and probed in a chat
template. An adapter may then differ from the base only because it has drifted away from the template; such a
difference changes with the template, an attitude towards the user does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sycojax.data.examples import Example
from sycojax.data.prompts import ChatTemplate, Prompts
from sycojax.evals.protocol import Evaluation, Measure, Role
from sycojax.records import Record
from sycojax.requests import Request


@dataclasses.dataclass(frozen=True)
class InTemplate:
    """``probe`` in ``template``: the same items, conditions and measures under the name ``PROBE_TEMPLATE``."""

    probe: Evaluation
    template: ChatTemplate
    role: Role = dataclasses.field(default="audit", init=False)

    @property
    def name(self) -> str:
        return f"{self.probe.name}_{self.template}"

    @property
    def subject(self) -> str:
        return self.probe.name

    def requests(self, rows: Sequence[Any], prompts: Prompts, seed: int) -> list[Request]:
        return self._named(self.probe.requests(rows, self._in_template(prompts), seed))

    def followups(
        self, requests: Sequence[Request], records: Sequence[Record], prompts: Prompts
    ) -> list[Request]:
        asked = [dataclasses.replace(r, evaluation=self.probe.name) for r in requests]
        return self._named(
            self.probe.followups(asked, self._of_probe(records), self._in_template(prompts))
        )

    def examples(self, rows: Sequence[Any], prompts: Prompts, seed: int) -> list[Example]:
        return []

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        return self.probe.measures(self._of_probe(records))

    def diagnostics(self, records: Sequence[Record]) -> Mapping[str, float]:
        return self.probe.diagnostics(self._of_probe(records))

    def _in_template(self, prompts: Prompts) -> Prompts:
        return dataclasses.replace(prompts, template=self.template)

    def _named(self, requests: Sequence[Request]) -> list[Request]:
        return [dataclasses.replace(r, evaluation=self.name) for r in requests]

    def _of_probe(self, records: Sequence[Record]) -> list[Record]:
        """Records under the probe's own name: its tie-breaking goes by names, and must decide alike."""
        return [dataclasses.replace(r, evaluation=self.probe.name) for r in records]
