//! Engine.IO transports: whose one is, and how often it asks.
//!
//! 1. While a client polls, its transport is a `sid` in the URL, and whoever knows that can read its
//!    packets and send in its name. So a polling transport that is opened with a session's credential
//!    is [bound](Transports::bind) to that session, before anybody can know its `sid`: all further
//!    requests must bring a credential of the session, too.
//! 2. A client that is refused keeps its transport, and may ask to connect again and again. A budget
//!    bounds how often that [asks](Transport::ask) the store.

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

use crate::{id::SessionId, live::EndFlag};

/// So many connects of one transport may ask the store at the same time, and so many with the id of
/// one session that is gone; then one in each [`REFILL`].
const MAX_ASKING: u16 = 10;
const REFILL: Duration = Duration::from_mins(1);
/// Of so many sessions that are gone a transport may have the id.
const MAX_GONE: usize = 10;
/// When the store has failed [`MAX_ASKING`] times in a row, it is asked once in this time.
const RETRY: Duration = Duration::from_secs(1);
/// So many connects of one transport may wait until others have their answer.
const MAX_WAITING: u16 = 100;
/// The random bytes of a `sid`.
const SID_BYTES: usize = 12;

/// One transport, as long as its opening request is kept. There is one for each request, so it is
/// small.
pub(crate) struct Transport<T> {
    budget: Mutex<Budget>,
    binding: OnceLock<Box<Binding<T>>>,
}

impl<T> Default for Transport<T> {
    fn default() -> Self {
        Self {
            budget: Mutex::default(),
            binding: OnceLock::new(),
        }
    }
}

impl<T> Transport<T> {
    /// Leave for a connect to ask the store for this session, when it is certain that the transport's
    /// budget covers it.
    pub(crate) async fn ask<'a>(&'a self, id: &'a SessionId) -> Result<Asking<'a>, Spent> {
        let budget = &self.budget;
        loop {
            let decision = budget.lock().decide(id);
            let (settled, asking) = match decision {
                Decision::Ask => return Ok(Asking { budget, id }),
                Decision::Refuse(spent) => return Err(spent),
                Decision::Wait { settled, asking } => (settled, asking),
            };
            let _waiting = Waiting { budget };
            let mut settled = pin!(settled.notified());
            settled.as_mut().enable();
            // What rang before somebody listened has rung for nobody.
            if budget.lock().asking == asking {
                settled.await;
            }
        }
    }
}

/// What the connects of a transport have asked of the store.
#[derive(Default)]
struct Budget {
    /// So many ask now. They may all be in vain, so they count until it is known.
    asking: u16,
    waiting: u16,
    /// Rings when one of them has its answer; made by the first that waits.
    settled: Option<Arc<Notify>>,
    /// `None`, as long as nothing was in vain.
    vain: Option<Box<Vain>>,
}

/// What was asked in vain.
#[derive(Default)]
struct Vain {
    gone: Vec<Gone>,
    /// How often the store has failed since it last answered.
    failed: u16,
    last_failed: Option<Instant>,
}

/// A session that is gone, and that was asked for.
struct Gone {
    id: SessionId,
    times: u16,
    last: Instant,
}

/// Why a connect may not ask the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spent {
    /// Its session was gone all the time.
    Gone,
    /// The store fails.
    Failing,
}

enum Decision {
    Ask,
    Wait { settled: Arc<Notify>, asking: u16 },
    Refuse(Spent),
}

impl Budget {
    fn decide(&mut self, id: &SessionId) -> Decision {
        if let Some(vain) = &self.vain {
            if vain.failed >= MAX_ASKING {
                let again = self.asking == 0 && has_passed(vain.last_failed, RETRY);
                return self.ask_if(again, Spent::Failing);
            }
            let of_id = vain.gone.iter().find(|gone| gone.id == *id);
            let times = of_id.map_or(0, |gone| gone.times);
            if times >= MAX_ASKING {
                let last = of_id.map(|gone| gone.last);
                return self.ask_if(self.asking == 0 && has_passed(last, REFILL), Spent::Gone);
            }
            let forgotten = |gone: &Gone| has_passed(Some(gone.last), REFILL);
            if of_id.is_none() && vain.gone.len() >= MAX_GONE && !vain.gone.iter().any(forgotten) {
                return Decision::Refuse(Spent::Gone);
            }
            if times + self.asking >= MAX_ASKING {
                return self.wait();
            }
        } else if self.asking >= MAX_ASKING {
            return self.wait();
        }
        self.ask_if(true, Spent::Gone)
    }

