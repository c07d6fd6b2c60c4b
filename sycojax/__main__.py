"""``python -m sycojax`` is ``sycojax``."""

import sys

from sycojax.cli import main

sys.exit(main())
