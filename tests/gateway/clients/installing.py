"""Clients of others, and how they come into folders of their own.

    python -m tests.gateway.clients.installing

installs those that are not there yet (`make clients`). The tests drive what is there.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ENVIRONMENTS = Path(__file__).parents[3] / ".environments"
INSTALL_SECONDS = 240
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Package:
    """One version of a client of others, in a folder of its own."""

    requirement: str
    in_node: bool = False

    @property
    def name(self) -> str:
        found = re.match(r"@?[\w./-]+", self.requirement)
        return found[0] if found else self.requirement

    @property
    def folder(self) -> Path:
        runtime = "node" if self.in_node else f"python-{sys.version_info[0]}.{sys.version_info[1]}"
        package = re.sub(r"[^\w.]+", "-", self.requirement).strip("-")
        return ENVIRONMENTS / f"{package}-{runtime}"

    @property
    def missing(self) -> str | None:
        """Why it cannot be driven here; None if it can."""
        if self.in_node and not shutil.which("node"):
            return "Node is not there"
        if not self.folder.exists():
            return f"{self.requirement} is not there (`make clients` installs it)"
        return None

    def install(self) -> str | None:
        """Install it unless it is there; why it could not be, if it could not."""
        if self.folder.exists():
            return None
        if self.in_node and not shutil.which("npm"):
            return f"{self.requirement}: npm is not there"
        ENVIRONMENTS.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=ENVIRONMENTS, ignore_cleanup_errors=True) as made:
            folder = Path(made) / "client"
            try:
                done = subprocess.run(
                    self._command(folder),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    encoding="utf-8",
                    timeout=INSTALL_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return f"{self.requirement}: it took longer than {INSTALL_SECONDS} s"
            if not done.returncode:
                folder.rename(self.folder)
                return None
        lines = f"{done.stderr}{done.stdout}".strip().splitlines() or ["no reason was given"]
        reason = next((line for line in lines if "error" in line.lower()), lines[-1])
        return f"{self.requirement} could not be installed: {reason}"

    def _command(self, folder: Path) -> list[str]:
        if self.in_node:
            npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
            npm += ["--fetch-retries", "1", "--loglevel", "error"]
            return [*npm, "--prefix", str(folder), self.requirement]
        quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1")
        pip = [sys.executable, "-m", "pip", "install", *quiet]
        return [*pip, "--target", str(folder), self.requirement]


ANTHROPIC_0 = Package("anthropic>=0.100,<1")
ANTHROPIC_SDK_1 = Package("@anthropic-ai/sdk@1.14", in_node=True)
ANTHROPIC_SDK_0 = Package("@anthropic-ai/sdk@>=0.100 <1", in_node=True)
# The program itself; the package without a platform in its name would only fetch it.
CLAUDE_CODE = Package(
    f"@anthropic-ai/claude-code-{sys.platform}-"
    f"{_MACHINES.get(platform.machine().lower(), platform.machine())}@2.1.332",
    in_node=True,
)
# It looks for what keeps people from using a page; one file, which tests put into the page.
AXE = Package("axe-core@4.14", in_node=True)
# An identity provider that is certified for OpenID Connect.
OIDC_PROVIDER = Package("oidc-provider@9.13", in_node=True)
PACKAGES = (ANTHROPIC_0, ANTHROPIC_SDK_1, ANTHROPIC_SDK_0, CLAUDE_CODE, AXE, OIDC_PROVIDER)


def main() -> int:
    with ThreadPoolExecutor() as pool:
        problems = list(pool.map(Package.install, PACKAGES))
    for package, problem in zip(PACKAGES, problems, strict=True):
        print(problem or f"{package.requirement} is there")
    return 1 if any(problems) else 0


if __name__ == "__main__":
    sys.exit(main())
