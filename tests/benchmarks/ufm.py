"""Optima and flows of unconstrained-features models against SciPy, to equal accuracy.

    python -m tests.benchmarks.ufm

Cross-entropy with weight decay and 50 samples for each class, float64, d = K.

Optima: `solve` on class means against SciPy's L-BFGS-B with a feature for every sample,
and with class means too.  SciPy gets a gradient in plain NumPy and the units of
`Problem.scales`.  Where it stops is found beforehand, untimed: the first iteration with
a duality gap of 1e-8 or less, or the last that rounding allows; the timed run has that
many iterations and computes no gap.  Ours is stopped by the largest power of ten as
`tol` that gives such a gap.  Of 1,000 problems SciPy solves every tenth, and its time
is multiplied by ten.

Flows: to t = 1000, recorded at 61 times, rtol 1e-9 and atol 1e-12 for all.  Ours
computes the gap, singular values and NC1 to NC3 at these times too.

In the table `work` is steps of Newton, iterations of L-BFGS-B or evaluations of the
velocity; the last column is the largest gap, or the error at the end of a flow.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import jax
import numpy as np
from scipy import integrate, optimize, special

from ncjax.ufm import (
    Problem,
    bounds,
    flow,
    flow_many,
    small_start,
    solve,
    solve_many,
    stack,
)
from tests.benchmarks import harness

SAMPLES = 50  # of each class
GAP = 1e-8
SKIP = 10
TIMES = np.append(0, np.geomspace(1e-2, 1e3, 60))
TOLERANCES = {"rtol": 1e-9, "atol": 1e-12}


def make(num_classes: int, c: float) -> Problem:
    """Cross-entropy with c = sqrt(n lW lH)."""
    decay = c / SAMPLES**0.5
    return Problem.create(
        num_classes=num_classes, sizes=SAMPLES, lambda_w=decay, lambda_h=decay
    )


class NumPy:
    """The objective of a balanced problem with some rows for each class."""

    def __init__(self, problem: Problem, rows: int):
        self.k = k = problem.num_classes
        self.n = k * rows
        self.decay = float(problem.lambda_w)
        self.labels = np.repeat(np.arange(k), rows)
        self.each = np.arange(self.n), self.labels
        self.mass = SAMPLES / rows

    def start(self, seed: int) -> np.ndarray:
        """A random start as large as that of `Problem.init`, in units of `scales`."""
        size = (self.k + self.n) * self.k
        return np.random.default_rng(seed).normal(size=size) * self.k**-0.5

    def split(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """W [K, K] and H [n, K] in units of m^(-1/2)."""
        return x[: self.k**2].reshape(-1, self.k), x[self.k**2 :].reshape(-1, self.k)

    def softmax(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean loss, to the last digit also where it is small, and P [n, K]."""
        w, h = self.split(x)
        z = h @ w.T
        z *= self.mass**-0.5
        top = self.each[0], z.argmax(1)
        z -= z[top][:, None]
        p = np.exp(z)
        p[top] = 0
        rest = p.sum(1)
        p[top] = 1
        p /= (1 + rest)[:, None]
        return (np.log1p(rest) - z[self.each]).sum() / self.n, p

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Objective [] and its gradient."""
        loss, g = self.softmax(x)
        g[self.each] -= 1
        g *= 1 / (self.n * self.mass**0.5)
        w, h = self.split(x)
        slope = self.decay * x
        into_w, into_h = self.split(slope)
        into_w += g.T @ h
        into_h += g @ w
        return loss + self.decay / 2 * (x @ x), slope

    def gap(self, x: np.ndarray) -> float:
        """Duality gap, the formula of `ncjax.ufm.certify`."""
        loss, p = self.softmax(x)
        theta = p.copy()
        theta[self.each] -= 1
        sigma = np.linalg.norm(theta.T @ theta, 2) ** 0.5 / self.n / self.mass**0.5
        t = min(1.0, self.decay / sigma)
        p *= t
        p[self.each] += 1 - t
        return loss + self.decay / 2 * (x @ x) - special.entr(p).sum() / self.n

    def solve(self, seed: int, iterations: int, callback: Callable | None = None):
        """The result of SciPy after this many iterations."""
        options = {"maxiter": iterations, "maxfun": 10**6, "ftol": 0, "gtol": 0}
        return optimize.minimize(
            self,
            self.start(seed),
            jac=True,
            method="L-BFGS-B",
            callback=callback,
            options=options,
        )

    def until_gap(self, seed: int) -> tuple[int, np.ndarray]:
        """Iterations to the gap, or to where rounding ends all progress; and x."""
        count = 0

        def look(intermediate_result):
            nonlocal count
            count += 1
            if self.gap(intermediate_result.x) <= GAP:
                raise StopIteration

        found = self.solve(seed, 10_000, look)
        return count, found.x


def tolerance(largest_gap: Callable[[float], float]) -> float:
    """The largest power of ten as `tol` that gives the gap."""
    return next(tol for tol in 10.0 ** -np.arange(6, 14) if largest_gap(tol) <= GAP)


def row(what: str, way: str, seconds: float, over: float, work: float, reached: float):
    """A line of the table."""
    return {
        "what": what,
        "way": way,
        "seconds": seconds,
        "/ ncjax": over,
        "work": work,
        "gap or error": reached,
    }


def agree(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Both found the same objective."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8)


def one_problem(num_classes: int, rounds: int) -> list[dict]:
    """Time to the gap of one problem."""
    problem = make(num_classes, 1e-4)
    tol = tolerance(lambda x: bounds(problem, solve(problem, 0, tol=x).params).gap)
    ours = solve(problem, 0, tol=tol)
    calls: dict[str, Callable] = {"ncjax": lambda: solve(problem, 0, tol=tol)}
    gap = float(bounds(problem, ours.params).gap)
    facts = {"ncjax": (float(ours.iterations), gap)}
    for way, rows in (("SciPy, samples", SAMPLES), ("SciPy, class means", 1)):
        theirs = NumPy(problem, rows)
        count, x = theirs.until_gap(0)
        agree(ours.objective, theirs(x)[0])
        calls[way] = lambda theirs=theirs, count=count: theirs.solve(0, count).x
        facts[way] = (float(count), theirs.gap(x))
    return lines(f"optimum, K = {num_classes}", calls, facts, rounds)


def lines(what: str, calls: dict, facts: dict, rounds: int) -> list[dict]:
    """Times the calls in turns; a row for each."""
    seconds = harness.interleave(calls, rounds)
    return [
        row(
            what,
            way,
            float(np.median(seconds[way])),
            harness.ratio(seconds, way, "ncjax"),
            *facts[way],
        )
        for way in calls
    ]


def many_problems(number: int, rounds: int) -> list[dict]:
    """Ours solves all in each round, SciPy every tenth: its time counts tenfold."""
    problems = [make(10, c) for c in np.geomspace(1e-4, 1e-2, number)]
    stacked, some = stack(problems), range(0, number, SKIP)

    def gaps(found):
        with jax.enable_x64(True):
            return np.asarray(jax.vmap(bounds)(stacked, found.params).gap)

    tol = tolerance(lambda x: gaps(solve_many(stacked, range(number), tol=x)).max())
    ours = solve_many(stacked, range(number), tol=tol)
    calls: dict[str, Callable] = {
        "ncjax": lambda: solve_many(stacked, range(number), tol=tol)
    }
    facts = {"ncjax": (float(np.mean(ours.iterations)), float(gaps(ours).max()))}
    for way, rows in (("SciPy, samples", SAMPLES), ("SciPy, class means", 1)):
        theirs = [NumPy(problems[i], rows) for i in some]
        found = [f.until_gap(i) for i, f in enumerate(theirs)]
        agree(ours.objective[::SKIP], [f(x)[0] for f, (_, x) in zip(theirs, found)])

        def loop(theirs=theirs, found=found):
            for i, f in enumerate(theirs):
                f.solve(i, found[i][0])

        calls[way] = loop
        gap = max(f.gap(x) for f, (_, x) in zip(theirs, found))
        facts[way] = (float(np.mean([count for count, _ in found])), gap)
    table = lines(f"{number} optima, K = 10", calls, facts, rounds)
    for line in table[1:]:
        line["seconds"] *= SKIP
        line["/ ncjax"] *= SKIP
    return table


def velocity(problem: Problem) -> Callable:
    """Right-hand side of the flow of class means, in plain NumPy."""
    k, decay = problem.num_classes, float(problem.lambda_w)
    eye = np.eye(k)

    def right(_, x):
        w, h = x[: k**2].reshape(k, k), x[k**2 :].reshape(k, k)
        z = h @ w.T
        z -= z.max(1, keepdims=True)
        g = np.exp(z)
        g /= g.sum(1, keepdims=True)
        g -= eye
        g *= 1 / k
        slope = -decay * x
        slope[: k**2] -= (g.T @ h).ravel()
        slope[k**2 :] -= (g @ w).ravel() / SAMPLES
        return slope

    return right


def flat(params: dict) -> np.ndarray:
    """W and H as one vector."""
    return np.concatenate([np.ravel(params["W"]), np.ravel(params["H"])])


def flows(number: int, rounds: int) -> list[dict]:
    """One flow, and many of different starts."""
    problem = make(10, 1e-3)
    starts = [small_start(problem, seed) for seed in range(number)]
    stacked, right = stack(starts), velocity(problem)

    def scipy(method, start, rtol=TOLERANCES["rtol"], atol=TOLERANCES["atol"]):
        span = (0, TIMES[-1])
        return integrate.solve_ivp(
            right, span, flat(start), method, TIMES, rtol=rtol, atol=atol
        )

    exact = scipy("DOP853", starts[0], 1e-13, 1e-14).y[:, -1]
    one = flow(problem, starts[0], times=TIMES, **TOLERANCES)
    many = flow_many(problem, stacked, times=TIMES, **TOLERANCES)
    end = flat(jax.tree.map(lambda x: x[-1], one.params))
    facts = {"ncjax": (6.0 * float(one.steps), float(np.abs(end - exact).max()))}
    calls: dict[str, Callable] = {
        "ncjax": lambda: flow(problem, starts[0], times=TIMES, **TOLERANCES)
    }
    loops: dict[str, Callable] = {
        "ncjax": lambda: flow_many(problem, stacked, times=TIMES, **TOLERANCES),
        "ncjax, one by one": lambda: [
            flow(problem, start, times=TIMES, **TOLERANCES) for start in starts
        ],
    }
    end = flat(jax.tree.map(lambda x: x[0, -1], many.params))
    error = float(np.abs(end - exact).max())
    some = {"ncjax": (6 * float(np.mean(many.steps)), error)}
    some["ncjax, one by one"] = facts["ncjax"]
    for method in ("RK45", "DOP853", "LSODA"):
        found = scipy(method, starts[0])
        way, error = f"SciPy {method}", float(np.abs(found.y[:, -1] - exact).max())
        assert error < 1e-7  # the same end, else times mean nothing
        facts[way] = some[way] = (float(found.nfev), error)
        calls[way] = lambda m=method: scipy(m, starts[0]).y
        loops[way] = lambda m=method: [scipy(m, start).y for start in starts]
    assert max(facts["ncjax"][1], some["ncjax"][1]) < 1e-7
    return lines("flow", calls, facts, 3 * rounds) + lines(
        f"{number} flows", loops, some, rounds
    )


def main() -> None:
    """Times everything, about two minutes on 2 cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--flows", type=int, default=64)
    args = parser.parse_args()
    rows = one_problem(10, 3 * args.rounds) + one_problem(100, 2)
    rows += flows(args.flows, args.rounds)
    rows += many_problems(args.problems, args.rounds)
    harness.report("ufm", rows)


if __name__ == "__main__":
    main()
