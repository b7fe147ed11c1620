//! Redis over TLS.

#[cfg(feature = "redis-tls")]
use std::{error::Error, sync::Arc};

#[cfg(feature = "redis-tls")]
use fred::{
    rustls::{
        ClientConfig, RootCertStore,
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, pem::PemObject as _},
    },
    rustls_native_certs::load_native_certs,
    types::config::TlsConnector,
};

#[cfg(feature = "redis-tls")]
use super::super::super::config_error::RedisConfigError;

/// The URL without TLS; `None` when it wants none. fred would speak in the clear to a server for
/// which it has no TLS, and panic where a program has two providers of cryptography, so what it makes
/// of such a URL is not used. It reads a scheme as URLs are read: in any case, and after white space.
pub(super) fn without(url: &str) -> Option<String> {
    let url = url.trim_start_matches(|c: char| c <= ' ');
    ["rediss", "valkeys"].iter().find_map(|scheme| {
        let (start, rest) = url.split_at_checked(scheme.len())?;
        let wants = start.eq_ignore_ascii_case(scheme);
        wants.then(|| format!("{}{rest}", &scheme[..scheme.len() - 1]))
    })
}

/// Trusted certificates, beside those that the operating system trusts.
#[cfg(feature = "redis-tls")]
pub(super) struct Roots(RootCertStore);

#[cfg(feature = "redis-tls")]
impl Default for Roots {
    fn default() -> Self {
        Self(RootCertStore::empty())
    }
}

#[cfg(feature = "redis-tls")]
impl Roots {
    pub(super) fn add(&mut self, pem: &[u8]) -> Result<(), RedisConfigError> {
        let before = self.0.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(failed)?;
            self.0.add(certificate).map_err(failed)?;
        }
        if self.0.len() == before {
            return Err(failed("there is no certificate in the PEM text"));
        }
        Ok(())
    }

    pub(super) fn connector(mut self) -> Result<TlsConnector, RedisConfigError> {
        // One strange certificate of the system's must not make all the others useless.
        self.0.add_parsable_certificates(load_native_certs().certs);
        let provider = CryptoProvider::get_default().cloned();
        let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_root_certificates(self.0)
            .with_no_client_auth();
        Ok(config.into())
    }
}

#[cfg(feature = "redis-tls")]
fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> RedisConfigError {
    RedisConfigError::Certificate(error.into().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wants_tls_is_told_from_what_does_not() {
        for (url, plain) in [
            ("rediss://a", Some("redis://a")),
            (" \tREDISS://a", Some("redis://a")),
            ("Rediss-Cluster://a", Some("redis-Cluster://a")),
            ("rediss-sentinel://a", Some("redis-sentinel://a")),
            ("valkeys://a", Some("valkey://a")),
            ("redis://rediss", None),
            ("redis", None),
            ("redi\u{df}s://a", None),
        ] {
            assert_eq!(without(url).as_deref(), plain, "{url}");
        }
    }
}
