//! Engine.IO transports: whose one is, and how often it was refused.
//!
//! 1. While a client polls, its transport is a `sid` in the URL, and whoever knows that can read its
//!    packets and send in its name. So once a session has connected over a polling transport, the
//!    `sid` is [bound](Transports::bind) to it: other requests must bring a credential of that
//!    session, too.
//! 2. A client that is refused keeps its transport, and may ask to connect again and again. A budget
//!    bounds how often that [asks](Transports::ask) the store.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Uri;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::{
    id::SessionId,
    live::{EndFlag, EndReason},
};

/// So many connects of one transport may ask the store and be refused; then one in each
/// [`REFILL`], so that an outage of the store does not shut a client out for good.
const MAX_REFUSED: u16 = 10;
const REFILL: Duration = Duration::from_mins(1);
/// The random bytes of a `sid`.
const SID_BYTES: usize = 12;

/// One transport, as long as its opening request is kept. There is one for each request, so it is
/// small.
pub(crate) struct Transport<T> {
    spent: Mutex<Spent>,
    binding: OnceLock<Box<Binding<T>>>,
}

/// How often the connects of a transport have asked the store in vain.
#[derive(Default)]
struct Spent {
    refused: u16,
    /// So many are asking now. They may be refused all, so they count until it is known.
    asking: u16,
    last_refused: Option<Instant>,
}

impl Spent {
    fn is_refilled(&self) -> bool {
        self.last_refused
            .is_none_or(|last| last.elapsed() >= REFILL)
    }
}

impl<T> Default for Transport<T> {
    fn default() -> Self {
        Self {
            spent: Mutex::default(),
            binding: OnceLock::new(),
        }
    }
}

/// The transports of a bridge.
pub(crate) struct Transports<T> {
    by_sid: Arc<Owners<T>>,
    /// Rings when a connect that has asked the store, of whichever transport, has its answer.
    settled: Notify,
}

/// Which polling transport belongs to which session, by the `sid`.
type Owners<T> = Mutex<HashMap<Arc<str>, Owner<T>>>;

/// A session, and whether it has ended.
struct Owner<T> {
    id: SessionId,
    end: Arc<EndFlag<T>>,
}

impl<T> Transports<T> {
    /// Leave for a connect to ask the store, when it is certain that the transport's budget covers
    /// it; `None` when that is spent.
    pub(crate) async fn ask<'a>(&'a self, transport: &'a Transport<T>) -> Option<Asking<'a>> {
        loop {
            let mut settled = pin!(self.settled.notified());
            settled.as_mut().enable();
            {
                let mut spent = transport.spent.lock();
                let may_ask = if spent.refused < MAX_REFUSED {
                    spent.refused + spent.asking < MAX_REFUSED
                } else if spent.is_refilled() {
                    spent.asking == 0
                } else {
                    return None;
                };
                if may_ask {
                    spent.asking += 1;
                    let (spent, settled) = (&transport.spent, &self.settled);
                    return Some(Asking { spent, settled });
                }
            }
            settled.await;
        }
    }

    /// Binds a transport to a session, unless it is bound already; as long as the transport is kept.
    pub(crate) fn bind(
        &self,
        transport: &Transport<T>,
        sid: &str,
        id: &SessionId,
        end: &Arc<EndFlag<T>>,
    ) {
        transport.binding.get_or_init(|| {
            let sid: Arc<str> = sid.into();
            let owner = Owner {
                id: id.clone(),
                end: end.clone(),
            };
            self.by_sid.lock().insert(sid.clone(), owner);
            let by_sid = self.by_sid.clone();
            Box::new(Binding { by_sid, sid })
        });
    }

    /// The session that a `sid` is bound to. After a logout or a rotation it is nobody's: the client
    /// has another cookie by then, or none, and is still to hear of it; and with what the transport
    /// was opened with, nobody can connect any more.
    pub(crate) fn owner(&self, sid: &str) -> Option<SessionId> {
        let by_sid = self.by_sid.lock();
        let owner = by_sid.get(sid)?;
        match owner.end.reason() {
            Some(EndReason::Deleted | EndReason::Rotated) => None,
            // It may go on: nobody knows, or it was kept alive elsewhere.
            Some(EndReason::Expired | EndReason::StoreUnreachable) | None => Some(owner.id.clone()),
        }
    }
}

