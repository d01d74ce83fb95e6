from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from windsock.statistics.experiments import Comparison, fixed_interval
from windsock.statistics.sequential import (
    HIGHEST_BOUND,
    Walk,
    halfwidth,
    information_of,
    lower_bound,
    one_sided_halfwidth,
    sequence_interval,
    spending_bounds,
    upper_bound,
)

ALPHAS = st.floats(1e-4, 0.4)


def spent(bounds, information) -> float:
    """Return the probability that |z| ever passes its bound."""
    walk = Walk()
    return sum(sum(walk.stop(at, bound)) for at, bound in zip(information, bounds, strict=True))


def walks(runs: int, looks: int, seed: int) -> np.ndarray:
    """Draw z at evenly spaced looks without an effect; shape (runs, looks)."""
    steps = np.random.default_rng(seed).normal(size=(runs, looks))
    return steps.cumsum(axis=1) / np.sqrt(np.arange(1, looks + 1))


class TestRepeatedLooks:
    """Armitage, McPherson and Rowe 1969, table 2: |z| > 1.96 at each of so many looks."""

    @pytest.mark.parametrize(
        ("looks", "rate"),
        [(1, 0.050), (2, 0.083), (3, 0.107), (4, 0.126), (5, 0.142), (10, 0.193), (20, 0.248), (50, 0.320)],
    )
    def test_the_rate_as_published(self, looks, rate):
        exact = spent([norm.isf(0.025)] * looks, range(1, looks + 1))
        assert exact == pytest.approx(rate, abs=6e-4)

    def test_the_rate_as_simulated(self):
        seen = (abs(walks(20_000, 20, seed=1)) > 1.96).any(axis=1).mean()
        assert seen == pytest.approx(spent([1.96] * 20, range(1, 21)), abs=0.01)

    def test_a_drift_moves_it_upwards(self):
        up, down = Walk(drift=3.0).crossed(1.0, 1.96)
        assert (up, down) == pytest.approx((norm.cdf(3 - 1.96), norm.cdf(-3 - 1.96)))


