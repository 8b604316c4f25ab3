"""Write a fortnight of a service as CSV: python examples/backtest/fortnight.py > fortnight.csv

The requests a minute are those of the 1998 World Cup site (benchmarks/detection/traces), from
1998-05-16 to 1998-05-30, a fifth of them. That site kept no errors: they are drawn, always the
same. Usually about 0.2 % of the requests fail, more on some hours than on others; after the third
and the seventh deploy of deploys.txt 3 % and 0.8 % more do, for 45 minutes.
"""

from __future__ import annotations

import csv
import gzip
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

LOAD = Path(__file__).parents[2] / "benchmarks/detection/traces/worldcup98_requests_per_min.csv.gz"
FIRST, LAST = datetime(1998, 5, 16, tzinfo=UTC), datetime(1998, 5, 30, tzinfo=UTC)
BAD = {
    datetime(1998, 5, 20, 14, 0, tzinfo=UTC): 0.03,
    datetime(1998, 5, 27, 9, 30, tzinfo=UTC): 0.008,
}
HURT = 45 * 60.0  # seconds
USUAL = 0.002


def main() -> None:
    """Write the rows to standard output."""
    draw = random.Random(1998)
    write = csv.writer(sys.stdout, lineterminator="\n").writerow
    write(["time", "requests", "errors"])
    noise = 0.0
    with gzip.open(LOAD, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["period"]).replace(tzinfo=UTC)
            if not FIRST <= at < LAST:
                continue
            noise = 0.98 * noise + draw.gauss(0, 0.05)  # good and bad hours
            share = USUAL * 2**noise
            share += sum(
                more for when, more in BAD.items() if 0 < (at - when).total_seconds() <= HURT
            )
            requests = int(row["count"]) // 5
            errors = sum(draw.random() < share for _ in range(requests))
            write([at.strftime("%Y-%m-%dT%H:%M:%SZ"), requests, errors])


if __name__ == "__main__":
    main()