    fn ask_if(&mut self, may: bool, why_not: Spent) -> Decision {
        if !may {
            return Decision::Refuse(why_not);
        }
        self.asking += 1;
        Decision::Ask
    }

    fn wait(&mut self) -> Decision {
        if self.waiting >= MAX_WAITING {
            return Decision::Refuse(Spent::Gone);
        }
        self.waiting += 1;
        Decision::Wait {
            settled: self.settled.get_or_insert_default().clone(),
            asking: self.asking,
        }
    }

    fn gone(&mut self, id: &SessionId) {
        let vain = self.vain.get_or_insert_default();
        (vain.failed, vain.last_failed) = (0, None);
        let last = Instant::now();
        if let Some(gone) = vain.gone.iter_mut().find(|gone| gone.id == *id) {
            gone.times = gone.times.saturating_add(1);
            gone.last = last;
            return;
        }
        if vain.gone.len() >= MAX_GONE {
            vain.gone
                .retain(|gone| !has_passed(Some(gone.last), REFILL));
        }
        if vain.gone.len() < MAX_GONE {
            let id = id.clone();
            vain.gone.push(Gone { id, times: 1, last });
        }
    }

    fn failed(&mut self) {
        let vain = self.vain.get_or_insert_default();
        vain.failed = vain.failed.saturating_add(1);
        vain.last_failed = Some(Instant::now());
    }

    fn admitted(&mut self, id: &SessionId) {
        if let Some(vain) = &mut self.vain {
            (vain.failed, vain.last_failed) = (0, None);
            vain.gone.retain(|gone| gone.id != *id);
            if vain.gone.is_empty() {
                self.vain = None;
            }
        }
    }
}

fn has_passed(last: Option<Instant>, time: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= time)
}

/// The polling transports of a bridge.
pub(crate) struct Transports<T> {
    by_sid: Arc<Owners<T>>,
}

/// Which polling transport belongs to which session, by the `sid`.
type Owners<T> = Mutex<HashMap<Arc<str>, Owner<T>>>;

struct Owner<T> {
    id: SessionId,
    /// Whether the session was rotated; known once it has connected.
    end: Option<Arc<EndFlag<T>>>,
}

impl<T> Transports<T> {
    /// Binds a transport to a session, unless it is bound already; as long as the transport is kept.
    pub(crate) fn bind(&self, transport: &Transport<T>, sid: &str, id: &SessionId) {
        transport.binding.get_or_init(|| {
            let sid: Arc<str> = sid.into();
            let owner = Owner {
                id: id.clone(),
                end: None,
            };
            self.by_sid.lock().insert(sid.clone(), owner);
            let by_sid = self.by_sid.clone();
            Box::new(Binding { by_sid, sid })
        });
    }

    /// The session of a transport has connected: should it be rotated here, its client goes on with
    /// the new id.
    pub(crate) fn connected(&self, sid: &str, id: &SessionId, end: &Arc<EndFlag<T>>) {
        if let Some(owner) = self.by_sid.lock().get_mut(sid)
            && owner.id == *id
        {
            owner.end = Some(end.clone());
        }
    }

    /// The session that a transport was opened with is gone, so with its opening request nobody can
    /// connect: it is nobody's, as one that was opened without any credential.
    pub(crate) fn release(&self, transport: &Transport<T>, id: &SessionId) {
        if let Some(binding) = transport.binding.get() {
            let mut by_sid = self.by_sid.lock();
            let owner = by_sid.get(&binding.sid);
            let released = owner.is_some_and(|owner| owner.id == *id && owner.end.is_none());
            let owner = released.then(|| by_sid.remove(&binding.sid));
            drop(by_sid);
            drop(owner);
        }
    }

    pub(crate) fn is_bound(&self, sid: &str) -> bool {
        self.by_sid.lock().contains_key(sid)
    }

    /// Whether a request that shows this session may act for the transport.
    pub(crate) fn is_owner(&self, sid: &str, shown: &SessionId) -> bool {
        let by_sid = self.by_sid.lock();
        by_sid.get(sid).is_none_or(|owner| {
            let successor = owner.end.as_ref().and_then(|end| end.successor());
            owner.id == *shown || successor.is_some_and(|id| id == *shown)
        })
    }

