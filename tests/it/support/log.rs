//! What the process logs, so that tests can look for what must not be there.

use std::{
    io::Write,
    sync::{Arc, Mutex, OnceLock},
};

use tracing_subscriber::EnvFilter;

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
        let writer = buffer.clone();
        // Of socketioxide nothing: it logs what it gets, at DEBUG.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("socketioxide_session=trace"))
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .try_init();
        buffer
    })
}

/// Writes to the log of a test when spans close, too, with another filter.
pub(crate) fn with_spans(log: &OwnLog, filter: &str) -> tracing::subscriber::DefaultGuard {
    let writer = log.buffer.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_default(subscriber)
}

/// The log of one test alone, whose server runs on the thread of the test.
pub(crate) struct OwnLog {
    buffer: Buffer,
    _guard: tracing::subscriber::DefaultGuard,
}

impl OwnLog {
    pub(crate) fn begin() -> Self {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("socketioxide_session=trace"))
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        Self {
            buffer,
            _guard: tracing::subscriber::set_default(subscriber),
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
