//! The server's codec over a whole connection: payloads, hash lines, what is skipped, and ends.

use bytes::{BufMut, BytesMut};
use depot_protocol::{
    After, ErrorCode, Event, HeadFault, Incoming, OutOfTurn, Owed, Phase, Request, SKIP_LIMIT,
    ServerCodec, after_bad_head, after_refusal,
};
use tokio_util::codec::Decoder;

const ID: &str = "0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f80";
const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn deposit(size: u64, hash: &str, name: &str) -> String {
    format!(
        "id_cliente:{ID}|qtd_replicas:1|tamanho_arquivo:{size}|hash_arquivo:{hash}\
         |nome_arquivo:{name}\n"
    )
}

/// A codec and what has come.
struct Server {
    codec: ServerCodec,
    buf: BytesMut,
}

impl Server {
    fn hears(bytes: impl AsRef<[u8]>) -> Server {
        Server { codec: ServerCodec::new(), buf: BytesMut::from(bytes.as_ref()) }
    }

    fn next(&mut self) -> Option<Incoming> {
        self.codec.decode(&mut self.buf).expect("decoding does not fail")
    }

    fn end(&mut self) -> Option<Incoming> {
        self.codec.decode_eof(&mut self.buf).expect("decoding does not fail")
    }

    fn deposit(&mut self) {
        let next = self.next();
        assert!(matches!(next, Some(Incoming::Request(Request::Deposit(_)))), "{next:?}");
    }

    fn first_connection(&mut self) {
        assert_eq!(self.next(), Some(Incoming::Request(Request::FirstConnection)));
    }

    fn payload(&mut self, bytes: &'static str) {
        assert_eq!(self.next(), Some(Incoming::Payload(bytes.into())));
    }

    fn payload_end(&mut self) {
        assert_eq!(self.next(), Some(Incoming::PayloadEnd));
    }
}

#[test]
fn a_payload_is_passed_on_as_it_comes_and_no_byte_more() {
    let mut server = Server::hears(deposit(5, HASH, "a") + "he");
    server.deposit();
    assert_eq!(server.codec.owed(), Owed { payload: 5, hash_line: false });
    server.payload("he");
    assert_eq!(server.next(), None);
    server.buf.put_slice(b"lloid_cliente:\n");
    server.payload("llo");
    server.payload_end();
    server.first_connection();
    assert_eq!(server.next(), None);
    assert_eq!(server.end(), None);
}

#[test]
fn a_payload_of_requests_is_a_payload() {
    let inner = "id_cliente:\ncomando:encerrar\n";
    let size = u64::try_from(inner.len()).expect("small");
    let mut server = Server::hears(deposit(size, HASH, "a") + inner + "id_cliente:\n");
    server.deposit();
    server.payload(inner);
    server.payload_end();
    server.first_connection();
}

#[test]
fn an_empty_payload_ends_too_and_the_hash_line_follows_at_once() {
    let mut server = Server::hears(deposit(0, HASH, "a") + &deposit(0, "depois", "b"));
    server.deposit();
    server.payload_end();
    server.deposit();
    server.payload_end();
    assert_eq!(server.next(), None);
    assert_eq!(server.codec.owed(), Owed { payload: 0, hash_line: true });
    assert!(server.codec.mid_line(&[]));
    server
        .buf
        .put_slice(format!("hash_arquivo:{}\r\nid_cliente:\n", HASH.to_uppercase()).as_bytes());
    let Some(Incoming::HashLine(Ok(hash))) = server.next() else { panic!() };
    assert_eq!(hash.to_string(), HASH);
    server.first_connection();
}

