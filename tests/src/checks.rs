//! What must hold after every refused request: nothing of it is stored, and others are served.

use crate::content::made_up_id;
use crate::wait::eventually;
use crate::{Raw, Server};

impl Server {
    /// Nothing is left of what was refused, and another client is served.
    #[track_caller]
    pub fn is_unharmed(&self) {
        self.has_nothing_staged();
        self.still_serves();
    }

    /// Nothing was ever stored, and another client is served. Asked once, at the end.
    #[track_caller]
    pub fn has_stored_nothing(&self) {
        assert_eq!(self.folder().blobs(), [""; 0], "a refused request stored something");
        self.is_unharmed();
    }

    /// No upload and no part lies in the staging folder, at the latest after 30 s.
    #[track_caller]
    pub fn has_nothing_staged(&self) {
        eventually("an empty staging folder", || self.folder().staged().is_empty());
    }

    /// A new client can deposit, recover and remove.
    #[track_caller]
    pub fn still_serves(&self) {
        let (mut client, id) = (self.connect(), made_up_id());
        let answer = client.deposit(&id, "ainda/serve.txt", b"still here");
        assert!(answer.starts_with("resultado:1|"), "{answer:?}");
        assert_eq!(client.recover(&id, "ainda/serve.txt"), b"still here");
        assert_eq!(client.ask(crate::headers::remove(&id, "ainda/serve.txt")), "resultado:1");
    }
}

impl Raw {
    /// The connection is still good for another request.
    #[track_caller]
    pub fn stays_open(&mut self) {
        let id = made_up_id();
        let answer = self.ask(format!("id_cliente:{id}"));
        assert_eq!(answer.to_ascii_lowercase(), format!("resultado:1|id_cliente:{id}"));
    }
}
