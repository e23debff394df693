"""Signatures: made and verified by ssh-keygen, with the keys and the file of signers that git uses.

A signature is of some bytes, as something: a signed model is no signed image.
"""

import subprocess
import tempfile
from pathlib import Path

from mlops_ladder import project, ProjectError

SIGNERS = Path(".signers")


def keygen(*arguments: str, stdin: bytes = b"") -> str:
    """What ssh-keygen says.  ProjectError in its words where it fails."""
    command = ["ssh-keygen", "-Y", *arguments]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise ProjectError("ssh-keygen: not installed; it is a part of OpenSSH") from error
    if done.returncode:
        words = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise ProjectError(words[-1] if words else "ssh-keygen failed without a word")
    return done.stdout.decode()


def named(kind: str) -> str:
    """What a signature is of, as ssh calls it: no other project's, and of no other kind."""
    return f"{kind}@{project.get_project().package}"


def sign(content: bytes, key: str, kind: str) -> str:
    """The signature of these bytes.  ProjectError where the key cannot sign."""
    place = str(Path(key).expanduser())
    try:
        return keygen("sign", "-q", "-f", place, "-n", named(kind), stdin=content)
    except ProjectError as error:
        raise ProjectError(f"{key}: cannot sign: {error}") from error


def signer(content: bytes, signature: str, kind: str, signers: Path = SIGNERS) -> str:
    """Who has signed these bytes, as the file of signers names them.

    Raises ProjectError where nobody has whom that file names, or other bytes were signed.
    """
    if not signature.strip():
        raise ProjectError("there is no signature")
    if not signers.is_file():
        told = "not here; a line for each signer: address ssh-ed25519 AAAA…"
        raise ProjectError(f"{signers}: {told}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signature"
        path.write_text(signature, encoding="utf-8")
        where = ("-f", str(signers), "-s", str(path))
        try:
            found = keygen("find-principals", *where).splitlines()
        except ProjectError as error:
            raise ProjectError(f"its signer is not in {signers} ({error})") from error
        try:
            keygen("verify", *where, "-n", named(kind), "-I", found[0], stdin=content)
        except ProjectError as error:
            raise ProjectError(f"the signature of {found[0]} does not verify: {error}") from error
    return found[0]
