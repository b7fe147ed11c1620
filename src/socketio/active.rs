//! Events that keep a session alive although their handler does not take it.

use std::{fmt, marker::PhantomData, sync::Arc};

use socketioxide::{adapter::Adapter, handler::MessageHandler, socket::Socket};
use socketioxide_core::Value;

use super::extract::count_use;

/// Counts an event as a use of the session, although its handler takes no
/// [`Session`](crate::Session): `socket.on("draw", active::<User, _>(on_draw))`.
///
/// socketioxide calls only the handler of an event, so events whose handler takes neither the session
/// nor is wrapped are no uses. At most one touch is made per
/// [interval](crate::bridge::SessionBridgeBuilder::touch_on_activity), so it may wrap the handlers of
/// frequent events. The handler runs as it would without, also when the session has ended.
///
/// ```
/// use socketioxide::extract::{Data, SocketRef};
/// use socketioxide_session::{Session, socketio::active};
///
/// async fn on_connect(socket: SocketRef, _: Session<String>) {
///     socket.on("draw", active::<String, _>(async |socket: SocketRef, Data(line): Data<[u32; 4]>| {
///         socket.broadcast().emit("draw", &line).await.ok();
///     }));
/// }
/// # socketioxide::SocketIo::new_layer().1.ns("/", on_connect);
/// ```
pub fn active<T, H>(handler: H) -> Active<T, H> {
    Active {
        handler,
        data: PhantomData,
    }
}

/// A handler whose events are uses of the session; made by [`active`].
///
/// ```
/// use socketioxide::extract::SocketRef;
/// use socketioxide_session::socketio::{Active, active};
///
/// // Its type is rarely written: `socket.on` takes it as it is.
/// let handler: Active<String, _> = active(async |_: SocketRef| ());
/// # drop(handler);
/// ```
#[must_use]
pub struct Active<T, H> {
    handler: H,
    data: PhantomData<fn() -> T>,
}

/// Tells this crate's implementation of [`MessageHandler`] from those for closures.
#[derive(Debug)]
#[non_exhaustive]
pub struct ByActivity<M>(PhantomData<fn() -> M>);

impl<A, T, H, M> MessageHandler<A, ByActivity<M>> for Active<T, H>
where
    A: Adapter,
    T: Send + Sync + 'static,
    H: MessageHandler<A, M>,
    M: 'static,
{
    fn call(&self, socket: Arc<Socket<A>>, data: Value, ack_id: Option<i64>) {
        count_use::<A, T>(&socket);
        self.handler.call(socket, data, ack_id);
    }
}

impl<T, H: Clone> Clone for Active<T, H> {
    fn clone(&self) -> Self {
        active(self.handler.clone())
    }
}

impl<T, H> fmt::Debug for Active<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Active").finish_non_exhaustive()
    }
}
