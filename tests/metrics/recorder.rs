//! A Prometheus exporter that also counts emissions, and looks into the application meanwhile.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    str::FromStr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    set_global_recorder,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// Scrapes of the recorder.
pub(crate) struct Scrape {
    handle: PrometheusHandle,
    emissions: Arc<AtomicUsize>,
    asks: Arc<Mutex<Option<Asks>>>,
}

/// A question to the application, and what became of it.
struct Asks {
    question: Arc<dyn Fn() + Send + Sync>,
    /// The metrics during whose emission it was asked.
    during: BTreeSet<String>,
    unanswered: Vec<String>,
}

struct Counting {
    inner: PrometheusRecorder,
    emissions: Arc<AtomicUsize>,
    asks: Arc<Mutex<Option<Asks>>>,
}

impl Scrape {
    /// Makes it the recorder of this process.
    pub(crate) fn install() -> Self {
        let builder = PrometheusBuilder::new().set_buckets(&[0.1, 1.0]).unwrap();
        let inner = builder.build_recorder();
        let (handle, emissions) = (inner.handle(), Arc::<AtomicUsize>::default());
        let asks = Arc::<Mutex<Option<Asks>>>::default();
        let counting = Counting {
            inner,
            emissions: emissions.clone(),
            asks: asks.clone(),
        };
        assert!(set_global_recorder(counting).is_ok());
        Self {
            handle,
            emissions,
            asks,
        }
    }

    /// From now on, each emission waits until another thread has asked this.
    pub(crate) fn ask(&self, question: impl Fn() + Send + Sync + 'static) {
        *self.asks.lock().unwrap() = Some(Asks {
            question: Arc::new(question),
            during: BTreeSet::new(),
            unanswered: Vec::new(),
        });
    }

    /// The metrics during whose emission the question was asked, and those where no answer came.
    pub(crate) fn asked(&self) -> (BTreeSet<String>, Vec<String>) {
        let asks = self.asks.lock().unwrap().take().unwrap();
        (asks.during, asks.unanswered)
    }

    pub(crate) fn text(&self) -> String {
        self.handle.render()
    }

    /// The value of a series without the common prefix; 0 if it is missing.
    pub(crate) fn value(&self, series: &str) -> i64 {
        self.parsed(series)
    }

    /// The sum of a histogram of seconds.
    pub(crate) fn seconds(&self, series: &str) -> f64 {
        self.parsed(series)
    }

    fn parsed<N: FromStr<Err: Debug> + Default>(&self, series: &str) -> N {
        let start = format!("socketio_session_{series} ");
        let text = self.text();
        let value = text.lines().find_map(|line| line.strip_prefix(&start));
        value.map_or_else(N::default, |value| value.parse().unwrap())
    }

    /// Number of emissions so far: each looks its metric up.
    pub(crate) fn emissions(&self) -> usize {
        self.emissions.load(Ordering::SeqCst)
    }
}

impl Counting {
    fn count(&self, key: &Key) -> &PrometheusRecorder {
        self.emissions.fetch_add(1, Ordering::SeqCst);
        let asks = self.asks.lock().unwrap();
        let question = asks.as_ref().map(|asks| asks.question.clone());
        drop(asks);
        if let Some(question) = question {
            let is_answered = is_answered(question);
            if let Some(asks) = &mut *self.asks.lock().unwrap() {
                asks.during.insert(key.name().to_owned());
                asks.unanswered
                    .extend((!is_answered).then(|| key.name().to_owned()));
            }
        }
        &self.inner
    }
}

/// Whether another thread can ask this now.
fn is_answered(question: Arc<dyn Fn() + Send + Sync>) -> bool {
    let (answer, answered) = mpsc::channel();
    thread::spawn(move || {
        question();
        let _ = answer.send(());
    });
    answered.recv_timeout(Duration::from_secs(30)).is_ok()
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
        self.count(key).register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.count(key).register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.count(key).register_histogram(key, metadata)
    }
}
