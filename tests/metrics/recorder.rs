//! A Prometheus exporter that also counts emissions.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    set_global_recorder,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// What a scrape shows.
pub(crate) struct Scrape {
    handle: PrometheusHandle,
    emissions: Arc<AtomicUsize>,
}

struct Counting {
    inner: PrometheusRecorder,
    emissions: Arc<AtomicUsize>,
}

impl Scrape {
    /// Makes it the recorder of this process.
    pub(crate) fn install() -> Self {
        let builder = PrometheusBuilder::new().set_buckets(&[0.1, 1.0]).unwrap();
        let inner = builder.build_recorder();
        let (handle, emissions) = (inner.handle(), Arc::<AtomicUsize>::default());
        let counting = Counting {
            inner,
            emissions: emissions.clone(),
        };
        assert!(set_global_recorder(counting).is_ok());
        Self { handle, emissions }
    }

    pub(crate) fn text(&self) -> String {
        self.handle.render()
    }

    /// The value of a series without the common prefix; 0 if it is missing.
    pub(crate) fn value(&self, series: &str) -> i64 {
        let start = format!("socketio_session_{series} ");
        let text = self.text();
        let value = text.lines().find_map(|line| line.strip_prefix(&start));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// Number of emissions so far: each looks its metric up.
    pub(crate) fn emissions(&self) -> usize {
        self.emissions.load(Ordering::SeqCst)
    }
}

impl Counting {
    fn count(&self) -> &PrometheusRecorder {
        self.emissions.fetch_add(1, Ordering::SeqCst);
        &self.inner
    }
}

impl Recorder for Counting {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.inner.describe_counter(key, unit, text);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.inner.describe_gauge(key, unit, text);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.inner.describe_histogram(key, unit, text);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.count().register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.count().register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.count().register_histogram(key, metadata)
    }
}
