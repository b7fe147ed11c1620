//! TLS with an authority of one's own.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use socketioxide_session::{RedisStore, store::RedisConfigError};

use crate::support::{
    redis::{Redis, works},
    server::User,
    soon,
};

/// A server for `localhost`, and the certificate of the authority that signed for it.
async fn server() -> (Redis, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    let name = &mut authority.distinguished_name;
    name.push(DnType::CommonName, "an authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let authority = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &authority).unwrap().pem();
    let server = Redis::start_with_tls(&certificate, &key.serialize_pem(), &authority_pem).await;
    (server, authority_pem)
}

#[tokio::test]
async fn over_tls_with_an_authority_that_is_trusted() {
    let (server, authority) = server().await;
    let url = format!("rediss://localhost:{}", server.port);
    let builder = RedisStore::<User>::builder(&url).unwrap();
    let store = builder.trust(authority.as_bytes()).unwrap();
    let store = store.connect().await.unwrap();
    works(&store, |key| {
        server.cli(&["DEL", key]);
    })
    .await;

    for (what, url) in [
        ("an unknown authority", url.clone()),
        ("no TLS", url.replace("rediss", "redis")),
    ] {
        let builder = RedisStore::<User>::builder(&url).unwrap();
        let refused = builder.connect_timeout(Duration::from_secs(2)).unwrap();
        let refused = soon(what, refused.connect()).await;
        assert!(refused.is_err(), "{what}");
    }
    for pem in [
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n!",
    ] {
        let builder = RedisStore::<User>::builder(&url).unwrap();
        let refused = builder.trust(pem.as_bytes());
        assert!(matches!(refused, Err(RedisConfigError::Certificate(_))));
    }
}
