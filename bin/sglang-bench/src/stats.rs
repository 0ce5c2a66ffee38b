//! Descriptive statistics.

use serde::Serialize;

/// Summary of a sample, in the unit of its values; all zero if it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    pub mean: f64,
    pub std: f64,
    pub median: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
    /// Number of values.
    pub count: usize,
}

impl Summary {
    /// Summarises `values`.
    pub fn of(mut values: Vec<f64>) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        values.sort_unstable_by(f64::total_cmp);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        Self {
            mean,
            std: (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt(),
            median: percentile(&values, 50.0),
            p90: percentile(&values, 90.0),
            p95: percentile(&values, 95.0),
            p99: percentile(&values, 99.0),
            max: values.last().copied().unwrap_or(0.0),
            count: values.len(),
        }
    }
}

/// The ratio of two quantities that were measured in pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Geometric mean of the ratios of the pairs.
    pub ratio: f64,
    /// The 95 % confidence interval (Student's t of the logarithms); `None` for a single pair.
    pub interval: Option<(f64, f64)>,
}

/// The ratio of the first to the second values of pairs; `None` if no pair has two positive values.
pub fn ratio(pairs: &[(f64, f64)]) -> Option<Ratio> {
    let logs: Vec<f64> =
        pairs.iter().filter(|(a, b)| *a > 0.0 && *b > 0.0).map(|(a, b)| (a / b).ln()).collect();
    let n = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let interval = (logs.len() > 1).then(|| {
        let variance = logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = student_t(logs.len() - 1) * (variance / n).sqrt();
        ((mean - half).exp(), (mean + half).exp())
    });
    (!logs.is_empty()).then(|| Ratio { ratio: mean.exp(), interval })
}

/// The 97.5% quantile of Student's t distribution.
fn student_t(degrees_of_freedom: usize) -> f64 {
    const TABLE: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    let n = degrees_of_freedom as f64;
    let z = 1.959_964_f64;
    // The first terms of the expansion around the normal distribution's quantile; accurate to a thousandth from here
    // on.
    let expanded = z
        + (z.powi(3) + z) / (4.0 * n)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n.powi(2))
        + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / (384.0 * n.powi(3));
    degrees_of_freedom.checked_sub(1).and_then(|at| TABLE.get(at).copied()).unwrap_or(expanded)
}

/// Percentile of sorted values by linear interpolation between the closest ranks (NumPy's default); 0 if there are
/// none.
pub fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let rank = percent.clamp(0.0, 100.0) / 100.0 * last as f64;
    let low = rank.floor() as usize;
    let at = |i: usize| sorted.get(i.min(last)).copied().unwrap_or(0.0);
    at(low) + (at(low + 1) - at(low)) * rank.fract()
}

/// The largest number of intervals `(start, end)` that overlap at one time; touching ends do not overlap.
pub fn peak_overlap(intervals: &[(f64, f64)]) -> usize {
    let mut edges: Vec<(f64, i32)> = intervals.iter().flat_map(|&(s, e)| [(s, 1), (e, -1)]).collect();
    edges.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut open, mut peak) = (0, 0);
    for (_, step) in edges {
        open += step;
        peak = peak.max(open);
    }
    usize::try_from(peak).unwrap_or(0)
}

/// Largest sum of weights within one second, where seconds count from the earliest time.
pub fn peak_per_second(events: impl Iterator<Item = (f64, u64)> + Clone) -> f64 {
    let first = events.clone().map(|(t, _)| t).fold(f64::INFINITY, f64::min);
    let mut buckets = std::collections::BTreeMap::<u64, u64>::new();
    for (time, weight) in events {
        *buckets.entry((time - first).max(0.0) as u64).or_default() += weight;
    }
    buckets.values().copied().max().unwrap_or(0) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_interpolate_like_numpy() {
        let v = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(percentile(&v, 0.0), 1.0);
        assert_eq!(percentile(&v, 50.0), 2.5);
        assert!((percentile(&v, 90.0) - 3.7).abs() < 1e-12);
        assert!((percentile(&v, 99.0) - 3.97).abs() < 1e-12);
        assert_eq!(percentile(&v, 100.0), 4.0);
        assert_eq!(percentile(&[7.0], 99.0), 7.0);
        assert_eq!(percentile(&[], 50.0), 0.0);
    }

    #[test]
    fn a_summary_is_independent_of_order() {
        let s = Summary::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((s.mean, s.median, s.max, s.count), (2.5, 2.5, 4.0, 4));
        assert!((s.std - 1.25f64.sqrt()).abs() < 1e-12);
        assert_eq!(Summary::of(Vec::new()), Summary::default());
    }

    #[test]
    fn a_ratio_has_the_interval_of_students_t() {
        // Logarithms ln 2 ± ln 1.1: mean ln 2, standard error ln 1.1, t of one degree of freedom.
        let found = ratio(&[(2.2, 1.0), (2.0, 1.1), (0.0, 1.0)]).unwrap();
        assert!((found.ratio - 2.0).abs() < 1e-12);
        let (low, high) = found.interval.unwrap();
        let half = 12.706 * 1.1f64.ln();
        assert!(
            (low.ln() - (2f64.ln() - half)).abs() < 1e-9 && (high.ln() - (2f64.ln() + half)).abs() < 1e-9
        );
        assert_eq!(ratio(&[(3.0, 2.0)]), Some(Ratio { ratio: (1.5f64).ln().exp(), interval: None }));
        assert_eq!(ratio(&[(1.0, 0.0)]), None);
        for (n, expected) in [(1, 12.706), (4, 2.776), (11, 2.201), (20, 2.086), (60, 2.000)] {
            assert!((student_t(n) - expected).abs() < 1e-3, "{n}: {}", student_t(n));
        }
    }

    #[test]
    fn overlap_counts_the_busiest_moment() {
        assert_eq!(peak_overlap(&[(0.0, 2.0), (1.0, 3.0), (2.0, 4.0), (9.0, 10.0)]), 2);
        assert_eq!(peak_overlap(&[]), 0);
    }

    #[test]
    fn the_busiest_second_is_counted_from_the_first_event() {
        let events = [(10.2, 1), (10.9, 2), (11.1, 4), (11.3, 1)];
        assert_eq!(peak_per_second(events.into_iter()), 7.0);
        assert_eq!(peak_per_second([].into_iter()), 0.0);
    }
}
