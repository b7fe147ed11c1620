//! The response to a rejected request.

use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

use crate::rejection::SessionRejection;

/// The code as JSON, with 401, 403 or 503.
pub(super) fn refusal<B>(
    rejection: &SessionRejection,
    body: impl FnOnce(String) -> B,
) -> Response<B> {
    let mut response = Response::new(body(rejection.to_json()));
    *response.status_mut() = rejection.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
