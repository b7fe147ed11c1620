//! The keys that seal and open tokens.

use xaes_256_gcm::{
    Xaes256Gcm,
    aead::{AeadInOut as _, KeyInit as _},
};
use zeroize::Zeroizing;

use super::wire::{self, KEY_ID_LEN, NONCE_LEN, TAG_LEN, VERSION};
use crate::{extractor::InvalidCredential, key::SecretKey};

/// The purpose in the derivation of the keys.
const PURPOSE: &str = "encrypted token";
/// The first part of the associated data.
const DOMAIN: &[u8] = b"socketioxide-session encrypted token";
const KEY_LEN: usize = 32;

/// A key of XAES-256-GCM (C2SP), which may seal any number of messages with random nonces, and
/// what it authenticates besides the message.
#[derive(Clone)]
pub(super) struct TokenKey {
    pub(super) id: [u8; KEY_ID_LEN],
    cipher: Xaes256Gcm,
    associated: Vec<u8>,
}

impl TokenKey {
    pub(super) fn new(key: &SecretKey, name: &str) -> Self {
        let derived = Zeroizing::new(key.derive(PURPOSE, name));
        let (key, rest) = derived
            .split_first_chunk::<KEY_LEN>()
            .expect("64 bytes are derived");
        let id = rest.first_chunk().expect("32 of them are left");
        Self {
            id: *id,
            cipher: Xaes256Gcm::new(key.into()),
            associated: Vec::new(),
        }
    }

    pub(super) fn bind(&mut self, name: &str, audience: &str) {
        self.associated = associated_data(self.id, name, audience);
    }

    /// Encrypts, and encodes the token.
    pub(super) fn seal(&self, nonce: &[u8; NONCE_LEN], mut plaintext: Vec<u8>) -> String {
        let tag = self
            .cipher
            .encrypt_inout_detached(
                nonce.into(),
                &self.associated,
                plaintext.as_mut_slice().into(),
            )
            .expect("AES-GCM seals up to 64 GiB");
        wire::encode(self.id, nonce, &plaintext, &tag.into())
    }

    /// Decrypts in place, if everything is authentic.
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        message: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), InvalidCredential> {
        self.cipher
            .decrypt_inout_detached(nonce.into(), &self.associated, message.into(), tag.into())
            .map_err(|_| InvalidCredential::NotAuthentic)
    }
}

/// The associated data: authenticated and not sent. Each part follows its length, so that no two sets of parts
/// make the same bytes.
fn associated_data(key_id: [u8; KEY_ID_LEN], name: &str, audience: &str) -> Vec<u8> {
    let mut data = Vec::new();
    for part in [
        DOMAIN,
        &[VERSION],
        &key_id,
        name.as_bytes(),
        audience.as_bytes(),
    ] {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}

/// Known answers of the cipher.
#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &[u8; NONCE_LEN] = b"ABCDEFGHIJKLMNOPQRSTUVWX";

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    fn seal(
        xaes: &Xaes256Gcm,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        message: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let tag = xaes.encrypt_inout_detached(nonce.into(), aad, message.into());
        tag.unwrap().into()
    }

    #[track_caller]
    fn assert_opens(
        xaes: &Xaes256Gcm,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        message: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) {
        xaes.decrypt_inout_detached(nonce.into(), aad, message.into(), tag.into())
            .unwrap();
    }

    #[track_caller]
    fn assert_vector(key: u8, associated: &[u8], expected: &str) {
        let xaes = Xaes256Gcm::new(&[key; KEY_LEN].into());
        let mut message = *b"XAES-256-GCM";
        let tag = seal(&xaes, NONCE, associated, &mut message);
        assert_eq!([&message[..], &tag].concat(), unhex(expected));
        assert_opens(&xaes, NONCE, associated, &mut message, &tag);
        assert_eq!(message, *b"XAES-256-GCM");
    }

    // The two published vectors; the top bit of the CMAC subkey is clear in one, set in the other.
    #[test]
    fn the_published_vectors() {
        assert_vector(
            1,
            b"",
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
        );
        assert_vector(
            3,
            b"c2sp.org/XAES-256-GCM",
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
        );
    }

    /// The published accumulated test: everything about a message is drawn from one SHAKE-128, and
    /// every ciphertext goes into another, whose output is compared.
    #[test]
    fn ten_thousand_random_messages() {
        use sha3::{
            Shake128,
            digest::{ExtendableOutput as _, Update as _, XofReader as _},
        };
        let mut random = Shake128::default().finalize_xof();
        let mut all = Shake128::default();
        let mut draw = |length: usize| {
            let mut bytes = vec![0; length];
            random.read(&mut bytes);
            bytes
        };
        for _ in 0..10_000 {
            let key: [u8; KEY_LEN] = draw(KEY_LEN).try_into().unwrap();
            let nonce: [u8; NONCE_LEN] = draw(NONCE_LEN).try_into().unwrap();
            let length = draw(1)[0];
            let message = draw(length.into());
            let length = draw(1)[0];
            let associated = draw(length.into());

            let xaes = Xaes256Gcm::new(&key.into());
            let mut sealed = message.clone();
            let tag = seal(&xaes, &nonce, &associated, &mut sealed);
            all.update(&sealed);
            all.update(&tag);
            assert_opens(&xaes, &nonce, &associated, &mut sealed, &tag);
            assert_eq!(sealed, message);
        }
        let mut digest = [0; 32];
        all.finalize_xof().read(&mut digest);
        let expected = "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939";
        assert_eq!(digest.to_vec(), unhex(expected));
    }
}
