"""Compare the candidate's failed requests with the baseline's: when is it worse beyond chance?

Pure: state + one increment -> state; no clock, no randomness, no I/O, bounded memory and work per
increment. Knows nothing of signals, policies or pods: it counts requests and errors (or quick and
slow requests).

The comparison, in words (`docs/how-a-verdict-comes-about.md` has the picture):

1. What is usual (`baseline`): errors per request before the deploy, and by how much that ratio
   varied over 15 s, 1 min and 5 min.
2. Windows (`windows`): all since the warm-up, the last 2 and the last 10 minutes, in bins of at
   least 10 s. A single bin counts for at most ten times what is usual.
3. Beyond chance (`judging`): so many errors would have a probability below the level under the
   negative binomial distribution that follows from 1.
4. Outages (`running`): a running total notices them at once, also during the warm-up.
5. Whose fault: old pods at the same time condemn the deploy if they are better, and acquit it if
   they are as bad.
"""

from deploy_guard.detect.baseline import (
    MODEL_VARIANCE,
    NOTHING,
    SCALES,
    UNKNOWN_VARIANCE,
    Baseline,
    Expectation,
)
from deploy_guard.detect.comparison import State, learn, over_limit, recovered, restart, step
from deploy_guard.detect.distributions import incomplete_beta, tail
from deploy_guard.detect.evidence import Judgement, Late, Settings
from deploy_guard.detect.replaying import Increment, Moments, moments, replay
from deploy_guard.detect.running import OldPods, Outage, Trouble
from deploy_guard.detect.windows import BIN, TRAILING, Pair, Strata, Windows

__all__ = [
    "BIN",
    "MODEL_VARIANCE",
    "NOTHING",
    "SCALES",
    "TRAILING",
    "UNKNOWN_VARIANCE",
    "Baseline",
    "Expectation",
    "Increment",
    "Judgement",
    "Late",
    "Moments",
    "OldPods",
    "Outage",
    "Pair",
    "Settings",
    "State",
    "Strata",
    "Trouble",
    "Windows",
    "incomplete_beta",
    "learn",
    "moments",
    "over_limit",
    "recovered",
    "replay",
    "restart",
    "step",
    "tail",
]