impl<T> Default for Transports<T> {
    fn default() -> Self {
        Self {
            by_sid: Arc::default(),
            settled: Notify::new(),
        }
    }
}

/// A connect that asks the store. Dropped without a word, it costs nothing.
pub(crate) struct Asking<'a> {
    spent: &'a Mutex<Spent>,
    settled: &'a Notify,
}

impl Asking<'_> {
    pub(crate) fn refused(self) {
        let mut spent = self.spent.lock();
        spent.refused = spent.refused.saturating_add(1);
        spent.last_refused = Some(Instant::now());
    }

    /// Whoever has a session is no stranger.
    pub(crate) fn admitted(self) {
        self.spent.lock().refused = 0;
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.spent.lock().asking -= 1;
        self.settled.notify_waiters();
    }
}

struct Binding<T> {
    by_sid: Arc<Owners<T>>,
    sid: Arc<str>,
}

impl<T> Drop for Binding<T> {
    fn drop(&mut self) {
        let owner = self.by_sid.lock().remove(&self.sid);
        drop(owner);
    }
}

/// What an HTTP request is to Engine.IO, on whatever path that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineRequest<'a> {
    /// It opens a transport.
    Opens,
    /// It belongs to the transport with this `sid`.
    Continues(&'a str),
    /// It names more than one `sid`, and each reader might take another one.
    Ambiguous,
}

impl<'a> EngineRequest<'a> {
    /// Reads the query as engineioxide does: split at `&`, nothing is decoded, and `EIO` and
    /// `transport` must be there. `None`: nothing that Engine.IO would answer with more than an error.
    pub(crate) fn of(uri: &'a Uri) -> Option<Self> {
        let query = uri.query()?;
        let values = |name: &'static str| {
            let pairs = query.split('&');
            pairs.filter_map(move |pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        values("EIO").next().and(values("transport").next())?;
        let mut sids = values("sid");
        Some(match (sids.next(), sids.next()) {
            (None, _) => Self::Opens,
            (Some(sid), None) => Self::Continues(sid),
            (Some(_), Some(_)) => Self::Ambiguous,
        })
    }
}

/// The same request for a transport that does not exist: Engine.IO itself answers as it answers a
/// `sid` that nobody knows.
pub(crate) fn with_unknown_sid(uri: &Uri) -> Uri {
    let mut unknown = Some(format!("sid={}", unknown_sid()));
    let pairs = uri.query().unwrap_or_default().split('&');
    let pairs = pairs.filter_map(|pair| {
        let is_sid = pair.starts_with("sid=");
        if is_sid {
            unknown.take()
        } else {
            Some(pair.to_owned())
        }
    });
    let query = pairs.collect::<Vec<_>>().join("&");
    let mut parts = uri.clone().into_parts();
    let target = format!("{}?{query}", uri.path());
    let target = target.parse().expect("a URI with another sid is a URI");
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).expect("a URI with another sid is a URI")
}

