//! `Session` and `MaybeSession` in handlers.

use std::{any::type_name, sync::Arc};

use socketioxide::{
    adapter::Adapter,
    handler::{FromConnectParts, FromDisconnectParts, FromMessageParts},
    socket::{DisconnectReason, Socket},
};
use socketioxide_core::Value;

use super::attached::Attached;
use crate::{
    live::Attachment,
    observe::target,
    session::{MaybeSession, Session},
};

/// Why a handler got no session of its socket. Its text is one of the codes, as it may be sent to a
/// client.
///
/// ```
/// use std::sync::Arc;
/// use socketioxide::{adapter::Adapter, handler::FromMessageParts, socket::Socket};
/// use socketioxide_core::Value;
/// use socketioxide_session::{Session, socketio::SocketSessionError};
///
/// /// An extractor of one's own.
/// struct Name(String);
///
/// impl<A: Adapter> FromMessageParts<A> for Name {
///     type Error = SocketSessionError;
///
///     fn from_message_parts(
///         socket: &Arc<Socket<A>>,
///         data: &mut Value,
///         ack: &Option<i64>,
///     ) -> Result<Self, Self::Error> {
///         let session = Session::<String>::from_message_parts(socket, data, ack)?;
///         Ok(Self(session.data().clone()))
///     }
/// }
/// # let _ = Name;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocketSessionError {
    /// The session has ended.
    #[error("NO_SESSION")]
    Ended,
    /// The socket has no session; the handler takes [`Session`], and [`MaybeSession`] would be right.
    #[error("NO_SESSION")]
    Anonymous,
    /// The namespace has no session middleware for this type of session, which is logged.
    #[error("NO_SESSION")]
    MissingMiddleware,
}

fn attached<A: Adapter, T: Send + Sync + 'static>(
    socket: &Arc<Socket<A>>,
) -> Result<Option<Arc<Attachment<T>>>, SocketSessionError> {
    match socket.extensions.get::<Attached<T>>() {
        Some(Attached::Session { attachment, .. }) => Ok(Some(attachment)),
        Some(Attached::Anonymous { .. }) => Ok(None),
        Some(Attached::Released) => Err(SocketSessionError::Ended),
        None => {
            tracing::error!(
                target: target::SETUP,
                data = type_name::<T>(),
                namespace = socket.ns(),
                "a handler takes a session, but no session middleware of its namespace ran before it: of \
                 several `with`, the last one runs first"
            );
            Err(SocketSessionError::MissingMiddleware)
        }
    }
}

/// The session that a handler may act for: one that has not ended.
fn live_session<A: Adapter, T: Send + Sync + 'static>(
    socket: &Arc<Socket<A>>,
) -> Result<Option<Session<T>>, SocketSessionError> {
    let Some(attachment) = attached::<A, T>(socket)? else {
        return Ok(None);
    };
    if socket.connected() {
        attachment.socket().seen();
    }
    let session = Session::of(&attachment);
    if session.has_ended() {
        return Err(SocketSessionError::Ended);
    }
    session.used();
    Ok(Some(session))
}

/// The socket is used in the name of its session, if it has one that has not ended.
pub(super) fn count_use<A: Adapter, T: Send + Sync + 'static>(socket: &Arc<Socket<A>>) {
    // A failure is logged, and the handler itself decides how to go on.
    let _ = live_session::<A, T>(socket);
}

/// The session that a socket had: a disconnect handler cleans up after a session that has ended, too.
fn last_session<A: Adapter, T: Send + Sync + 'static>(
    socket: &Arc<Socket<A>>,
) -> Result<Option<Session<T>>, SocketSessionError> {
    let attachment = attached::<A, T>(socket)?;
    Ok(attachment.map(|attachment| Session::of(&attachment)))
}

/// When this extractor fails in a connect handler, it disconnects the socket: the client is connected
/// by then, and would stay so without a handler.
impl<A: Adapter, T: Send + Sync + 'static> FromConnectParts<A> for MaybeSession<T> {
    type Error = SocketSessionError;

    fn from_connect_parts(socket: &Arc<Socket<A>>, _: &Option<Value>) -> Result<Self, Self::Error> {
        live_session(socket).map(Self).inspect_err(|_| {
            // In another middleware, before that, a rejection is enough.
            if socket.connected() {
                let _ = socket.clone().disconnect();
            }
        })
    }
}

/// When this extractor fails in a connect handler, it disconnects the socket: the client is connected
/// by then, and would stay so without a handler.
impl<A: Adapter, T: Send + Sync + 'static> FromConnectParts<A> for Session<T> {
    type Error = SocketSessionError;

    fn from_connect_parts(
        socket: &Arc<Socket<A>>,
        auth: &Option<Value>,
    ) -> Result<Self, Self::Error> {
        let MaybeSession(session) = MaybeSession::from_connect_parts(socket, auth)?;
        session.ok_or_else(|| {
            if socket.connected() {
                let _ = socket.clone().disconnect();
            }
            SocketSessionError::Anonymous
        })
    }
}

impl<A: Adapter, T: Send + Sync + 'static> FromMessageParts<A> for MaybeSession<T> {
    type Error = SocketSessionError;

    fn from_message_parts(
        socket: &Arc<Socket<A>>,
        _: &mut Value,
        _: &Option<i64>,
    ) -> Result<Self, Self::Error> {
        live_session(socket).map(Self)
    }
}

impl<A: Adapter, T: Send + Sync + 'static> FromMessageParts<A> for Session<T> {
    type Error = SocketSessionError;

    fn from_message_parts(
        socket: &Arc<Socket<A>>,
        _: &mut Value,
        _: &Option<i64>,
    ) -> Result<Self, Self::Error> {
        live_session(socket)?.ok_or_else(|| {
            tracing::debug!(
                target: target::REJECTION,
                namespace = socket.ns(),
                "an event was dropped: its handler takes `Session`, and its socket has none"
            );
            SocketSessionError::Anonymous
        })
    }
}

/// In a disconnect handler the session may have ended: that may be why the socket disconnects. The
/// handle then has the last known data, and [`has_ended`](Session::has_ended).
impl<A: Adapter, T: Send + Sync + 'static> FromDisconnectParts<A> for MaybeSession<T> {
    type Error = SocketSessionError;

    fn from_disconnect_parts(
        socket: &Arc<Socket<A>>,
        _: DisconnectReason,
    ) -> Result<Self, Self::Error> {
        last_session(socket)
            .map(Self)
            .inspect_err(|_| remove(socket))
    }
}

/// As for [`MaybeSession`]: a session that has ended is no error here.
impl<A: Adapter, T: Send + Sync + 'static> FromDisconnectParts<A> for Session<T> {
    type Error = SocketSessionError;

    fn from_disconnect_parts(
        socket: &Arc<Socket<A>>,
        reason: DisconnectReason,
    ) -> Result<Self, Self::Error> {
        let MaybeSession(session) = MaybeSession::from_disconnect_parts(socket, reason)?;
        session.ok_or_else(|| {
            remove(socket);
            SocketSessionError::Anonymous
        })
    }
}

/// socketioxide does not remove a socket whose disconnect handler could not be called. A second
/// `disconnect` finds no handler any more, and removes it.
fn remove<A: Adapter>(socket: &Arc<Socket<A>>) {
    let _ = socket.clone().disconnect();
}
