//! Medians, which a busy machine moves less than means.

/// The median; zero of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// The interval that holds the true median with at least 95 %, by the ranks of a binomial
/// distribution (normal approximation). `None` of fewer than six values, of which there is none.
pub(crate) fn interval(mut values: Vec<f64>) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    values.sort_by(f64::total_cmp);
    let low = (n / 2.0 - 0.98 * n.sqrt()).floor();
    if values.len() < 6 || low < 0.0 {
        return None;
    }
    let low = low as usize;
    Some((values[low], values[values.len() - 1 - low]))
}
