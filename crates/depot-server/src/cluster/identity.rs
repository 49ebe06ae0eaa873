//! Who this server is among the others, and by what it proves that.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::starts::Starts;
use crate::config::Settings;

/// A random name of a cluster, made at its founding.
pub type ClusterId = [u8; 16];

/// A proof that somebody knows a key.
pub const PROOF: usize = 32;

/// What a server is to the others. Clones are the same server.
#[derive(Clone)]
pub struct LinkIdentity {
    /// The cluster that it belongs to; `None` before it was founded or admitted: then it takes
    /// only operators, and dials nobody.
    pub cluster: Option<ClusterId>,
    /// What it proves itself by; `None` only where there is no other server: then nobody is taken.
    pub keys: Option<Keys>,
    /// Its own incarnation and start number, and those of others that it has met.
    pub starts: Arc<Starts>,
    /// How many bytes of payloads it can still take, to be told to the others twice a second: it
    /// must not wait for a disk.
    pub free: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for LinkIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkIdentity").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// The cluster's secret, ready to prove and to verify, and the further ones that are taken from
/// others while it changes. A secret changes by three rolling restarts: first the new one is put
/// into `also_accept` everywhere, then it becomes `secret` and the old one goes into `also_accept`,
/// then the old one goes.
#[derive(Clone)]
pub struct Keys {
    /// Own one first.
    all: Arc<[Key]>,
}

/// One secret.
#[derive(Clone)]
pub(super) struct Key(Hmac<Sha256>);

impl Keys {
    /// The keys of these secrets.
    #[must_use]
    pub fn new<'s>(secret: &'s [u8], also_accept: impl IntoIterator<Item = &'s [u8]>) -> Self {
        Keys { all: std::iter::once(secret).chain(also_accept).map(Key::new).collect() }
    }

    /// Those of the configuration, where it has a secret.
    #[must_use]
    pub fn of(settings: &Settings) -> Option<Self> {
        let also = settings.also_accept.iter().map(|secret| secret.expose());
        settings.secret.as_ref().map(|secret| Keys::new(secret.expose(), also))
    }

    /// The one that this server proves itself by.
    pub(super) fn own(&self) -> &Key {
        &self.all[0]
    }

    /// The one that this proof was made with. Takes as long whichever it is.
    pub(super) fn find(&self, said: &Statement<'_>, proof: &[u8]) -> Option<&Key> {
        let mut found = None;
        for key in &*self.all {
            if key.verify(said, proof) {
                found = Some(key);
            }
        }
        found
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// What a proof is made of: all of it, each part with its length before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement<'a> {
    /// Which message of the handshake it is, so that none passes for another.
    pub(super) label: &'a [u8],
    pub(super) role: u8,
    pub(super) cluster: &'a ClusterId,
    pub(super) prover: &'a str,
    pub(super) verifier: &'a str,
    /// The dialling end's first frame, its nonce in it.
    pub(super) hello: &'a [u8],
    /// The nonce of the end that took the connection.
    pub(super) nonce: &'a [u8],
    /// The message itself, as it is sent.
    pub(super) message: &'a [u8],
}

impl Key {
    fn new(secret: &[u8]) -> Self {
        Key(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    pub(super) fn prove(&self, said: &Statement<'_>) -> [u8; PROOF] {
        self.over(said).finalize().into_bytes().into()
    }

    /// In constant time.
    pub(super) fn verify(&self, said: &Statement<'_>, proof: &[u8]) -> bool {
        self.over(said).verify_slice(proof).is_ok()
    }

    fn over(&self, said: &Statement<'_>) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        let role = [said.role];
        let parts: [&[u8]; 8] = [
            said.label,
            &role,
            said.cluster,
            said.prover.as_bytes(),
            said.verifier.as_bytes(),
            said.hello,
            said.nonce,
            said.message,
        ];
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }
}
