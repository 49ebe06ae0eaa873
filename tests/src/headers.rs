//! The text of every request of PROTOCOL.md, without its line feed. Values are taken as they are,
//! so that a test can write nonsense.

use std::fmt::Display;

use crate::content::sha256;

/// `recover`: the whole file.
pub fn recover(id: &str, name: &str) -> String {
    format!("id_cliente:{id}|nome_arquivo:{name}")
}

/// `recover` from an offset on.
pub fn recover_from(id: &str, offset: impl Display, name: &str) -> String {
    format!("id_cliente:{id}|deslocamento:{offset}|nome_arquivo:{name}")
}

/// `stat`.
pub fn stat(id: &str, name: &str) -> String {
    format!("comando:consultar|id_cliente:{id}|nome_arquivo:{name}")
}

/// `list`: at most `limit` names after `after`.
pub fn list(id: &str, limit: impl Display, after: &str) -> String {
    format!("comando:listar|id_cliente:{id}|limite:{limit}|apos:{after}")
}

/// Change of the number of replicas.
pub fn set_replicas(id: &str, replicas: impl Display, name: &str) -> String {
    format!("comando:replicas|id_cliente:{id}|qtd_replicas:{replicas}|nome_arquivo:{name}")
}

/// `remove`.
pub fn remove(id: &str, name: &str) -> String {
    format!("comando:remover|id_cliente:{id}|nome_arquivo:{name}")
}

/// The cluster's state.
pub fn state(id: &str) -> String {
    format!("comando:estado|id_cliente:{id}")
}

/// The end of a conversation.
pub const END: &str = "comando:encerrar";

/// A deposit's header, field by field: [`Deposit::of`] is a right one, the rest changes it.
#[derive(Clone, Debug)]
pub struct Deposit {
    id: String,
    replicas: String,
    size: String,
    hash: String,
    offset: Option<String>,
    name: String,
}

impl Deposit {
    /// A right deposit of `bytes` with no replicas.
    pub fn of(id: &str, name: &str, bytes: &[u8]) -> Self {
        Self {
            id: id.into(),
            replicas: "0".into(),
            size: bytes.len().to_string(),
            hash: sha256(bytes),
            offset: None,
            name: name.into(),
        }
    }

    /// Another `qtd_replicas`.
    pub fn replicas(mut self, replicas: impl Display) -> Self {
        self.replicas = replicas.to_string();
        self
    }

    /// Another `tamanho_arquivo`.
    pub fn size(mut self, size: impl Display) -> Self {
        self.size = size.to_string();
        self
    }

    /// Another `hash_arquivo`.
    pub fn hash(mut self, hash: impl Display) -> Self {
        self.hash = hash.to_string();
        self
    }

    /// The hash comes after the payload.
    pub fn hash_last(self) -> Self {
        self.hash("depois")
    }

    /// Resumed at `offset`.
    pub fn offset(mut self, offset: impl Display) -> Self {
        self.offset = Some(offset.to_string());
        self
    }

    /// Another `nome_arquivo`.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// The header that the bytes follow.
    pub fn header(&self) -> String {
        let Self { id, replicas, size, hash, offset, name } = self;
        let offset = offset.iter().map(|n| format!("|deslocamento:{n}")).collect::<String>();
        format!(
            "id_cliente:{id}|qtd_replicas:{replicas}|tamanho_arquivo:{size}|hash_arquivo:{hash}\
             {offset}|nome_arquivo:{name}"
        )
    }

    /// The `preparar` that asks for this deposit.
    pub fn prepare(&self) -> String {
        let Self { id, replicas, size, hash, name, .. } = self;
        format!(
            "comando:preparar|id_cliente:{id}|qtd_replicas:{replicas}|tamanho_arquivo:{size}\
             |hash_arquivo:{hash}|nome_arquivo:{name}"
        )
    }
}

/// The line that follows the payload of a deposit whose hash comes last.
pub fn hash_line(bytes: &[u8]) -> String {
    format!("hash_arquivo:{}", sha256(bytes))
}
