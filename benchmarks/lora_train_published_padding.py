"""``lora_train`` on the published recipe's texts, the peer padding as the published study does.

python -m benchmarks.lora_train_published_padding --shape=small --out=benchmarks.jsonl
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import lora_train


def main(argv: Sequence[str] | None = None) -> None:
    """Measure one shape."""
    lora_train.main(argv, published=True)


if __name__ == "__main__":
    main()
