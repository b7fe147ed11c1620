//! XAES-256-GCM (C2SP `XAES-256-GCM`): AES-256-GCM with a nonce so long that a random one never
//! repeats.
//!
//! A key for one message is derived from the long-lived key and the first half of the nonce by the
//! counter-mode KDF of NIST SP 800-108r1 with CMAC as its PRF, which here comes to two blocks of
//! AES; AES-256-GCM then uses that key and the second half. Both are `RustCrypto`'s.

use aes_gcm::{
    AeadInOut as _, Aes256Gcm, Error, KeyInit as _,
    aead::{Nonce, Tag},
    aes::{Aes256, Block, cipher::BlockCipherEncrypt as _},
};
use zeroize::Zeroize as _;

pub(super) const KEY_LEN: usize = 32;
pub(super) const NONCE_LEN: usize = 24;
pub(super) const TAG_LEN: usize = 16;
const BLOCK_LEN: usize = 16;
const HALF_NONCE: usize = NONCE_LEN / 2;

/// A long-lived key, ready for use.
#[derive(Clone)]
pub(super) struct Xaes256Gcm {
    cipher: Aes256,
    /// The first CMAC subkey (NIST SP 800-38B §6.1).
    subkey: [u8; BLOCK_LEN],
}

impl Xaes256Gcm {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        let cipher = Aes256::new(key.into());
        let mut block = Block::default();
        cipher.encrypt_block(&mut block);
        let doubled = u128::from_be_bytes(block.into());
        // Doubling in GF(2^128): what falls out at the top comes back as the polynomial.
        let carry = (doubled >> 127) * 0b1000_0111;
        let subkey = ((doubled << 1) ^ carry).to_be_bytes();
        Self { cipher, subkey }
    }

    /// Encrypts in place, and gives the tag.
    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        message: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Error> {
        let (cipher, nonce) = self.for_message(nonce);
        let tag = cipher.encrypt_inout_detached(&nonce, associated, message.into())?;
        Ok(tag.into())
    }

    /// Decrypts in place, if everything is authentic.
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        message: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Error> {
        let (cipher, nonce) = self.for_message(nonce);
        let tag: &Tag<Aes256Gcm> = tag.into();
        cipher.decrypt_inout_detached(&nonce, associated, message.into(), tag)
    }

    fn for_message(&self, nonce: &[u8; NONCE_LEN]) -> (Aes256Gcm, Nonce<Aes256Gcm>) {
        let (first, second) = nonce.split_at(HALF_NONCE);
        let mut key = [0; KEY_LEN];
        for (counter, half) in (1u8..).zip(key.chunks_exact_mut(BLOCK_LEN)) {
            half[1] = counter;
            half[2] = b'X';
            half[4..].copy_from_slice(first);
            for (byte, mask) in half.iter_mut().zip(self.subkey) {
                *byte ^= mask;
            }
        }
        let (blocks, _) = Block::slice_as_chunks_mut(&mut key);
        self.cipher.encrypt_blocks(blocks);
        let cipher = Aes256Gcm::new((&key).into());
        key.zeroize();
        let mut nonce = Nonce::<Aes256Gcm>::default();
        nonce.copy_from_slice(second);
        (cipher, nonce)
    }
}

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

    #[track_caller]
    fn assert_vector(key: u8, associated: &[u8], expected: &str) {
        let xaes = Xaes256Gcm::new(&[key; KEY_LEN]);
        let mut message = *b"XAES-256-GCM";
        let tag = xaes.seal(NONCE, associated, &mut message).unwrap();
        assert_eq!([&message[..], &tag].concat(), unhex(expected));

        xaes.open(NONCE, associated, &mut message, &tag).unwrap();
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

            let xaes = Xaes256Gcm::new(&key);
            let mut sealed = message.clone();
            let tag = xaes.seal(&nonce, &associated, &mut sealed).unwrap();
            all.update(&sealed);
            all.update(&tag);
            xaes.open(&nonce, &associated, &mut sealed, &tag).unwrap();
            assert_eq!(sealed, message);
        }
        let mut digest = [0; 32];
        all.finalize_xof().read(&mut digest);
        let expected = "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939";
        assert_eq!(digest.to_vec(), unhex(expected));
    }
}
