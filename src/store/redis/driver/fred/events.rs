//! The events of a client of fred.

use fred::{
    clients::Client,
    error::Error,
    interfaces::{EventInterface as _, TrackingInterface as _},
    types::{client::Invalidation, config::Server},
};
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::super::Event;

struct Receivers {
    invalidations: Receiver<Invalidation>,
    errors: Receiver<(Error, Option<Server>)>,
    reconnects: Receiver<Server>,
}

/// Subscribes at once, so that nothing is missed before the stream is polled.
pub(super) fn of(client: &Client) -> BoxStream<'static, Event> {
    let receivers = Receivers {
        invalidations: client.invalidation_rx(),
        errors: client.error_rx(),
        reconnects: client.reconnect_rx(),
    };
    let next = async |mut receivers: Receivers| Some((receivers.next().await?, receivers));
    stream::unfold(receivers, next).boxed()
}

impl Receivers {
    /// `None` once the client is closed.
    async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            reported = self.invalidations.recv() => match reported {
                Ok(report) => {
                    let keys = report.keys.into_iter();
                    Some(Event::Changed(keys.map(fred::types::Key::into_bytes).collect()))
                }
                Err(RecvError::Lagged(_)) => Some(Event::Skipped),
                Err(RecvError::Closed) => None,
            },
            error = self.errors.recv() => match error {
                Ok(_) | Err(RecvError::Lagged(_)) => Some(Event::Broken),
                Err(RecvError::Closed) => None,
            },
            back = self.reconnects.recv() => match back {
                Ok(_) | Err(RecvError::Lagged(_)) => Some(Event::Restored),
                Err(RecvError::Closed) => None,
            },
        }
    }
}
