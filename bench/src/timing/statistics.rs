//! Whether two sets of times differ.

use std::fmt;

use crate::client::{Random, Waits};

/// How far apart two kinds may be.
pub(crate) struct Bounds {
    /// Of the medians, in microseconds.
    median: f64,
    /// Of the AUC from one half.
    auc: f64,
}

impl Bounds {
    /// Without a slow hash: 0.1 ms.
    pub(crate) fn quick() -> Self {
        Self { median: 100.0, auc: 0.02 }
    }

    /// With one: 2 % of the time that it takes.
    pub(crate) fn slow(waits: &Waits) -> Self {
        let all: Vec<_> = waits.iter().flat_map(|(_, waits)| waits.iter().copied()).collect();
        Self { median: median(&all) * 0.02, auc: 0.05 }
    }
}

/// Two sets of times beside each other.
pub(crate) struct Comparison {
    median: f64,
    /// Of the difference of the medians: 99 % of resamples lie within.
    interval: (f64, f64),
    /// How often one of the second takes longer than one of the first (Mann-Whitney).
    auc: f64,
    /// The largest of Welch's t on all and on the lower part of both, in the half of the samples where it is smaller.
    t: f64,
}

/// From here on, in both halves, the means differ: the usual limit of leakage tests.
const T: f64 = 4.5;

impl Comparison {
    pub(crate) fn new(a: &[f64], b: &[f64]) -> Self {
        let half = |samples: &[f64], second: bool| {
            let (first, rest) = samples.split_at(samples.len() / 2);
            if second { rest.to_vec() } else { first.to_vec() }
        };
        let t = largest_t(&half(a, false), &half(b, false)).min(largest_t(&half(a, true), &half(b, true)));
        Self { median: median(b), interval: interval(a, b), auc: auc(a, b), t }
    }

    pub(crate) fn is_within(&self, bounds: &Bounds) -> bool {
        let (low, high) = self.interval;
        low >= -bounds.median && high <= bounds.median && (self.auc - 0.5).abs() <= bounds.auc && self.t <= T
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, interval: (low, high), auc, t } = self;
        write!(f, "{median:.0} | {low:+.1} to {high:+.1} | {auc:.3} | {t:.1}")
    }
}

fn median(samples: &[f64]) -> f64 {
    percentile(&mut samples.to_vec(), 50)
}

fn percentile(samples: &mut [f64], percent: usize) -> f64 {
    if samples.is_empty() {
        return f64::NAN;
    }
    let index = (samples.len() - 1) * percent / 100;
    *samples.select_nth_unstable_by(index, f64::total_cmp).1
}

/// The difference of the medians in a thousand resamples, without the half percent at each end.
fn interval(a: &[f64], b: &[f64]) -> (f64, f64) {
    let mut random = Random(7);
    let mut resampled = |samples: &[f64]| {
        let draw = |_: &f64| samples.get(random.below(samples.len() as u64) as usize).copied().unwrap_or_default();
        percentile(&mut samples.iter().map(draw).collect::<Vec<_>>(), 50)
    };
    let mut differences: Vec<_> = (0..1000).map(|_| resampled(b) - resampled(a)).collect();
    differences.sort_by(f64::total_cmp);
    let at = |index: usize| differences.get(index).copied().unwrap_or(f64::NAN);
    (at(5), at(994))
}

fn auc(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<_> = a.iter().map(|it| (*it, false)).chain(b.iter().map(|it| (*it, true))).collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    // Equal times share their ranks.
    let (mut ranks, mut from) = (0.0, 0);
    for group in all.chunk_by(|x, y| x.0.total_cmp(&y.0).is_eq()) {
        let shared = from as f64 + (group.len() + 1) as f64 / 2.0;
        ranks += shared * group.iter().filter(|(_, is_b)| *is_b).count() as f64;
        from += group.len();
    }
    let (m, n) = (a.len() as f64, b.len() as f64);
    (ranks - n * (n + 1.0) / 2.0) / (m * n)
}

/// On all, and on those below ten percentiles of both together.
fn largest_t(a: &[f64], b: &[f64]) -> f64 {
    let mut all = [a, b].concat();
    let crops = (50..100).step_by(5).map(|percent| percentile(&mut all, percent)).collect::<Vec<_>>();
    let cropped = crops.iter().map(|crop| {
        let below = |samples: &[f64]| samples.iter().copied().filter(|it| it <= crop).collect::<Vec<_>>();
        welch(&below(a), &below(b))
    });
    cropped.fold(welch(a, b), f64::max)
}

fn welch(a: &[f64], b: &[f64]) -> f64 {
    let moments = |samples: &[f64]| {
        let n = samples.len() as f64;
        let mean = samples.iter().sum::<f64>() / n;
        (mean, samples.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (n - 1.0) / n)
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (moments(a), moments(b));
    ((mean_a - mean_b) / (error_a + error_b).sqrt()).abs()
}
