//! Protects the `sid` of polling transports.
//!
//! While a client polls, Engine.IO checks nothing but the `sid` in the URL: a request that names it
//! reads the client's packets and sends events as the client. So each polling transport has a
//! *binding*: the set of session ids that its opening request proved. Every later request of the
//! transport must prove one of them.
//!
//! # Invariant
//!
//! A request acts for a transport only if the transport has no ids at all, or if the request proves
//! an id of the set. An id enters the set in two ways only: the opening request proved it, or it
//! replaced an id of the set on this node.
//!
//! # Lifecycle of a binding
//!
//! ```text
//!  GET without a sid        answer has the sid           CONNECT on the transport
//! ───────────────────► slot ─────────────────► hinted ─────────────────────────► confirmed
//!                       │                        │                                  │
//!                       │                        └── another request opened it:     ├── a session of the
//!                       │                            its binding takes this place   │   set is admitted:
//!                       └── CONNECT, and the answer could not be read ─────────────►│   narrowed to that id
//!                                                                                   └── an id is replaced:
//!  drop of the slot: the binding is removed, if it is still this slot's                 the new one joins
//! ```
//!
//! 1. The [`TransportSlot`] belongs to the opening request. socketioxide keeps that request for as
//!    long as the transport lives, so the drop of the slot is the end of the transport. Nothing else
//!    removes a binding. The slot removes only its own binding, compared by number, never by `sid`.
//! 2. The `sid` in an answer is a *hint*, because a handler can be made to answer with any text. A
//!    hint never displaces a binding. It exists so that a transport is bound before its client
//!    connects.
//! 3. CONNECT is the truth: socketioxide itself provides the `sid` and the request that opened the
//!    transport. It confirms the hint, or replaces one of another request.
//! 4. A transport whose opening request proved nothing has a binding with an empty set. It is open to
//!    all, and the entry keeps the hints of others away.
//! 5. The first admission of a session of the set narrows the set to that id and its successors. An
//!    admitted id that is not in the set came in the `auth` payload, which later requests do not
//!    repeat; it changes nothing.

mod advice;
mod binding;
mod engine;
mod open_packet;
mod table;

pub(crate) use binding::{TransportSlot, Transports};
pub(crate) use engine::{EngineRequest, TransportKind, with_unknown_sid};
pub(crate) use open_packet::{MAX_OPEN_PACKET, OPEN_PACKET_CONTENT_TYPE, sid_of_open_packet};
