"""Trials and faults of agreements: labels, and promises of the owners of data."""

import csv
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.data import GUIDE, read_agreements, TABLE
from mlops_ladder.maturity.sandbox import Copy, Done, last_line
from mlops_ladder.maturity.service import run_service
from mlops_ladder.maturity.trials.project import ask_project, read_rows

ROWS = 8  # to label
QUEUE = "data/labelling/queue.csv"

Words = dict[str, str]


def queue_rows(copy: Copy) -> Words:
    """Queue requests for labelling; return two valid labels, and the digest of the data."""
    copy.need("pipeline-smoke")
    with run_service(copy) as service:
        status, reply = service.ask("/predict", [service.example()] * ROWS)
    if status != 200:
        raise Unknown(f"/predict: {status} for its own example: {reply}")
    low, high = ask_project(copy, "rows", "choose_labels")
    copy.append(GUIDE, "".join(f"\n- `{name}`: of a trial." for name in (low, high)))
    return {"low": low, "high": high} | read_digest(copy)


def read_digest(copy: Copy) -> Words:
    """Return the sha256 and the number of the rows of training."""
    digest, rows = ask_project(copy, "rows", "data_digest")
    return {"digest": digest, "rows": str(rows)}


def fill_sheet(copy: Copy, *labels: str) -> None:
    """Write filled.csv with these labels, one after the other, in the order of the queued rows."""
    queue = sorted(read_rows(copy, QUEUE), key=lambda line: line["row"])
    with (copy.root / "filled.csv").open("w", encoding="utf-8", newline="") as file:
        sheet = csv.writer(file)
        sheet.writerow(["row", "label"])
        sheet.writerows([row["row"], labels[at % len(labels)]] for at, row in enumerate(queue))


def check_labelled_rows(copy: Copy, digest: str, rows: str) -> Iterator[str]:
    """Compare training before and after labels were merged, and look at their table."""
    after, table = read_digest(copy), read_rows(copy, TABLE)
    more = int(after["rows"]) - int(rows)
    if more != ROWS or after["digest"] == digest:
        yield f"make label MERGE=yes: {ROWS} rows settled, training reads {more} more"
    is_complete = all(row["source"] and row["annotator"] and row["time"] for row in table)
    if len(table) != 2 * ROWS or not is_complete:
        yield f"{TABLE}: {len(table)} labels of {2 * ROWS}, or not each by whom and when"


def check_relabelled_rows(copy: Copy, digest: str, rows: str) -> Iterator[str]:
    """Compare training before and after rows were labelled anew."""
    after = read_digest(copy)
    if after["digest"] == digest or after["rows"] != rows:
        yield f"make label MERGE=yes: {ROWS} rows are labelled anew, and the data are the same"


@contextmanager
def receive_posts() -> Iterator[tuple[str, list[Any]]]:
    """Yield an address, and the list of the messages posted there."""
    posts: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        """A handler that keeps the posted messages."""

        def do_POST(self) -> None:  # pylint: disable=invalid-name  # as the base class calls it
            """Append the posted message to the list."""
            posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", posts
    finally:
        server.shutdown()
        server.server_close()


def choose_upstream(copy: Copy) -> str:
    """Return a source with another owner that training reads."""
    sources: list[str] = ask_project(copy, "rows", "list_upstream_sources")
    if not sources:
        raise Unknown("contracts: none about data that training reads and whose rows have a time")
    return copy.random.choice(sorted(sources))


def check_contracts(copy: Copy) -> tuple[Done, str]:
    """Run `make contracts`; return its result, and the text posted to the webhook."""
    with receive_posts() as (address, posts):
        done = copy.run("make", "contracts", **copy.settings(SCHEDULE__WEBHOOK=address))
    return done, " ".join(str(post.get("text")) for post in posts)


def check_unchanged_data(copy: Copy) -> Iterator[str]:
    """Check unchanged data: nothing is posted."""
    done, posted = check_contracts(copy)
    if done.returncode or posted:
        yield f"make contracts: {posted or last_line(done)}"


def age_data(copy: Copy) -> Iterator[str]:
    """Remove the newest rows of a source: that is posted."""
    source = choose_upstream(copy)
    if not ask_project(copy, "rows", "remove_newest_rows", source):
        raise Unknown(f"{source}: no row is old enough to be left")
    done, posted = check_contracts(copy)
    if not done.returncode or source not in posted or "days old" not in posted:
        yield f"make contracts: {source} has lost its newest rows, and nobody is told"


def raise_version(copy: Copy) -> Iterator[str]:
    """Raise the version of a contract: that is posted, until it is accepted."""
    source = choose_upstream(copy)
    names = {entry.get("source"): name for name, entry in read_agreements(copy.repository).items()}
    name = names[source]
    pattern = re.compile(r'^(version *= *)["\'].*["\']', re.MULTILINE)
    copy.write(name, pattern.sub(r'\1"of a trial"', copy.text(name)))
    done, posted = check_contracts(copy)
    if not done.returncode or "of a trial" not in posted:
        yield f"make contracts: {name} has another version, and nobody is told"
    copy.must("make", "contracts", f"ACCEPT={source}", "BY=a trial")
    if check_contracts(copy)[1]:
        yield f"make contracts: {name} was accepted, and is posted again"
