"""All checks that need no run of the product: format, lint, strict types, SQL lint, JavaScript syntax.

Every check runs, whatever the one before found; the end says which failed and how to mend what a tool can mend.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_TOOLS: Final = Path(sys.executable).parent


def list_checks() -> list[tuple[str, list[str], str]]:
    """(name, command, hint) of each check that has something to look at."""
    ruff = str(_TOOLS / "ruff")
    checks = [
        ("format", [ruff, "format", "--check", "."], "`.venv/bin/ruff format .` mends it"),
        ("lint", [ruff, "check", "."], "`.venv/bin/ruff check --fix .` mends a part"),
        ("types", [sys.executable, "-m", "mypy", "--num-workers=auto"], ""),
    ]
    migrations = [str(path) for path in sorted((ROOT / "server" / "migrations").glob("*.sql"))]
    if migrations:
        checks.append(("sql", [str(_TOOLS / "squawk"), *migrations], ".squawk.toml holds the rules"))
    scripts = [str(path) for path in sorted(ROOT.glob("web/**/*.js")) if "dist" not in path.parts]
    if scripts:
        checks.append(("javascript", ["node", str(ROOT / "scripts" / "check_syntax.mjs"), *scripts], ""))
    return checks


def main() -> int:
    """0 when every check passed."""
    failed: list[str] = []
    for name, command, hint in list_checks():
        started_s = time.monotonic()
        outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        took = f"{time.monotonic() - started_s:.1f} s"
        if outcome.returncode == 0:
            print(f"check: {name} ok ({took})", flush=True)
            continue
        failed.append(name)
        print(f"check: {name} FAILED ({took})\n{outcome.stdout}{outcome.stderr}{hint}", flush=True)
    if failed:
        print(f"check: {', '.join(failed)} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