#[test]
fn a_hash_line_that_is_none_is_refused_as_soon_as_it_shows() {
    let good = format!("hash_arquivo:{HASH}");
    for bad in [
        "\n".to_owned(),
        "h_".to_owned(),
        "i".to_owned(),
        "hash_arquivo: ".to_owned(),
        "hash_arquivo:dep".to_owned(),
        "hash_arquivo:2g".to_owned(),
        good[..76].to_owned() + "\n",
        good[..76].to_owned() + "\r",
        good.clone() + "0",
        good.clone() + " ",
        good.clone() + "\r\r",
        good.clone() + "\rx",
    ] {
        let mut server = Server::hears(deposit(1, "depois", "a") + "x" + &bad[..bad.len() - 1]);
        server.deposit();
        server.payload("x");
        server.payload_end();
        assert_eq!(server.next(), None, "{bad:?}");
        server.buf.put_slice(&bad.as_bytes()[bad.len() - 1..]);
        let Some(Incoming::HashLine(Err(refusal))) = server.next() else { panic!("{bad:?}") };
        assert_eq!(refusal.code, ErrorCode::HeaderInvalid);
        server.buf.put_slice(b"id_cliente:\n");
        assert_eq!((server.next(), server.end()), (None, None));
    }
}

#[test]
fn what_is_skipped_is_never_taken_for_a_header() {
    for hash in [HASH, "depois"] {
        let hash_line = if hash == HASH { String::new() } else { format!("hash_arquivo:{HASH}\n") };
        let script = deposit(24, hash, "a") + "id_cliente:\nid_cliente:\n" + &hash_line;
        let mut server = Server::hears(script + "id_cliente:\ncomando:encerrar\n");
        server.deposit();
        server.codec.skip();
        server.first_connection();
        assert_eq!(server.next(), Some(Incoming::Request(Request::End)));
    }
}

#[test]
fn skipping_begins_anywhere_inside_a_deposit() {
    let mut server = Server::hears(deposit(4, "depois", "a") + "ab");
    server.deposit();
    server.payload("ab");
    server.codec.skip();
    server.codec.skip();
    assert_eq!(server.codec.owed(), Owed { payload: 2, hash_line: true });
    server.buf.put_slice(format!("cdhash_arquivo:{HASH}").as_bytes());
    assert_eq!(server.next(), None);
    assert!(server.codec.mid_line(&server.buf));
    server.buf.put_slice(b"\n");
    assert_eq!(server.next(), None);
    assert_eq!(server.codec.phase(), Phase::Head);

    server.buf.put_slice((deposit(0, "depois", "a") + "hash").as_bytes());
    server.deposit();
    server.payload_end();
    server.codec.skip();
    assert_eq!(server.next(), None);
    server.buf.put_slice(format!("_arquivo:{HASH}\nid_cliente:\n").as_bytes());
    server.first_connection();
    server.codec.skip();
    assert_eq!(server.codec.phase(), Phase::Head);
}

#[test]
fn a_skipped_hash_line_that_is_none_closes() {
    let mut server = Server::hears(deposit(1, "depois", "a") + "xid_cliente:\n");
    server.deposit();
    server.codec.skip();
    let Some(Incoming::BadHead(bad)) = server.next() else { panic!() };
    assert_eq!((bad.refusal.code, bad.then), (ErrorCode::HeaderInvalid, HeadFault::Closes));
    assert_eq!(server.next(), None);
}

#[test]
fn a_bad_name_is_told_and_its_payload_dropped() {
    let mut server = Server::hears(deposit(12, HASH, "..") + "id_cliente:\nid_cliente:\n");
    let Some(Incoming::BadHead(bad)) = server.next() else { panic!() };
    assert_eq!(bad.refusal.code, ErrorCode::NameInvalid);
    assert_eq!(after_bad_head(&bad), After::SkipThenStays);
    assert_eq!(server.codec.owed(), bad.then.owed());
    server.codec.skip();
    server.first_connection();
    assert_eq!(server.next(), None);
}

#[test]
fn surplus_behind_a_payload_is_the_next_header() {
    let mut server = Server::hears(deposit(5, HASH, "a") + "hello!");
    server.deposit();
    server.payload("hello");
    server.payload_end();
    let Some(Incoming::BadHead(bad)) = server.next() else { panic!() };
    assert_eq!(bad.then, HeadFault::Closes);
}

#[test]
fn nothing_is_heard_after_the_end() {
    let mut server = Server::hears("comando:encerrar\nid_cliente:\n");
    assert_eq!(server.next(), Some(Incoming::Request(Request::End)));
    assert_eq!((server.next(), server.end()), (None, None));
    assert!(server.buf.is_empty());
}

