//! What is being uploaded now, so that a client that comes back for a broken upload can have it
//! cut: the server may not have noticed yet that the other connection is dead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use depot_protocol::{Announced, FileName};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::catalogue::Namespace;
use crate::volume::PartKey;

/// Which upload it is: an equal one is the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UploadKey {
    /// Whose.
    pub namespace: Namespace,
    /// Under which name.
    pub name: FileName,
    /// Its announced hash.
    pub hash: Announced,
    /// Its announced size.
    pub size: u64,
}

impl UploadKey {
    /// The key of the part that it leaves when it is cut: with a hash the name does not matter.
    pub fn part(&self) -> PartKey {
        match self.hash {
            Announced::Known(digest) => {
                PartKey::by_hash(self.namespace.as_bytes(), &digest, self.size)
            }
            Announced::Last => {
                PartKey::by_name(self.namespace.as_bytes(), self.name.as_str(), self.size)
            }
        }
    }
}

/// All uploads that are open.
#[derive(Debug, Default)]
pub struct Uploads(Arc<Mutex<HashMap<UploadKey, Open>>>);

#[derive(Debug)]
struct Open {
    cut: CancellationToken,
    /// How many there are of it.
    count: watch::Sender<usize>,
}

/// One open upload; ends when it is dropped.
#[derive(Debug)]
pub struct Upload {
    uploads: Arc<Mutex<HashMap<UploadKey, Open>>>,
    key: UploadKey,
    cut: CancellationToken,
}

impl Uploads {
    /// An upload begins.
    pub fn begin(&self, key: UploadKey) -> Upload {
        let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = uploads.entry(key.clone()).or_insert_with(|| Open {
            cut: CancellationToken::new(),
            count: watch::Sender::new(0),
        });
        open.count.send_modify(|count| *count += 1);
        Upload { uploads: Arc::clone(&self.0), key, cut: open.cut.clone() }
    }

    /// Cuts what is open of this upload, and waits until it has left its part.
    pub async fn cut(&self, key: &UploadKey) {
        let ended = {
            let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            uploads.get_mut(key).map(|open| {
                // Those that begin from now on are not cut.
                std::mem::take(&mut open.cut).cancel();
                open.count.subscribe()
            })
        };
        if let Some(mut ended) = ended {
            // The sender goes when the last one has ended: that is an end too.
            drop(ended.wait_for(|count| *count == 0).await);
        }
    }
}

impl Upload {
    /// Cancelled when the upload is to be cut.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = uploads.get(&self.key) {
            open.count.send_modify(|count| *count -= 1);
            if *open.count.borrow() == 0 {
                uploads.remove(&self.key);
            }
        }
    }
}
