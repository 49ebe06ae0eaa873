//! From an answer to its lines.

use std::fmt::{self, Write};

use bytes::{BufMut, BytesMut};

use super::{Answer, FileInfo, ListItem, ServerState};
use crate::limits::{ADDRESS_MAX, LIST_MAX, SERVERS_MAX};

/// `|leitura:local`, where the answer is from what one server has.
struct Reading(bool);

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "|leitura:local" } else { "" })
    }
}

pub(super) fn answer(answer: &Answer, dst: &mut BytesMut) {
    line(dst, FirstLine(answer));
    match answer {
        Answer::List { items, .. } => {
            items.iter().take(LIST_MAX).for_each(|item| line(dst, ItemLine(item)));
        }
        Answer::State { servers } => {
            servers.iter().take(SERVERS_MAX).for_each(|server| line(dst, ServerLine(server)));
        }
        _ => {}
    }
}

fn line(dst: &mut BytesMut, text: impl fmt::Display) {
    // A BytesMut grows as it must: writing to it cannot fail.
    let _never_fails = write!(dst, "{text}");
    dst.put_u8(b'\n');
}

/// The line that every answer has.
struct FirstLine<'a>(&'a Answer);

impl fmt::Display for FirstLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Answer::Connected { client } => write!(f, "resultado:1|id_cliente:{client}"),
            Answer::Deposited { replicas, copies, hash } => {
                write!(f, "resultado:1|qtd_replicas:{replicas}|copias:{copies}|hash_arquivo:{hash}")
            }
            Answer::Prepared { offset, partial } => {
                write!(f, "resultado:1|deslocamento:{offset}|hash_parcial:{partial}")
            }
            Answer::Recovering { size, hash, local } => {
                let reading = Reading(*local);
                write!(f, "resultado:1|tamanho_arquivo:{size}|hash_arquivo:{hash}{reading}")
            }
            Answer::Stat { info, local } => {
                write!(f, "resultado:1|{}{}", InfoFields(info), Reading(*local))
            }
            Answer::ReplicasSet { replicas, copies } => {
                write!(f, "resultado:1|qtd_replicas:{replicas}|copias:{copies}")
            }
            Answer::Removed | Answer::Ended => f.write_str("resultado:1"),
            Answer::Refused(refusal) => f.write_str(&refusal.render()),
            Answer::List { items, more, local } => {
                // What is over the limit is left for the next list: `mais` says so.
                let more = u8::from(*more || items.len() > LIST_MAX);
                let (count, reading) = (items.len().min(LIST_MAX), Reading(*local));
                write!(f, "resultado:1|itens:{count}|mais:{more}{reading}")
            }
            Answer::State { servers } => {
                write!(f, "resultado:1|versao:1|itens:{}", servers.len().min(SERVERS_MAX))
            }
        }
    }
}

struct InfoFields<'a>(&'a FileInfo);

impl fmt::Display for InfoFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileInfo { replicas, copies, size, hash, deposited } = self.0;
        write!(
            f,
            "qtd_replicas:{replicas}|copias:{copies}|tamanho_arquivo:{size}\
             |hash_arquivo:{hash}|depositado:{deposited}"
        )
    }
}

struct ItemLine<'a>(&'a ListItem);

impl fmt::Display for ItemLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|nome_arquivo:{}", InfoFields(&self.0.info), self.0.name.as_str())
    }
}

struct ServerLine<'a>(&'a ServerState);

impl fmt::Display for ServerLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServerState { name, address, active } = self.0;
        let (address, active) = (clean_address(address), u8::from(*active));
        write!(f, "servidor:{name}|endereco:{address}|ativo:{active}")
    }
}

fn clean_address(address: &str) -> String {
    let mut clean = address.replace(|c: char| c == '|' || c.is_control(), "?");
    while clean.len() > ADDRESS_MAX {
        clean.pop();
    }
    clean
}