fn unknown_sid() -> String {
    let mut bytes = [0; SID_BYTES];
    fastrand::fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_spent_budget_refuses_and_refills_slowly() {
        let (all, one) = (Transports::<()>::default(), Transport::default());
        for _ in 0..MAX_REFUSED {
            all.ask(&one).await.unwrap().refused();
        }
        for _ in 0..3 {
            assert!(all.ask(&one).await.is_none());
            tokio::time::advance(REFILL).await;
            all.ask(&one).await.unwrap().refused();
        }
        tokio::time::advance(REFILL).await;
        all.ask(&one).await.unwrap().admitted();
        for _ in 0..MAX_REFUSED {
            drop(all.ask(&one).await.unwrap());
            all.ask(&one).await.unwrap().refused();
        }
        assert!(all.ask(&one).await.is_none());
        assert!(all.ask(&Transport::default()).await.is_some());
    }

    #[tokio::test]
    async fn those_that_ask_at_the_same_time_are_counted_too() {
        let (all, one) = (Transports::<()>::default(), Transport::default());
        let mut asking = Vec::new();
        for _ in 0..MAX_REFUSED {
            asking.push(all.ask(&one).await.unwrap());
        }
        let mut next = Box::pin(all.ask(&one));
        assert!(futures_util::poll!(&mut next).is_pending());
        asking.pop().unwrap().admitted();
        asking.push(next.await.unwrap());
        let mut next = Box::pin(all.ask(&one));
        assert!(futures_util::poll!(&mut next).is_pending());
        asking.into_iter().for_each(Asking::refused);
        assert!(next.await.is_none());
    }

    #[test]
    fn a_binding_lives_as_long_as_its_transport() {
        let all = Transports::<()>::default();
        let [ann, bob] = ["ann", "bob"].map(|id| id.parse::<SessionId>().unwrap());
        let transport = Transport::default();
        let end = Arc::new(EndFlag::of_nobody());
        all.bind(&transport, "a", &ann, &end);
        all.bind(&transport, "a", &bob, &end);
        assert_eq!(all.owner("a"), Some(ann));
        assert_eq!(all.owner("b"), None);
        drop(transport);
        assert_eq!(all.owner("a"), None);
        assert_eq!(Arc::strong_count(&end), 1);
    }

    #[test]
    fn only_an_end_that_is_certain_frees_a_transport() {
        for (reason, frees) in [
            (EndReason::Deleted, true),
            (EndReason::Rotated, true),
            (EndReason::Expired, false),
            (EndReason::StoreUnreachable, false),
        ] {
            let all = Transports::<()>::default();
            let transport = Transport::default();
            let ann: SessionId = "ann".parse().unwrap();
            let end = Arc::new(EndFlag::of_nobody());
            all.bind(&transport, "a", &ann, &end);
            end.raise(reason);
            assert_eq!(all.owner("a").is_none(), frees, "{reason}");
        }
    }

    #[test]
    fn requests_are_read_as_engineioxide_reads_them() {
        let read = |query: &str| {
            let uri: Uri = format!("/any?{query}").parse().unwrap();
            match EngineRequest::of(&uri) {
                None => "none".to_owned(),
                Some(EngineRequest::Opens) => "opens".to_owned(),
                Some(EngineRequest::Continues(sid)) => sid.to_owned(),
                Some(EngineRequest::Ambiguous) => "ambiguous".to_owned(),
            }
        };
        for (query, expected) in [
            ("EIO=4&transport=polling", "opens"),
            ("transport=websocket&t=abc&EIO=4", "opens"),
            ("EIO=4&transport=polling&sid", "opens"),
            ("EIO=4&transport=polling&s%69d=x", "opens"),
            ("EIO=4&transport=polling&sid=x", "x"),
            ("sid=x=y&EIO=4&transport=polling", "x=y"),
            ("EIO=4&transport=polling&sid=", ""),
            ("EIO=4&transport=polling&sid=x&sid=x", "ambiguous"),
            ("EIO=4&transport=polling&sid=x&sid=", "ambiguous"),
            ("EIO=4&sid=x", "none"),
            ("transport=polling&sid=x", "none"),
            ("EIO&transport&sid=x&sid=y", "none"),
            ("sid=x&sid=y", "none"),
            ("", "none"),
        ] {
            assert_eq!(read(query), expected, "{query}");
        }
        assert_eq!(EngineRequest::of(&Uri::from_static("/socket.io/")), None);
    }

    #[test]
    fn another_sid_is_all_that_changes() {
        for (uri, before, after) in [
            (
                "/socket.io/?EIO=4&sid=AAAAAAAAAAAAAAAA&t=1",
                "/socket.io/?EIO=4&sid=",
                "&t=1",
            ),
            ("http://a.test:80/x?sid=", "http://a.test:80/x?sid=", ""),
            ("/x?sid=a&b&sid=c&d=e", "/x?sid=", "&b&d=e"),
        ] {
            let changed = with_unknown_sid(&uri.parse().unwrap()).to_string();
            let sid = changed.strip_prefix(before).unwrap();
            let sid = sid.strip_suffix(after).unwrap();
            assert_eq!(sid.len(), 16, "{changed}");
            assert_ne!(sid, "AAAAAAAAAAAAAAAA");
        }
    }
}