class TestConfidenceSequence:
    """GrowthBook's published cases of its sequential test, which is of the relative effect."""

    @staticmethod
    def relative(means, variances, sizes) -> tuple[float, float]:
        (a, b), (var_a, var_b), (n_a, n_b) = means, variances, sizes
        return (b - a) / a, var_b / (a**2 * n_b) + var_a * b**2 / (a**4 * n_a)

    def test_of_means(self):
        sums, squares, sizes = (1396.87, 2422.7), (52377.9767, 134698.29), (3000, 3461)
        means = [total / size for total, size in zip(sums, sizes, strict=True)]
        variances = [
            (square - total * mean) / (size - 1)
            for square, total, mean, size in zip(squares, sums, means, sizes, strict=True)
        ]
        effect, variance = self.relative(means, variances, sizes)
        half = halfwidth(sum(sizes) * variance, sum(sizes), planned_units=1000, alpha=0.05)
        assert round(effect, 5) == 0.50336
        assert round(math.sqrt(variance), 5) == 0.33341
        assert (round(effect - half, 5), round(effect + half, 5)) == (-0.55844, 1.56516)

    def test_of_proportions(self):
        means, sizes = (1396 / 3000, 2422 / 3461), (3000, 3461)
        effect, variance = self.relative(means, [p * (1 - p) for p in means], sizes)
        half = halfwidth(sum(sizes) * variance, sum(sizes), planned_units=5000, alpha=0.05)
        assert round(effect, 5) == 0.50386
        assert (round(effect - half, 5), round(effect + half, 5)) == (0.40098, 0.60675)

    @pytest.mark.parametrize("planned", [3, 20, 60])
    def test_it_is_seldom_wrong_at_any_of_many_looks(self, planned):
        limits = [halfwidth(n, n, planned_units=planned, alpha=0.05) for n in range(1, 201)]
        wrong = (abs(walks(4000, 200, seed=planned)) > limits).any(axis=1).mean()
        assert 0.005 < wrong < 0.05

    @pytest.mark.parametrize("alpha", [0.01, 0.05])
    def test_so_is_a_one_sided_bound(self, alpha):
        limits = [one_sided_halfwidth(n, n, planned_units=20, alpha=alpha) for n in range(1, 201)]
        z = walks(8000, 200, seed=2)
        assert 0.15 * alpha < (z > limits).any(axis=1).mean() < alpha
        assert (-z > limits).any(axis=1).mean() < alpha

    @given(st.floats(1e-6, 1e6), ALPHAS)
    def test_the_one_sided_bound_is_where_the_mixture_has_grown_enough(self, planned, alpha):
        """Ville: the half-normal mixture of likelihood ratios passes 1 / alpha with probability alpha."""
        tuned = -2 * math.log(2 * alpha)
        rho = math.sqrt((tuned + math.log1p(tuned)) / planned)
        score = one_sided_halfwidth(1.0, 1.0, planned_units=planned, alpha=alpha)
        x = rho * score / math.sqrt(rho**2 + 1)
        log_mixture = math.log(2) - math.log(rho**2 + 1) / 2 + x * x / 2 + norm.logcdf(x)
        assert -math.log(alpha) <= log_mixture + 1e-9
        assert log_mixture < -math.log(alpha) + 0.7

    @pytest.mark.parametrize("planned", [100, 1000])
    def test_it_is_narrowest_where_it_was_planned(self, planned):
        """In standard errors."""
        at = {n: halfwidth(n, n, planned_units=planned, alpha=0.05) for n in range(1, 5000)}
        assert min(at, key=at.get) == pytest.approx(planned, rel=0.05)
        sides = {n: one_sided_halfwidth(n, n, planned_units=planned, alpha=0.025) for n in range(1, 5000)}
        assert min(sides, key=sides.get) == pytest.approx(planned, rel=0.15)

    @given(st.floats(-5, 5), st.floats(1e-6, 10), st.integers(4, 10**7), st.floats(10, 1e7), ALPHAS)
    def test_it_holds_the_interval_of_a_single_look(self, difference, error, units, planned, alpha):
        found = Comparison(0.0, difference, difference, error, units)
        sequence = sequence_interval(found, planned_units=planned, alpha=alpha)
        single = fixed_interval(found, alpha)
        assert sequence.low < single.low < single.high < sequence.high
        assert sequence.level == single.level == 1 - alpha
        low = lower_bound(found, planned_units=planned, alpha=alpha)
        high = upper_bound(found, planned_units=planned, alpha=alpha)
        assert low < difference - norm.isf(alpha) * error
        assert low + high == pytest.approx(2 * difference, abs=1e-9 * (1 + error))

    @given(st.floats(1e-6, 1e6), st.integers(1, 10**7), st.floats(1, 1e7), ALPHAS, ALPHAS)
    def test_less_risk_is_wider(self, variance, units, planned, alpha, other):
        # not for every pair: what it is tuned for moves with alpha too
        less, more = sorted((alpha, other))
        if more < 2 * less:
            return
        for width in (halfwidth, one_sided_halfwidth):
            narrow = width(variance, units, planned_units=units, alpha=more)
            assert narrow < width(variance, units, planned_units=units, alpha=less)
            far = width(4 * variance, units, planned_units=planned, alpha=more)
            assert far == pytest.approx(2 * width(variance, units, planned_units=planned, alpha=more))

    def test_without_a_difference_there_is_none(self):
        for found in (Comparison(None, 0.1, None, None, 5), Comparison(1.0, 1.0, 0.0, None, 5)):
            assert sequence_interval(found, planned_units=10, alpha=0.05) is None
            assert lower_bound(found, planned_units=10, alpha=0.05) is None
            assert upper_bound(found, planned_units=10, alpha=0.05) is None
        endless = Comparison(0.0, 1e308, 1e308, 1e308, 5)
        assert sequence_interval(endless, planned_units=10, alpha=0.05) is None
        assert upper_bound(endless, planned_units=10, alpha=0.05) is None

    @pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan, -0.1])
    def test_nonsense_is_refused(self, alpha):
        with pytest.raises(ValueError, match="alpha"):
            halfwidth(1.0, 10, planned_units=10, alpha=alpha)
        with pytest.raises(ValueError, match="alpha"):
            one_sided_halfwidth(1.0, 10, planned_units=10, alpha=alpha)
        with pytest.raises(ValueError, match="0 units"):
            halfwidth(1.0, 0, planned_units=10, alpha=0.05)


