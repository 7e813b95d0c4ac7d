"""``python -m flopbench``."""

from flopbench.cli import main

raise SystemExit(main())
