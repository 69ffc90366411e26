#!/usr/bin/env python3
"""Sets sottovoce's accountants beside Google's dp_accounting: epsilon, bracket, seconds.

    pip install dp-accounting
    python benches/peers/accountants.py [path/to/sottovoce]
"""
import json
import subprocess
import sys
import time

from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant

ROWS = [(0.01, 1.0, 1000), (0.1, 2.0, 100), (0.01, 0.8, 100), (0.1, 1.0, 1000), (1.0, 1.0, 100)]
DELTA = 1e-5


def ours(binary, q, z, steps, accountant):
    command = [binary, "privacy", "epsilon", "--sampling-rate", str(q), "--noise-multiplier", str(z), "--steps", str(steps)]
    command += ["--delta", str(DELTA), "--accountant", accountant, "--format", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def theirs(make, q, z, steps):
    began = time.process_time()
    event = dp_event.GaussianDpEvent(z)
    if q < 1:
        event = dp_event.PoissonSampledDpEvent(q, event)
    accountant = make()
    accountant.compose(dp_event.SelfComposedDpEvent(event, steps))
    return accountant.get_epsilon(DELTA), time.process_time() - began


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else "target/release/sottovoce"
    print(f"{'q':>5} {'z':>4} {'T':>6}  {'ours: [lower, upper]':>24} {'ms':>6}  {'dp_accounting PLD':>17} {'s':>6}  {'RDP ours':>9} {'theirs':>9}")
    for q, z, steps in ROWS:
        pld = ours(binary, q, z, steps, "auto")
        rdp = ours(binary, q, z, steps, "rdp")
        epsilon, seconds = theirs(PLDAccountant, q, z, steps)
        rdp_epsilon, _ = theirs(RdpAccountant, q, z, steps)
        low, high = pld["epsilon"]["lower"], pld["epsilon"]["upper"]
        print(
            f"{q:5} {z:4} {steps:6}  [{low:10.6f}, {high:10.6f}] {pld['milliseconds']:6.1f}  {epsilon:17.6f} {seconds:6.2f}"
            f"  {rdp['epsilon']['upper']:9.5f} {rdp_epsilon:9.5f}"
        )


if __name__ == "__main__":
    main()
