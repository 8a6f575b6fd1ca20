"""``python -m ttc`` is the command line."""

from ttc.cli import main

main()
