//! The way of a client to its server, which can be held up or cut at one command.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    sync::{Notify, oneshot},
    task::JoinHandle,
};

use super::soon;

/// Forwards connections to a server on this machine. It ends when this is dropped.
pub(crate) struct Line {
    pub(crate) port: u16,
    gate: Arc<Gate>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Gate {
    waits_for: Mutex<Option<Waiting>>,
    reached: Notify,
}

struct Waiting {
    /// All of these are in the bytes of the command.
    texts: Vec<String>,
    decided: oneshot::Receiver<bool>,
}

/// A command that is held up, or will be.
pub(crate) struct Held {
    gate: Arc<Gate>,
    decide: oneshot::Sender<bool>,
}

impl Line {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let gate = Arc::<Gate>::default();
        let gates = gate.clone();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(forward(near, far, gates.clone()));
            }
        });
        Self { port, gate, task }
    }

    /// Holds up the next command that contains all of these texts, and what follows on its connection.
    pub(crate) fn hold(&self, texts: &[&str]) -> Held {
        let (decide, decided) = oneshot::channel();
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        *self.gate.waits_for.lock() = Some(Waiting { texts, decided });
        let gate = self.gate.clone();
        Held { gate, decide }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Held {
    /// Waits until the command is on its way.
    pub(crate) async fn reached(&self) {
        soon("the command is sent", self.gate.reached.notified()).await;
    }

    /// Lets the server have it.
    pub(crate) fn release(self) {
        self.decide.send(true).unwrap();
    }

    /// Cuts the connection, so that the server never gets it.
    pub(crate) fn cut(self) {
        self.decide.send(false).unwrap();
    }
}

async fn forward(near: TcpStream, far: TcpStream, gate: Arc<Gate>) {
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let ((near_read, mut near_write), (mut far_read, mut far_write)) =
        (near.into_split(), far.into_split());
    let replies = tokio::io::copy(&mut far_read, &mut near_write);
    let commands = async {
        let mut near_read = near_read;
        while let Some(bytes) = next(&mut near_read, &gate).await {
            if far_write.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    // Both directions end together.
    tokio::select! {
        _ = replies => {}
        () = commands => {}
    }
}

/// The next bytes to forward; `None` when the connection is to be closed.
async fn next(from: &mut OwnedReadHalf, gate: &Gate) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 64 * 1024];
    let read = from.read(&mut bytes).await.ok().filter(|read| *read > 0)?;
    bytes.truncate(read);
    let text = String::from_utf8_lossy(&bytes);
    let waits = |waiting: &Waiting| {
        waiting
            .texts
            .iter()
            .all(|part| text.contains(part.as_str()))
    };
    let waiting = gate.waits_for.lock().take_if(|waiting| waits(waiting));
    if let Some(waiting) = waiting {
        gate.reached.notify_one();
        waiting.decided.await.ok().filter(|pass| *pass)?;
    }
    Some(bytes)
}
