//! The settings of the layer.

use std::sync::Arc;

use http::Uri;

use crate::{request::CookieRefresh, transport::EngineRequest};

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) reject_unauthenticated: bool,
    pub(super) bind_sid: bool,
    pub(super) req_path: Option<Arc<str>>,
    pub(super) refresh: Option<CookieRefresh>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reject_unauthenticated: false,
            bind_sid: true,
            req_path: None,
            refresh: None,
        }
    }
}

impl Settings {
    /// The kind of a request to the protected Socket.IO server, by the same rule as engineioxide's.
    pub(super) fn engine_request<'a>(&self, uri: &'a Uri) -> Option<EngineRequest<'a>> {
        let is_there = self.req_path.as_deref().is_none_or(|path| {
            let rest = uri.path().strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path.ends_with('/'))
        });
        is_there.then(|| EngineRequest::of(uri)).flatten()
    }
}
