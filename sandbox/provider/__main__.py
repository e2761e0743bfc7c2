"""`python -m sandbox.provider [ENGINE_ADDRESS]`: print the port, then serve until killed or cancelled."""

from __future__ import annotations

import sys

from sandbox.provider.service import serve


def main() -> int:
    """Serve; the engine's address is the last argument (Attach and Handshake may give another later)."""
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    return serve(addresses[-1] if addresses else "", announce=lambda port: print(port, flush=True))  # noqa: T201 (the plugin's contract)


if __name__ == "__main__":
    sys.exit(main())
