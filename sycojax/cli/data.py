"""``sycojax data prepare|check|show``: fetch the rows once, validate them all, look at what the model will see."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from sycojax.config import StudyConfig
from sycojax.data.data_sets import Split
from sycojax.data.encode import EncodedExample, encode_example
from sycojax.data.prompts import Prompts
from sycojax.data.sources import Source, open_source
from sycojax.data.template_audit import audit_template
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError, visible
from sycojax.evals import evaluations
from sycojax.files import atomic_directory
from sycojax.requests import Request
from sycojax.study.datasets import source_of
from sycojax.study.inputs import prompts_of
from sycojax.study.shown import Shown, shown

T = TypeVar("T")


def all_splits(source: Source) -> list[tuple[str, Split]]:
    """Every data set of a study with each of its splits."""
    return [(name, split) for name, one in source.data_sets.items() for split in one.splits]


def prepare(source: Source, to: Path) -> str:
    """Write all rows as local files that ``data.source=files`` reads, all or none; says where they are.

    Rows that lie in a file of their own stay there.

    Raises ``SycojaxError`` on a bad row, or when ``to`` exists.
    """
    if to.exists():
        raise SycojaxError(f"--to={to} exists already: choose a new directory")
    with atomic_directory(to) as temporary:
        (temporary / "splits").mkdir()
        wanted = [
            pair for pair in all_splits(source) if not source.data_sets[pair[0]].rows_file(pair[1])
        ]
        for task, split in wanted:
            if split != "probe":
                text = "".join(f"{line}\n" for line in _written(source, task, split))
                (temporary / "splits" / f"{task}_{split}.jsonl").write_text(text, encoding="utf-8")
        lists = (
            f"{json.dumps(name)}: [{', '.join(_written(source, name, split))}]"
            for name, split in wanted
            if split == "probe"
        )
        text = f"{{{', '.join(lists)}}}\n"
        (temporary / "probes.json").write_text(text, encoding="utf-8")
        written = open_source("files", str(temporary), source.data_sets)
        for name, split in wanted:
            if written.fingerprint(name, split) != source.fingerprint(name, split):
                raise RuntimeError(f"{name} {split} reads differently from the files just written")
    return f"data      {to.resolve()}: use --config.data.source=files --config.data.path={to}"


def _written(source: Source, name: str, split: Split) -> Iterator[str]:
    """The records of a split as JSON; what JSON cannot hold, which no row can be made of, is null."""
    # Read back, since the encoder has no word on Infinity, and a walk in Python cannot go as deep as it does.
    for row, raw in zip(source.rows(name, split), source.raw(name, split), strict=True):
        try:
            text = json.dumps(raw, default=_nothing, skipkeys=True)  # dates, bytes
            held = json.loads(text, parse_constant=_nothing)  # Infinity
        except (ValueError, RecursionError) as error:
            said = f"{row.origin}: cannot be written as JSON ({type(error).__name__})"
            raise SycojaxError(said) from error
        text = json.dumps(held, ensure_ascii=False)
        # Half a character, which a file cannot hold, stays what it is in JSON.
        yield text.encode("utf-8", "backslashreplace").decode()


def _nothing(value: object) -> None:
    del value


def check(source: Source) -> str:
    """Validate every row; a table of what there is. Raises ``SycojaxError`` naming the first bad one."""
    lines = [f"{'data set':<14}{'split':<8}{'rows':>7}  sha256 of the contents"]
    for name, split in all_splits(source):
        rows = source.rows(name, split)
        fingerprint = source.fingerprint(name, split)[:16]
        lines.append(f"{name:<14}{split:<8}{len(rows):>7,}  {fingerprint}")
        counts = source.irregular.get((name, split), {})
        lines += [f"{'':<14}{n:>15,}  {what}" for what, n in counts.items()]
    return "\n".join(lines)


def show(config: StudyConfig, source: Source, tokenizer: Tokenizer, name: str, index: int) -> str:
    """Row ``index`` of a data set as the model sees it: the training example with its targets, then each question.

    Raises ``SycojaxError`` on an unknown name or an index outside the rows.
    """
    registry, data = evaluations(config.data.probes), config.data
    if name not in registry.subjects:
        raise SycojaxError(f"--name={name!r}: name one of {', '.join(registry.subjects)}")
    evaluation = registry[name]
    prompts = prompts_of(config, tokenizer)
    parts = []
    split = evaluation.splits[-1]  # what is asked
    if split == "test":
        row = _at(source.rows(name, "train"), index, f"{name} train")
        for example in evaluation.examples([row], prompts, data.seed):
            encoded = encode_example(tokenizer, example, data.max_length)
            title = f"training example from {row.origin}"
            body = "(longer than data.max_length: nothing is left to train on)"
            if encoded is not None:
                body = _targets(encoded, tokenizer)
                title += (
                    f": {len(encoded.token_ids)} tokens, {int(encoded.loss_mask.sum())} targets"
                )
            parts += [f"--- {title}", body]
    row = _at(source.rows(name, split), index, f"{name} {split}")
    for request in evaluation.requests([row], prompts, data.seed):
        parts += [f"--- {request.condition} of {row.origin}", _asked(request)]
    return "\n".join(parts)


def kinds(
    config: StudyConfig, source: Source, prompts: Prompts, tokenizer: Tokenizer, row: int = 0
) -> list[Shown]:
    """One example of each kind of prompt, of row number ``row`` of each data set of the config's ``source`` that has as many.

    Raises ``SycojaxError`` where a row is wrong, or where template and tokenizer do not fit together.
    """
    registry, seed = evaluations(config.data.probes), config.data.seed
    examples, requests = {}, {}
    for name in (*config.score.evaluations, *registry.added):
        evaluation = registry[name]
        if "train" in evaluation.splits:
            trained = source.rows(name, "train")[row : row + 1]
            examples[name] = evaluation.examples(trained, prompts, seed)
        rows = source.rows(name, evaluation.splits[-1])[row : row + 1]
        requests[name] = evaluation.requests(rows, prompts, seed)
    audit_template(prompts, tokenizer, itertools.chain.from_iterable(requests.values()))
    return list(shown(examples, requests))


def asked_texts(config: StudyConfig, tokenizer: Tokenizer, *, ids: bool) -> str:
    """``kinds`` for a terminal; ``ids``: the prompts' ids too. Raises ``SycojaxError`` as they do."""
    prompts = prompts_of(config, tokenizer)
    template = prompts.template
    lines = [f"--- written by {template.origin} (sha256 {template.digest[:16]})"]
    for one in kinds(config, source_of(config), prompts, tokenizer):
        lines += [f"--- {one.title}", _shown(one.prompt)]
        lines += [f"  {_marked(_shown(answer))}" for answer in one.answers]
        if ids:
            lines.append(f"  {tokenizer.encode(one.prompt, add_special_tokens=False)}")
    return "\n".join(lines)


