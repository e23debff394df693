"""SSH signatures: made and verified by ssh-keygen, with git's keys and a file of allowed signers.

A signature is for some bytes of one kind: a signed model is no signed image.  Only Python's own
library is needed: CI deploys without the project's environment.
"""

import subprocess
import tempfile
from pathlib import Path

from mlops_ladder import project, ProjectError

SIGNERS = Path(".signers")


def run_keygen(*arguments: str, stdin: bytes = b"") -> str:
    """Return the output of ssh-keygen.  Raise ProjectError with its last line if it fails."""
    command = ["ssh-keygen", "-Y", *arguments]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise ProjectError("ssh-keygen: not installed; it is a part of OpenSSH") from error
    if done.returncode:
        words = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise ProjectError(words[-1] if words else "ssh-keygen failed without a message")
    return done.stdout.decode()


def namespace(kind: str) -> str:
    """Return ssh's namespace of a signature: of this project and of one kind."""
    return f"{kind}@{project.get_project().package}"


def sign_bytes(content: bytes, key: str, kind: str) -> str:
    """Return the signature of these bytes.  Raise ProjectError if the key cannot sign."""
    path = str(Path(key).expanduser())
    try:
        return run_keygen("sign", "-q", "-f", path, "-n", namespace(kind), stdin=content)
    except ProjectError as error:
        raise ProjectError(f"{key}: cannot sign: {error}") from error


def verify_bytes(content: bytes, signature: str, kind: str, signers: Path = SIGNERS) -> str:
    """Return the signer of these bytes, as the file of allowed signers names it.

    Raises ProjectError if no allowed signer has signed them, or other bytes were signed.
    """
    if not signature.strip():
        raise ProjectError("there is no signature")
    if not signers.is_file():
        raise ProjectError(f"{signers}: not here; a line per signer: address ssh-ed25519 AAAA…")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signature"
        path.write_text(signature, encoding="utf-8")
        files = ("-f", str(signers), "-s", str(path))
        try:
            signer = run_keygen("find-principals", *files).splitlines()[0]
        except ProjectError as error:
            raise ProjectError(f"its signer is not in {signers} ({error})") from error
        try:
            run_keygen("verify", *files, "-n", namespace(kind), "-I", signer, stdin=content)
        except ProjectError as error:
            raise ProjectError(f"the signature of {signer} does not verify: {error}") from error
    return signer
