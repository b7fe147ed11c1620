//! The log of the process, in which tests look for secrets.

use std::{
    io::Write,
    sync::{Arc, Mutex, OnceLock},
};

use tracing::{Dispatch, dispatcher::DefaultGuard};
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, fmt::format::FmtSpan, layer::SubscriberExt as _,
};

/// Nothing of socketioxide, which logs what it receives at level debug.
const OURS: &str = "socketioxide_session=trace";

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    /// A subscriber that writes here what the filter selects.
    fn filled_with(&self, filter: &str, spans: FmtSpan) -> Dispatch {
        let writer = self.clone();
        let layer = fmt::layer()
            .with_span_events(spans)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .with_filter(filter.parse::<Targets>().unwrap());
        Dispatch::new(tracing_subscriber::registry().with(layer))
    }
}

/// Everything that was logged by this crate at any level. The tests of one process share it, so
/// look only for what is unique to a test.
pub(crate) fn captured() -> String {
    let bytes = buffer().0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// Begins to capture.
pub(crate) fn capture() {
    buffer();
}

fn buffer() -> &'static Buffer {
    static BUFFER: OnceLock<Buffer> = OnceLock::new();
    BUFFER.get_or_init(|| {
        let buffer = Buffer::default();
        let _ = tracing::dispatcher::set_global_default(buffer.filled_with(OURS, FmtSpan::NONE));
        buffer
    })
}

/// Writes to the log of a test when spans close, too, with another filter.
pub(crate) fn with_spans(log: &OwnLog, filter: &str) -> DefaultGuard {
    tracing::dispatcher::set_default(&log.buffer.filled_with(filter, FmtSpan::CLOSE))
}

/// The log of one test alone, whose server runs on the thread of the test.
pub(crate) struct OwnLog {
    buffer: Buffer,
    _guard: DefaultGuard,
}

impl OwnLog {
    pub(crate) fn begin() -> Self {
        let buffer = Buffer::default();
        let dispatch = buffer.filled_with(OURS, FmtSpan::NONE);
        Self {
            _guard: tracing::dispatcher::set_default(&dispatch),
            buffer,
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.buffer.0.lock().unwrap().clone()).unwrap()
    }

    /// Number of times that the log holds this.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.text().matches(text).count()
    }
}
