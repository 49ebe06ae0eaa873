//! What becomes of files and connections where a server answers and does not read on: the client's
//! sending stands still behind a send buffer that is small.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use depot_protocol::{ClientId, ReplicaCount};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpSocket;

use super::*;
use crate::pool::Pool;
use crate::{Endpoint, NoProgress, Options};

/// So many files of this size are a window, and more than what is on its way holds.
const FILES: usize = 9;
const SIZE: usize = 56 << 10;

/// A server that greets whoever it is, and does as the test says with a client that does not say who
/// it is. The connections stay open as long as the test.
fn server(habit: impl Fn(&mut BufReader<TcpStream>) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let (mut talk, mut line) = (BufReader::new(stream), String::new());
            talk.read_line(&mut line).unwrap();
            match line.trim_end().split_once(':') {
                Some(("id_cliente", id)) if !id.contains('|') => {
                    talk.get_mut().write_all(format!("resultado:1|{line}").as_bytes()).unwrap();
                }
                _ => habit(&mut talk),
            }
            open.push(talk);
        }
    });
    address
}

fn refusal(code: &str) -> String {
    format!("resultado:0|erro:{code}|mensagem:why\n")
}

async fn pool(server: SocketAddr) -> Pool {
    let servers = vec![Endpoint::parse(&server.to_string()).unwrap()];
    let id = ClientId::parse("6f9619ff-8b86-4d01-b42d-00cf4fc964ff").unwrap();
    let silence_timeout = Duration::from_secs(3);
    let options = Options { servers, learn: false, silence_timeout, ..Options::default() };
    Pool::open(options, Some(id)).await.unwrap()
}

/// A connection that holds few bytes that were not received yet.
async fn narrow(pool: &Pool, server: SocketAddr) -> Connection {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(4096).unwrap();
    let stream = socket.connect(server).await.unwrap();
    Connection::new(&pool.options, 0, &pool.server(), stream)
}

fn files() -> VecDeque<Small> {
    let bytes = Bytes::from(vec![b'x'; SIZE]);
    let hash = Digest::from_bytes(Sha256::digest(&bytes).into());
    let file = |n| Small {
        path: PathBuf::new(),
        name: FileName::parse(&format!("{n}")).unwrap(),
        bytes: bytes.clone(),
        hash,
    };
    (0..FILES).map(file).collect()
}

#[tokio::test]
async fn a_file_that_was_refused_is_not_forgotten_when_sending_fails_behind_it() {
    let address = server(|talk| {
        // What is read after the refusal is the last that the client gets rid of.
        talk.get_mut().write_all(refusal("servidor_indisponivel").as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(300));
        talk.read_exact(&mut [0; SIZE]).unwrap();
    });
    let pool = pool(address).await;
    let wanted = Wanted { pool: &pool, replicas: ReplicaCount::new(0), progress: &NoProgress };
    let (mut connection, mut files) = (narrow(&pool, address).await, files());
    let mut told = 0;
    let sent = window(wanted, &mut connection, &mut files, &mut |_, _| told += 1).await;
    assert!(matches!(sent, Err(Error::Cut { .. })), "{sent:?}");
    let mut left = files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>();
    left.sort_unstable();
    assert_eq!((told, left.len()), (0, FILES), "{left:?}");
}

#[tokio::test]
async fn nothing_is_sent_behind_a_request_that_did_not_go_out_whole() {
    let address = server(|talk| {
        let all = refusal("sem_espaco").repeat(FILES);
        talk.get_mut().write_all(all.as_bytes()).unwrap();
    });
    let pool = pool(address).await;
    let wanted = Wanted { pool: &pool, replicas: ReplicaCount::new(0), progress: &NoProgress };
    let (mut connection, mut files) = (narrow(&pool, address).await, files());
    let mut told = 0;
    let mut each = |_: Small, done: Result<Deposited, Error>| {
        assert!(matches!(done, Err(Error::Refused(_))), "{done:?}");
        told += 1;
    };
    window(wanted, &mut connection, &mut files, &mut each).await.unwrap();
    assert_eq!((told, files.len()), (FILES, 0));
    assert!(connection.is_severed());
    // The pool has the connection that it was opened with, and takes no broken one.
    pool.keep(connection);
    let next = Attempts::new(&pool).connection().await.unwrap();
    assert!(!next.is_severed());
}