#[test]
fn an_end_inside_a_message_is_a_cut_told_once() {
    for script in [
        "i".to_owned(),
        "id_cliente:".to_owned(),
        deposit(5, HASH, "a"),
        deposit(5, HASH, "a") + "hell",
        deposit(1, "depois", "a") + "x",
        deposit(0, "depois", "a") + "hash_arquivo:",
    ] {
        let mut server = Server::hears(&script);
        while let Some(incoming) = server.next() {
            assert_ne!(incoming, Incoming::Cut);
        }
        assert_eq!((server.end(), server.end()), (Some(Incoming::Cut), None), "{script}");
    }
}

#[test]
fn an_end_between_messages_or_inside_what_is_skipped_is_clean() {
    assert_eq!(Server::hears("").end(), None);
    let mut server = Server::hears("id_cliente:\n");
    assert_eq!(server.end(), Some(Incoming::Request(Request::FirstConnection)));
    assert_eq!(server.end(), None);
    let mut server = Server::hears(deposit(5, HASH, "a") + "he");
    server.deposit();
    server.codec.skip();
    assert_eq!(server.end(), None);
}

#[test]
fn a_huge_announcement_reserves_nothing() {
    let size = 9_223_372_036_854_775_807;
    let mut server = Server::hears(deposit(size, HASH, "a"));
    let before = server.buf.capacity();
    server.deposit();
    assert_eq!(server.next(), None);
    assert!(server.buf.capacity() <= before);
    assert_eq!(server.codec.owed().payload, size);
}

#[test]
fn whether_a_line_has_begun() {
    let mut server = Server::hears("");
    assert!(!server.codec.mid_line(&server.buf) && !server.codec.mid_message(&server.buf));
    server.buf.put_slice(b"id");
    assert!(server.codec.mid_line(&server.buf) && server.codec.mid_message(&server.buf));
    server.buf = BytesMut::from(deposit(5, HASH, "a").as_str());
    server.deposit();
    assert!(!server.codec.mid_line(&server.buf) && server.codec.mid_message(&server.buf));
}

#[test]
fn what_becomes_of_the_connection() {
    let owed = |payload, hash_line| Owed { payload, hash_line };
    let refused = |owed| after_refusal(owed, ErrorCode::NoSpace);
    assert_eq!(refused(Owed::NOTHING), After::Stays);
    assert_eq!(refused(owed(1, false)), After::SkipThenStays);
    assert_eq!(refused(owed(0, true)), After::SkipThenStays);
    assert_eq!(refused(owed(SKIP_LIMIT, false)), After::SkipThenStays);
    assert_eq!(refused(owed(SKIP_LIMIT + 1, false)), After::Closes);
    assert_eq!(refused(owed(SKIP_LIMIT - 79, true)), After::SkipThenStays);
    assert_eq!(refused(owed(SKIP_LIMIT - 78, true)), After::Closes);
    assert_eq!(refused(owed(u64::MAX, true)), After::Closes);
    for code in ErrorCode::ALL {
        let closes = matches!(
            code,
            ErrorCode::HeaderInvalid
                | ErrorCode::MessageIncomplete
                | ErrorCode::TimedOut
                | ErrorCode::ShuttingDown
        );
        let wanted = if closes { After::Closes } else { After::Stays };
        assert_eq!(after_refusal(Owed::NOTHING, code), wanted, "{code}");
    }
}

#[test]
fn what_has_no_place_is_told_with_both_names() {
    let out = Phase::HashLine.after(Event::Request);
    assert_eq!(out, Err(OutOfTurn { phase: Phase::HashLine, event: Event::Request }));
    assert_eq!(out.expect_err("out of turn").to_string(), "Request has no place in HashLine");
    let payload = Phase::Payload(Owed { payload: 3, hash_line: false });
    assert!(payload.after(Event::Bytes(4)).is_err());
    assert!(payload.after(Event::PayloadEnd).is_err());
    assert!(Phase::Closed.after(Event::Request).is_err());
}
