//! Upper bounds of histogram buckets: the reference's defaults.

/// Time to the first token, seconds.
pub(super) const TIME_TO_FIRST_TOKEN: [f64; 18] =
    [0.1, 0.2, 0.4, 0.6, 0.8, 1., 2., 4., 6., 8., 10., 20., 40., 60., 80., 100., 200., 400.];

/// Time between two tokens, seconds.
pub(super) const INTER_TOKEN: [f64; 23] = [
    0.002, 0.004, 0.006, 0.008, 0.010, 0.015, 0.020, 0.025, 0.030, 0.035, 0.040, 0.060, 0.080, 0.100, 0.200,
    0.400, 0.600, 0.800, 1., 2., 4., 6., 8.,
];

/// Time of a whole request, seconds.
pub(super) const LATENCY: [f64; 22] = [
    0.1, 0.2, 0.4, 0.6, 0.8, 1., 2., 4., 6., 8., 10., 20., 40., 60., 80., 100., 200., 400., 600., 1200.,
    1800., 2400.,
];

/// Tokens of a prompt or an answer.
pub(super) const TOKENS: [f64; 35] = [
    100., 300., 500., 700., 1e3, 1500., 2e3, 3e3, 4e3, 5e3, 6e3, 7e3, 8e3, 9e3, 1e4, 12500., 15e3, 17500.,
    2e4, 22500., 25e3, 27500., 3e4, 35e3, 4e4, 6e4, 8e4, 1e5, 2e5, 3e5, 4e5, 6e5, 8e5, 1e6, 11e5,
];

/// Time in the waiting queue, seconds.
pub(super) const QUEUE_TIME: [f64; 40] = [
    0., 0.001, 0.005, 0.010, 0.050, 0.100, 0.200, 0.500, 1., 2., 3., 4., 5., 10., 15., 20., 30., 40., 50.,
    60., 70., 80., 90., 100., 200., 300., 400., 500., 600., 700., 800., 900., 1e3, 1200., 1400., 1600.,
    1800., 2e3, 2500., 3e3,
];

/// Time of a stage of a request, 1 ms to 20 minutes.
pub(super) fn stage_latency() -> Vec<f64> {
    (0..30).map(|i| 0.001 * 1.62_f64.powi(i)).collect()
}
