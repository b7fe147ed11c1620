//! Request URIs for logs.

use std::fmt::{self, Display};

use http::Uri;

/// Query parameters whose values say nothing secret: Engine.IO's own, but for `sid`, which is a
/// bearer secret while a client polls.
const HARMLESS: [&str; 4] = ["EIO", "transport", "t", "b64"];

/// Shows a request's path and query for a log, with the values of its query parameters left out: a
/// token in them is a credential, and so is Engine.IO's `sid`.
///
/// tower-http's `TraceLayer` writes the whole URI into its span. Give it a span of your own:
///
/// ```
/// use socketioxide_session::http::redact_uri;
///
/// // TraceLayer::new_for_http().make_span_with(make_span)
/// fn make_span<B>(request: &http::Request<B>) -> tracing::Span {
///     tracing::debug_span!(
///         "request",
///         method = %request.method(),
///         uri = %redact_uri(request.uri()),
///     )
/// }
/// # let uri = "/socket.io/?EIO=4&transport=polling&token=secret".parse().unwrap();
/// # assert_eq!(redact_uri(&uri).to_string(), "/socket.io/?EIO=4&transport=polling&token=…");
/// ```
#[must_use]
pub fn redact_uri(uri: &Uri) -> impl Display + '_ {
    Redacted(uri)
}

struct Redacted<'a>(&'a Uri);

impl Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.path())?;
        let Some(query) = self.0.query() else {
            return Ok(());
        };
        for (nth, pair) in query.split('&').enumerate() {
            f.write_str(if nth == 0 { "?" } else { "&" })?;
            match pair.split_once('=') {
                Some((name, _)) if !HARMLESS.contains(&name) => write!(f, "{name}=…")?,
                Some(_) => f.write_str(pair)?,
                // Without `=`, the whole of it may be the secret.
                None => f.write_str("…")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_left_out() {
        for (uri, expected) in [
            ("/", "/"),
            ("https://a.test/path", "/path"),
            ("/?token=secret", "/?token=…"),
            ("/?EIO=4&sid=secret&t=x", "/?EIO=4&sid=…&t=x"),
            ("/?secret", "/?…"),
            (
                "/?EIO=4&a=b=c&token=secret&token=secret",
                "/?EIO=4&a=…&token=…&token=…",
            ),
        ] {
            assert_eq!(redact_uri(&uri.parse().unwrap()).to_string(), expected);
        }
    }
}
