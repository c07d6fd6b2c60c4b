"""Pretraining documents as packed rows, with a list of the places that are trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from tokenizers import Encoding, Tokenizer

from pretraining.corpus import Corpus
from pretraining.talk import Document

# At most this share of all places is trained on; the head runs on no others.
TARGET_SHARE = 0.36
_OPEN_ROWS = 12


class Batch(NamedTuple):
    """B rows of T tokens; M trained places as flat indices into them. Unused places weigh 0."""

    token_ids: np.ndarray  # int32 [B, T]
    positions: np.ndarray  # int32 [B, T], from 0 in every document
    segment_ids: np.ndarray  # int32 [B, T], 0 = padding
    places: np.ndarray  # int32 [M]
    targets: np.ndarray  # int32 [M], the token after each place
    weights: np.ndarray  # float32 [M]
    kinds: np.ndarray  # int32 [M], which kind of document; -1 for end marks and unused places


def encode(
    tokenizer: Tokenizer, documents: Sequence[Document]
) -> list[tuple[list[int], np.ndarray]]:
    """Each one's token ids and the weight of each as a target; a token counts to the span in which it ends."""
    encodings = tokenizer.encode_batch([d.text for d in documents], add_special_tokens=False)
    return [_weighed(e, d) for e, d in zip(encodings, documents, strict=True)]


def _weighed(encoding: Encoding, document: Document) -> tuple[list[int], np.ndarray]:
    weights = np.zeros(len(encoding.ids), np.float32)
    spans = iter(document.targets)
    span = next(spans, None)
    for i, (_, end) in enumerate(encoding.offsets):
        while span is not None and end > span[1]:
            span = next(spans, None)
        if span is not None and end > span[0]:
            weights[i] = span[2]
    return encoding.ids, weights


def batches(
    corpus: Corpus,
    tokenizer: Tokenizer,
    mix: Callable[[int], Mapping[str, tuple[float, float]]],
    rng: np.random.Generator,
    rows: int,
    length: int,
) -> Iterator[Batch]:
    """An endless stream of batches.

    ``mix`` says, given how many batches there were, which share of the *tokens* each kind of document
    takes and how much its trained tokens count.
    """
    kinds = list(corpus.kinds)
    index = {kind: i for i, kind in enumerate(kinds)}
    typical = np.array(
        [
            np.mean(
                [len(ids) for ids, _ in encode(tokenizer, [corpus.draw(k, rng) for _ in range(20)])]
            )
            for k in kinds
        ]
    )
    made = 0
    open_rows: list[list[tuple[int, list[int], np.ndarray]]] = []
    room: list[int] = []
    full: list[list[tuple[int, list[int], np.ndarray]]] = []
    while True:
        now = mix(made)
        shares = np.array([now.get(k, (0.0, 0.0))[0] for k in kinds]) / typical
        chosen = [kinds[k] for k in rng.choice(len(kinds), 64, p=shares / shares.sum())]
        drawn = encode(tokenizer, [corpus.draw(kind, rng) for kind in chosen])
        for kind, (ids, weights) in zip(chosen, drawn, strict=True):
            ids, weights = ids[:length], weights[:length] * now[kind][1]
            row = next((r for r, free in enumerate(room) if len(ids) <= free), None)
            if row is None:
                if len(room) == _OPEN_ROWS:
                    fullest = int(np.argmin(room))
                    full.append(open_rows.pop(fullest))
                    room.pop(fullest)
                open_rows.append([])
                room.append(length)
                row = len(room) - 1
            open_rows[row].append((index[kind], ids, weights))
            room[row] -= len(ids)
            if len(full) == rows:
                yield _batch(full, rows, length)
                full = []
                made += 1


def _batch(packed: list[list[tuple[int, list[int], np.ndarray]]], rows: int, length: int) -> Batch:
    token_ids, positions, segments = (np.zeros((rows, length), np.int32) for _ in range(3))
    kinds = np.full((rows, length), -1, np.int32)
    weights = np.zeros((rows, length), np.float32)
    targets = np.zeros((rows, length), np.int32)
    for r, documents in enumerate(packed):
        start = 0
        for segment, (kind, ids, weight) in enumerate(documents, 1):
            end = start + len(ids)
            token_ids[r, start:end] = ids
            positions[r, start:end] = np.arange(len(ids))
            segments[r, start:end] = segment
            kinds[r, start : end - 1] = np.where(weight[1:] > 0.2 * weight.max(), kind, -1)
            targets[r, start : end - 1] = ids[1:]
            weights[r, start : end - 1] = weight[1:]
            start = end
    size = int(TARGET_SHARE * rows * length)
    found = np.flatnonzero(weights.ravel())[:size]
    pad = size - len(found)

    def gather(values: np.ndarray, fill: int = 0) -> np.ndarray:
        return np.pad(values.ravel()[found], (0, pad), constant_values=fill)

    places = np.pad(found, (0, pad)).astype(np.int32)
    return Batch(
        token_ids, positions, segments, places, gather(targets), gather(weights), gather(kinds, -1)
    )
