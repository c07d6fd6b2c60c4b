"""What ``tpu_vm.sh`` asks before it makes a slice or starts a study: is all of it right, and which system image is it?"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from launch import study
from sycojax.planning.slices import slice_of_type


def image(options: Namespace) -> str:
    """The system image of this type. Raises ``SycojaxError`` for an unknown type and a workdir that its hosts cannot use."""
    slice_ = slice_of_type(options.type)
    options.study.place(options.share, slice_.hosts)
    return f"{slice_.generation.image}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = study.Parser("tpu_vm", "--type=TYPE")
    parser.add_argument("--type", required=True, help="Cloud TPU's accelerator type")
    parser.add_argument("--share", default="", help="NFS share HOST:/PATH that holds the workdir")
    return study.main(parser, image, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
