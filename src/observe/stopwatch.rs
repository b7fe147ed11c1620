//! Durations, for histograms.

/// Measures a duration, if it was started. Empty without the feature `metrics`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stopwatch {
    #[cfg(feature = "metrics")]
    began: Option<std::time::Instant>,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            began: Some(std::time::Instant::now()),
        }
    }

    /// Starts it, unless it runs already.
    pub(crate) fn ensure_started(&mut self) {
        if self.seconds().is_none() {
            *self = Self::start();
        }
    }

    /// The time since the start; `None` when it was not started.
    #[allow(
        clippy::unused_self,
        clippy::trivially_copy_pass_by_ref,
        reason = "it is empty without the feature"
    )]
    pub(super) fn seconds(&self) -> Option<f64> {
        #[cfg(feature = "metrics")]
        return self.began.map(|began| began.elapsed().as_secs_f64());
        #[cfg(not(feature = "metrics"))]
        None
    }
}