    pub(crate) fn bound_count(&self) -> usize {
        self.by_sid.lock().len()
    }
}

impl<T> Default for Transports<T> {
    fn default() -> Self {
        Self {
            by_sid: Arc::default(),
        }
    }
}

/// A connect that asks the store. Dropped without a word, it costs nothing.
pub(crate) struct Asking<'a> {
    budget: &'a Mutex<Budget>,
    id: &'a SessionId,
}

impl Asking<'_> {
    pub(crate) fn gone(self) {
        self.budget.lock().gone(self.id);
    }

    pub(crate) fn failed(self) {
        self.budget.lock().failed();
    }

    pub(crate) fn admitted(self) {
        self.budget.lock().admitted(self.id);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut budget = self.budget.lock();
        budget.asking -= 1;
        if let Some(settled) = &budget.settled {
            settled.notify_waiters();
        }
    }
}

struct Waiting<'a> {
    budget: &'a Mutex<Budget>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.budget.lock().waiting -= 1;
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

/// What an HTTP request is to Engine.IO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineRequest<'a> {
    /// It opens a transport, if its method is `GET`.
    Opens(TransportKind),
    /// It belongs to the transport with this `sid`.
    Continues(&'a str),
    /// It names more than one `sid`, and each reader might take another one.
    Ambiguous,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransportKind {
    Polling,
    WebSocket,
}

impl<'a> EngineRequest<'a> {
    /// Reads the query as engineioxide does: split at `&`, nothing is decoded, of each parameter the
    /// first, and of all but `sid` only what comes before another `=`. `None`: nothing that Engine.IO
    /// would answer with more than an error.
    pub(crate) fn of(uri: &'a Uri) -> Option<Self> {
        let query = uri.query()?;
        let values = |name: &'static str| {
            let pairs = query.split('&');
            pairs.filter_map(move |pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let first = |name| values(name).next()?.split('=').next();
        let kind = match (first("EIO")?, first("transport")?) {
            ("3" | "4", "polling") => TransportKind::Polling,
            ("3" | "4", "websocket") => TransportKind::WebSocket,
            _ => return None,
        };
        let mut sids = values("sid");
        Some(match (sids.next(), sids.next()) {
            (None, _) => Self::Opens(kind),
            (Some(sid), None) => Self::Continues(sid),
            (Some(_), Some(_)) => Self::Ambiguous,
        })
    }
}

/// The same request for a transport that does not exist: Engine.IO itself answers as it answers a
/// `sid` that nobody knows.
pub(crate) fn with_unknown_sid(uri: &Uri) -> Uri {
    // A URI that is as long as one can be has no room for a longer `sid`. What is none at all is
    // unknown, too.
    with_sid(uri, &unknown_sid())
        .or_else(|| with_sid(uri, "-"))
        .unwrap_or_default()
}

fn with_sid(uri: &Uri, sid: &str) -> Option<Uri> {
    let mut replacement = Some(format!("sid={sid}"));
    let pairs = uri.query()?.split('&').filter_map(|pair| {
        let is_sid = pair.starts_with("sid=");
        if is_sid {
            replacement.take()
        } else {
            Some(pair.to_owned())
        }
    });
    let query = pairs.collect::<Vec<_>>().join("&");
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{}?{query}", uri.path()).parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn unknown_sid() -> String {
    let mut bytes = [0; SID_BYTES];
    fastrand::fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The `sid` in the packet with which Engine.IO answers who opens a polling transport.
pub(crate) fn sid_of_open_packet(body: &[u8]) -> Option<&str> {
    const FIELD: &[u8] = br#"{"sid":""#;
    let at = body.windows(FIELD.len()).position(|bytes| bytes == FIELD)?;
    let sid = body[at + FIELD.len()..]
        .split(|byte| *byte == b'"')
        .next()?;
    str::from_utf8(sid).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::EndReason;

    fn id(text: &str) -> SessionId {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_gone_is_asked_for_ten_times_and_then_rarely() {
        let (one, other) = (Transport::<()>::default(), Transport::<()>::default());
        let (gone, good) = (id("gone"), id("good"));
        for _ in 0..MAX_ASKING {
            one.ask(&gone).await.unwrap().gone();
            one.ask(&good).await.unwrap().admitted();
        }
        for _ in 0..3 {
            assert_eq!(one.ask(&gone).await.err(), Some(Spent::Gone));
            one.ask(&good).await.unwrap().admitted();
            other.ask(&gone).await.unwrap().gone();
            tokio::time::advance(REFILL).await;
            one.ask(&gone).await.unwrap().gone();
        }
        tokio::time::advance(REFILL).await;
        one.ask(&gone).await.unwrap().admitted();
        assert!(one.budget.lock().vain.is_none());
        for _ in 0..MAX_ASKING {
            drop(one.ask(&gone).await.unwrap());
            one.ask(&gone).await.unwrap().gone();
        }
        assert_eq!(one.ask(&gone).await.err(), Some(Spent::Gone));
    }

    #[tokio::test(start_paused = true)]
    async fn a_transport_has_the_ids_of_few_sessions_that_are_gone() {
        let transport = Transport::<()>::default();
        for nth in 0..MAX_GONE {
            let gone = id(&format!("gone-{nth}"));
            transport.ask(&gone).await.unwrap().gone();
        }
        let next = id("next");
        assert_eq!(transport.ask(&next).await.err(), Some(Spent::Gone));
        transport.ask(&id("gone-0")).await.unwrap().gone();
        tokio::time::advance(REFILL).await;
        transport.ask(&next).await.unwrap().gone();
        assert_eq!(transport.budget.lock().vain.as_ref().unwrap().gone.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_is_asked_once_a_second_until_it_answers() {
        let transport = Transport::<()>::default();
        let ids = [id("one"), id("two")];
        for nth in 0..MAX_ASKING {
            transport
                .ask(&ids[usize::from(nth % 2)])
                .await
                .unwrap()
                .failed();
        }
        for _ in 0..3 {
            for id in &ids {
                assert_eq!(transport.ask(id).await.err(), Some(Spent::Failing));
            }
            tokio::time::advance(RETRY).await;
            let asking = transport.ask(&ids[0]).await.unwrap();
            assert_eq!(transport.ask(&ids[1]).await.err(), Some(Spent::Failing));
            asking.failed();
        }
        for answered in [Asking::gone, Asking::admitted] {
            tokio::time::advance(RETRY).await;
            answered(transport.ask(&ids[0]).await.unwrap());
            for _ in 0..MAX_ASKING {
                transport.ask(&ids[1]).await.unwrap().failed();
            }
        }
    }

    #[tokio::test]
    async fn those_that_ask_at_the_same_time_are_counted_too() {
        let transport = Transport::<()>::default();
        let (gone, good) = (id("gone"), id("good"));
        let mut asking = Vec::new();
        for _ in 0..MAX_ASKING {
            asking.push(transport.ask(&gone).await.unwrap());
        }
        let mut next = Box::pin(transport.ask(&good));
        assert!(futures_util::poll!(&mut next).is_pending());
        asking.pop().unwrap().gone();
        let last = next.await.unwrap();
        let mut next = Box::pin(transport.ask(&gone));
        assert!(futures_util::poll!(&mut next).is_pending());
        asking.into_iter().for_each(Asking::gone);
        last.admitted();
        assert_eq!(next.await.err(), Some(Spent::Gone));
        assert_eq!(transport.budget.lock().waiting, 0);
    }

    #[tokio::test]
    async fn not_more_than_a_hundred_wait() {
        let transport = Transport::<()>::default();
        let id = id("slow");
        let mut asking = Vec::new();
        for _ in 0..MAX_ASKING {
            asking.push(transport.ask(&id).await.unwrap());
        }
        let mut waiting: Vec<_> = (0..MAX_WAITING)
            .map(|_| Box::pin(transport.ask(&id)))
            .collect();
        for next in &mut waiting {
            assert!(futures_util::poll!(next).is_pending());
        }
        assert!(transport.ask(&id).await.is_err());
        drop(waiting.pop());
        let mut next = Box::pin(transport.ask(&id));
        assert!(futures_util::poll!(&mut next).is_pending());
        drop((asking, waiting));
        next.await.unwrap().admitted();
        assert_eq!(transport.budget.lock().asking, 0);
    }

    #[test]
    fn a_binding_lives_as_long_as_its_transport() {
        let all = Transports::<()>::default();
        let (ann, bob) = (id("ann"), id("bob"));
        let transport = Transport::default();
        all.bind(&transport, "a", &ann);
        all.bind(&transport, "a", &bob);
        assert!(all.is_bound("a") && !all.is_bound("b"));
        assert!(all.is_owner("a", &ann) && !all.is_owner("a", &bob));
        assert!(all.is_owner("b", &bob), "it is nobody's");
        drop(transport);
        assert_eq!(all.bound_count(), 0);
    }

    #[test]
    fn after_a_rotation_here_the_new_id_is_as_good_and_after_any_other_end_nothing_else() {
        for reason in [
            EndReason::Deleted,
            EndReason::Rotated,
            EndReason::Expired,
            EndReason::StoreUnreachable,
        ] {
            let all = Transports::<()>::default();
            let (old, new) = (id("old"), id("new"));
            let transport = Transport::default();
            let end = Arc::new(EndFlag::of_nobody());
            all.bind(&transport, "a", &old);
            all.connected("a", &old, &end);
            end.set_successor(&new);
            assert!(!all.is_owner("a", &new));
            end.raise(reason);
            assert_eq!(all.is_owner("a", &new), reason == EndReason::Rotated);
            assert!(all.is_owner("a", &old));
            all.release(&transport, &old);
            assert!(all.is_bound("a"), "there was a session on it");
        }
    }

    #[test]
    fn a_transport_whose_session_was_never_there_is_nobodys() {
        let all = Transports::<()>::default();
        let transport = Transport::default();
        all.bind(&transport, "a", &id("gone"));
        all.release(&transport, &id("other"));
        assert!(all.is_bound("a"));
        all.release(&transport, &id("gone"));
        assert!(!all.is_bound("a"));
        all.release(&Transport::default(), &id("gone"));
    }

    #[test]
    fn requests_are_read_as_engineioxide_reads_them() {
        let read = |query: &str| {
            let uri: Uri = format!("/any?{query}").parse().unwrap();
            match EngineRequest::of(&uri) {
                None => "none".to_owned(),
                Some(EngineRequest::Opens(TransportKind::Polling)) => "polls".to_owned(),
                Some(EngineRequest::Opens(TransportKind::WebSocket)) => "opens".to_owned(),
                Some(EngineRequest::Continues(sid)) => sid.to_owned(),
                Some(EngineRequest::Ambiguous) => "ambiguous".to_owned(),
            }
        };
        for (query, expected) in [
            ("EIO=4&transport=polling", "polls"),
            ("transport=websocket&t=abc&EIO=4", "opens"),
            ("EIO=4&transport=polling&sid", "polls"),
            ("EIO=4&transport=polling&s%69d=x", "polls"),
            ("EIO=3=&transport=polling=x&EIO=5&transport=bus", "polls"),
            ("EIO=5&EIO=4&transport=polling", "none"),
            ("EIO=4&transport=bus&sid=x&sid=y", "none"),
            ("EIO=4&transport=&sid=x", "none"),
            ("EIO=4&transport=Polling", "none"),
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

    #[test]
    fn the_longest_uris_are_changed_too() {
        for (sids, room) in [("sid=&sid=", 0), ("sid=&sid=", 20), ("sid=abc&sid=", 4)] {
            let start = format!("/x?EIO=4&transport=polling&{sids}&a=");
            let padding = "a".repeat(usize::from(u16::MAX) - 1 - room - start.len());
            let uri: Uri = format!("{start}{padding}").parse().unwrap();
            let changed = with_unknown_sid(&uri);
            match EngineRequest::of(&changed) {
                Some(EngineRequest::Continues(sid)) => assert!(sid == "-" || sid.len() == 16),
                other => panic!("{other:?}"),
            }
            assert!(changed.query().unwrap().ends_with(&padding));
        }
    }

    #[test]
    fn the_sid_is_read_from_what_engine_io_answers() {
        for (body, sid) in [
            (r#"0{"sid":"abc","upgrades":["websocket"]}"#, Some("abc")),
            (r#"96:0{"sid":"abc","upgrades":[]}2:40"#, Some("abc")),
            ("0{}", None),
            ("", None),
            ("<html>", None),
        ] {
            assert_eq!(sid_of_open_packet(body.as_bytes()), sid, "{body}");
        }
        assert_eq!(sid_of_open_packet(b"{\"sid\":\"\xff\""), None);
    }
}
