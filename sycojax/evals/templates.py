"""A probe asked once more in another chat template, as an audit: does an effect keep its sign?

Adapters of the published recipe are trained on plain ``Question:`` / ``Answer:`` text and probed in a chat
template. An adapter may then differ from the base only because it has drifted away from the template; such a
difference changes with the template, an attitude towards the user does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sycojax.data.prompts import Prompts
from sycojax.evals.protocol import Evaluation, Form, Measure, Role
from sycojax.records import Record
from sycojax.requests import Request


class InTemplate(Form):
    """A probe in ``template``: the same items, conditions and measures under the name ``PROBE_TEMPLATE``."""

    role: Role = "audit"

    def __init__(self, probe: Evaluation, template: str):
        super().__init__(probe, template)
        self.template = template
        self.contrasts = probe.contrasts

    def requests(self, rows: Sequence[Any], prompts: Prompts, seed: int) -> list[Request]:
        return self._named(self.subject.requests(rows, self.in_template(prompts), seed))

    def followups(
        self, requests: Sequence[Request], records: Sequence[Record], prompts: Prompts
    ) -> list[Request]:
        asked, answered = self.of_subject(requests), self.of_subject(records)
        return self._named(self.subject.followups(asked, answered, self.in_template(prompts)))

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        return self.subject.measures(self.of_subject(records))

    def diagnostics(self, records: Sequence[Record]) -> Mapping[str, float]:
        return self.subject.diagnostics(self.of_subject(records))

    def in_template(self, prompts: Prompts) -> Prompts:
        """``prompts`` as this form writes them."""
        return dataclasses.replace(prompts, template=prompts.template.named(self.template))

    def _named(self, requests: Sequence[Request]) -> list[Request]:
        return [dataclasses.replace(r, evaluation=self.name) for r in requests]