class TestSpendingBounds:
    def test_five_looks_as_in_gsdesign(self):
        found = spending_bounds([0.2, 0.4, 0.6, 0.8, 1.0])
        assert found == pytest.approx((4.8769, 3.3569, 2.6803, 2.2898, 2.0310), abs=2e-4)

    def test_one_look_is_the_usual_test(self):
        assert spending_bounds([1.0]) == pytest.approx((1.959964,), abs=1e-6)
        assert spending_bounds([1.0], alpha=0.01) == pytest.approx((2.575829,), abs=1e-6)

    @pytest.mark.parametrize("looks", [2, 20, 100])
    def test_everything_is_spent_and_no_more(self, looks):
        times = [look / looks for look in range(1, looks + 1)]
        bounds = spending_bounds(times)
        assert list(bounds) == sorted(bounds, reverse=True)
        assert spent(bounds, times) == pytest.approx(0.05, abs=1e-6)
        wrong = (abs(walks(20_000, looks, seed=looks)) > bounds).any(axis=1).mean()
        assert wrong == pytest.approx(0.05, abs=0.006)

    def test_calendar_time_spends_and_units_correlate(self):
        """Traffic that comes late: simulated, for the integration cannot vouch for itself."""
        units = np.array([100, 150, 400, 2000, 9000])
        bounds = spending_bounds([0.2, 0.4, 0.6, 0.8, 1.0], information=units)
        assert bounds[0] == pytest.approx(spending_bounds([0.2, 0.4, 0.6, 0.8, 1.0])[0])
        steps = np.random.default_rng(4).normal(size=(40_000, 5)) * np.sqrt(np.diff(units, prepend=0))
        crossed = (abs(steps.cumsum(axis=1) / np.sqrt(units)) > bounds).any(axis=1).mean()
        assert crossed == pytest.approx(0.05, abs=0.004)

    @pytest.mark.parametrize("then", [1000, 900, 1000.000001])
    def test_a_look_without_new_units_spends_on_itself_alone(self, then):
        times = [0.5, 0.7, 1.0]
        found = spending_bounds(times, information=[1000, then, 3000])
        due = np.diff([4 * norm.sf(norm.isf(0.0125) / math.sqrt(time)) for time in times])
        assert found[1] == pytest.approx(norm.isf(due[0] / 2), abs=1e-6)
        assert found[0] == pytest.approx(spending_bounds(times)[0])
        assert spent([found[0], found[2]], [1000, 3000]) == pytest.approx(0.05 - due[0], abs=1e-6)

    @pytest.mark.parametrize("same", [0.0, 0.5, 1.0])
    def test_units_that_come_back_may_tell_more_without_being_more(self, same):
        """The same units at every look: what they do is chance each day, or theirs for good, or both."""
        days = np.arange(1, 11)
        generator = np.random.default_rng(5)
        noise = generator.normal(size=(40_000, 10)).cumsum(axis=1) / days
        told = math.sqrt(same) * generator.normal(size=(40_000, 1)) + math.sqrt(1 - same) * noise
        z = told / np.sqrt(same + (1 - same) / days)
        crossed = (abs(z) > spending_bounds(days / 10, information=[500] * 10)).any(axis=1).mean()
        assert 0.01 < crossed < 0.05

    def test_information_grows_with_whatever_grows_fastest(self):
        assert information_of([100, 200, 200], [300, 330, 660]) == (1.0, 2.0, 4.0)
        assert information_of([0, 0, 50, 60]) == (0.0, 0.0, 1.0, 1.2)
        assert information_of([10, 8, 8], [20, 20, 30]) == (1.0, 1.0, 1.5)
        assert information_of([7], [9]) == (1.0,)
        assert information_of([], []) == ()
        units = [100, 250, 900]
        assert spending_bounds([0.2, 0.5, 1.0], information=information_of(units)) == pytest.approx(
            spending_bounds([0.2, 0.5, 1.0], information=units)
        )

    def test_units_that_come_back_are_judged_as_well_as_new_ones(self):
        """Ten days of the same users: their answers grow, and the bounds stay those of the plan."""
        days = range(1, 11)
        found = spending_bounds([day / 10 for day in days], information=information_of([500] * 10, days))
        assert found == pytest.approx(spending_bounds([day / 10 for day in days]))
        assert found[-1] < spending_bounds([day / 10 for day in days], information=[500] * 10)[-1] - 0.3

    def test_next_to_nothing_to_spend_is_a_bound_out_of_reach(self):
        found = spending_bounds([1e-9, 0.0001, 1.0])
        assert found[:2] == (HIGHEST_BOUND, HIGHEST_BOUND)
        assert found[2] == pytest.approx(1.959964, abs=1e-5)

    def test_without_units_nothing_can_be_crossed(self):
        found = spending_bounds([0.4, 0.8, 1.0], information=[0, 0, 500])
        assert found == pytest.approx((HIGHEST_BOUND, HIGHEST_BOUND, 1.959964), abs=1e-6)
        assert spending_bounds([1.0], information=[0]) == (HIGHEST_BOUND,)
        assert spending_bounds([]) == ()

    def test_beyond_the_horizon_nothing_is_left(self):
        found = spending_bounds([0.5, 1.0, 1.3], information=[10, 20, 30])
        assert found[2] > 4
        assert spent(found, [10, 20, 30]) == pytest.approx(0.05, abs=1e-6)

    def test_looks_and_their_information_belong_together(self):
        with pytest.raises(ValueError, match="2 fractions, 1 looks"):
            spending_bounds([0.5, 1.0], information=[3])

    @given(
        st.lists(st.tuples(st.floats(0.001, 0.3), st.integers(0, 10**6)), min_size=1, max_size=12),
        st.sampled_from([0.01, 0.05, 0.2]),
    )
    @settings(max_examples=60, deadline=None)
    def test_no_more_is_spent_than_may_be(self, looks, alpha):
        times = np.cumsum([time for time, _ in looks])
        units = np.cumsum([unit for _, unit in looks])
        bounds = spending_bounds(times, information=list(units), alpha=alpha)
        assert all(0 < bound <= HIGHEST_BOUND for bound in bounds)
        walk, total = Walk(), 0.0
        for at, bound in zip(units, bounds, strict=True):
            if walk.adds(at):
                total += sum(walk.stop(at, bound))
            elif walk.information:
                total += 2 * norm.sf(bound)
        assert total <= alpha + 1e-5

    @given(st.integers(1, 12), st.floats(0.001, 0.3))
    @settings(max_examples=40, deadline=None)
    def test_less_risk_has_higher_bounds(self, looks, alpha):
        times = [look / looks for look in range(1, looks + 1)]
        less, more = spending_bounds(times, alpha=alpha / 2), spending_bounds(times, alpha=alpha)
        assert all(high > low or high == HIGHEST_BOUND for high, low in zip(less, more, strict=True))