def _at(rows: Sequence[T], index: int, what: str) -> T:
    if not 0 <= index < len(rows):
        raise SycojaxError(f"--index={index}: {what} has rows 0 to {len(rows) - 1}")
    return rows[index]


def _targets(example: EncodedExample, tokenizer: Tokenizer) -> str:
    """The example's text with the tokens that are trained on in brackets."""
    ids = [int(example.token_ids[0]), *map(int, example.target_ids)]
    trained = [False, *map(bool, example.loss_mask)]
    runs: list[tuple[bool, list[int]]] = []
    for token, on in zip(ids, trained, strict=True):
        if not runs or runs[-1][0] != on:
            runs.append((on, []))
        runs[-1][1].append(token)
    texts = [(on, _shown(_text(tokens, tokenizer))) for on, tokens in runs]
    return "".join(_marked(text) if on else text for on, text in texts)


def _text(token_ids: Sequence[int], tokenizer: Tokenizer) -> str:
    """The text of tokens with the special ones written out."""
    special = tokenizer.special_texts
    runs = itertools.groupby(token_ids, key=special.get)
    return "".join(
        tokenizer.decode(list(run)) if text is None else text * len(list(run)) for text, run in runs
    )


def _asked(request: Request) -> str:
    lines = [_shown(request.prompt)]
    lines += [f"  {_marked(_shown(c))}" for c in request.candidates]
    if request.max_new_tokens:
        lines.append(f"  (continued greedily, at most {request.max_new_tokens} tokens)")
    return "\n".join(lines)


def _shown(text: str) -> str:
    """Data set text for a terminal, which obeys nothing in it."""
    return visible(text, keep="\n")


def _marked(text: str) -> str:
    return f"\u27e6{text}\u27e7"
