"""What is on the dashboards: `python deploy/grafana/pages.py` writes dashboards/*.json.

`make docs` runs it, `make check` runs it with --check. The numbers of sales come first,
for they are what all of it is for.
"""

import sys

from broker import BROKER
from delivery import DELIVERY
from draw import write
from pipeline import PIPELINE
from sales import SALES

DASHBOARDS = (SALES, PIPELINE, BROKER, DELIVERY)

if __name__ == "__main__":
    checking = "--check" in sys.argv
    stale = write(DASHBOARDS, check=checking)
    print(f"dashboards: {stale} of {len(DASHBOARDS)} were not as drawn")
    sys.exit(1 if checking and stale else 0)
