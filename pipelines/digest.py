"""The identity of the pipeline's code.

The compiled YAML holds the components' bodies, which only call functions of this package, so the YAML alone would not
change when those do. Standard library only: the daemon calls this.
"""

import hashlib
from pathlib import Path


def pipeline_digest(package: Path = Path(__file__).parent) -> str:
    """64 hexadecimal digits over names and bytes of every source file of the package; equal on every machine.

    Args:
        package: Folder of the package.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py"), key=lambda path: path.relative_to(package).as_posix()):
        source = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()}\0{len(source)}\0".encode())
        digest.update(source)
    return digest.hexdigest()
