//! Each way to break a header: which fault is told, what becomes of the connection. The numbers are
//! those of the table of hostile inputs, A.

use bytes::BytesMut;
use depot_protocol::{BadHead, ErrorCode, HeadFault, Incoming, Request, ServerCodec};
use tokio_util::codec::Decoder;

const ID: &str = "0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f80";
const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn parse(line: &str) -> Result<Request, BadHead> {
    Request::parse(line.replace("ID", ID).replace("HASH", HASH).as_bytes())
}

/// It is refused with this code, its message says this, and then this is so.
fn refused(line: &str, code: ErrorCode, says: &str, then: HeadFault) {
    let bad = parse(line).expect_err(line);
    assert_eq!((bad.refusal.code, bad.then), (code, then), "{line}: {}", bad.refusal);
    assert!(bad.refusal.message.contains(says), "{line}: {}", bad.refusal);
    assert!(!bad.refusal.message.contains(ID), "{line}: {}", bad.refusal);
}

fn form(line: &str) {
    refused(line, ErrorCode::HeaderInvalid, "", HeadFault::Closes);
}

fn field_closes(line: &str, says: &str) {
    refused(line, ErrorCode::FieldInvalid, says, HeadFault::Closes);
}

fn field_stays(line: &str, says: &str) {
    refused(line, ErrorCode::FieldInvalid, says, HeadFault::Stays);
}

/// What the codec makes of these bytes first, and how many it leaves.
fn first(bytes: &[u8]) -> (Option<Incoming>, usize) {
    let mut buf = BytesMut::from(bytes);
    let incoming = ServerCodec::new().decode(&mut buf).expect("decoding does not fail");
    (incoming, buf.len())
}

fn unreadable(bytes: &[u8]) {
    let mut buf = BytesMut::from(bytes);
    let mut codec = ServerCodec::new();
    let incoming = codec.decode(&mut buf).expect("decoding does not fail");
    let Some(Incoming::BadHead(bad)) = incoming else {
        panic!("{:?} is {incoming:?}", bytes.escape_ascii().to_string());
    };
    assert_eq!(bad.refusal.code, ErrorCode::HeaderInvalid);
    assert_eq!(bad.then, HeadFault::Closes);
    buf.extend_from_slice(b"id_cliente:\n");
    assert_eq!(codec.decode(&mut buf).expect("decoding does not fail"), None);
    assert_eq!(codec.decode_eof(&mut buf).expect("decoding does not fail"), None);
}

/// A deposit with these values.
fn deposit(client: &str, replicas: &str, size: &str, hash: &str, name: &str) -> String {
    format!(
        "id_cliente:{client}|qtd_replicas:{replicas}|tamanho_arquivo:{size}\
         |hash_arquivo:{hash}|nome_arquivo:{name}"
    )
}

#[test]
fn row_3_a_line_without_end_is_refused_at_exactly_4096_bytes() {
    assert_eq!(first(&[b'a'; 4095]), (None, 4095));
    unreadable(&[b'a'; 4096]);
}

#[test]
fn row_4_a_line_of_4096_bytes_is_taken_and_one_more_is_not() {
    let line = |length: usize, end: &str| {
        let start = format!("id_cliente:{ID}|nome_arquivo:");
        let name = "a".repeat(length - start.len() - end.len());
        format!("{start}{name}{end}")
    };
    for end in ["\n", "\r\n"] {
        let (incoming, left) = first(line(4096, end).as_bytes());
        let Some(Incoming::BadHead(bad)) = incoming else { panic!("{incoming:?}") };
        // The name is too long, the line is not.
        assert_eq!((bad.refusal.code, bad.then), (ErrorCode::NameInvalid, HeadFault::Stays));
        assert_eq!(left, 0);
        unreadable(line(4097, end).as_bytes());
    }
    let code = |line: String| Request::parse(line.as_bytes()).expect_err("too long").refusal.code;
    assert_eq!(code(line(4095, "")), ErrorCode::NameInvalid);
    assert_eq!(code(line(4096, "")), ErrorCode::HeaderInvalid);
}

#[test]
fn row_5_no_field_at_all() {
    unreadable(b"\n");
    unreadable(b"\r\n");
    unreadable(b"\r");
    form("");
}

#[test]
fn row_6_one_cr_before_the_lf_is_dropped_and_no_more() {
    assert_eq!(first(b"id_cliente:\r\n").0, Some(Incoming::Request(Request::FirstConnection)));
    field_stays("id_cliente:\r", "id_cliente");
    refused("id_cliente:ID|nome_arquivo:a\r", ErrorCode::NameInvalid, "control", HeadFault::Stays);
    unreadable(b"\r\r\n");
}

#[test]
fn row_7_control_characters() {
    for control in ['\0', '\t', '\u{1b}', '\r', '\u{7f}', '\u{85}', '\u{9b}', '\u{9f}'] {
        let name = format!("a{control}b");
        refused(
            &format!("id_cliente:ID|nome_arquivo:{name}"),
            ErrorCode::NameInvalid,
            "control",
            HeadFault::Stays,
        );
        refused(
            &deposit("ID", "1", "5", "depois", &name),
            ErrorCode::NameInvalid,
            "control",
            HeadFault::Payload { remaining: 5, hash_line: true },
        );
        field_stays(&format!("comando:listar|id_cliente:ID|limite:1|apos:{name}"), "apos");
        field_stays(&format!("comando:estado{control}|id_cliente:ID"), "comando");
        field_closes(&deposit("ID", &format!("1{control}"), "5", "HASH", "a"), "qtd_replicas");
        form(&format!("id_cliente{control}:ID"));
    }
}

#[test]
fn row_8_what_is_not_utf_8() {
    for bad in [&b"\xc0\xaf"[..], b"\xed\xa0\x80", b"\xe2\x82", b"\xff", b"\xf8\x88\x80\x80\x80"] {
        let mut bytes = format!("id_cliente:{ID}|nome_arquivo:a").into_bytes();
        bytes.extend_from_slice(bad);
        bytes.push(b'\n');
        unreadable(&bytes);
    }
}

#[test]
fn row_9_a_first_byte_that_begins_no_key_is_refused_at_once() {
    unreadable(b"\xef");
    unreadable("\u{feff}id_cliente:\n".as_bytes());
    unreadable(b"GET / HTTP/1.1\r\n");
    unreadable(b"\x16\x03\x01");
    unreadable(b"SSH-2.0-x\r\n");
    unreadable(b"|");
    unreadable(b" ");
    unreadable(b":");
    unreadable(b"0");
    form("\u{feff}id_cliente:");
}

#[test]
fn row_10_fields_in_another_order() {
    field_closes(
        "id_cliente:ID|tamanho_arquivo:5|qtd_replicas:1|hash_arquivo:HASH|nome_arquivo:a",
        "tamanho_arquivo is misplaced",
    );
    field_closes(
        "qtd_replicas:1|id_cliente:ID|tamanho_arquivo:5|hash_arquivo:HASH|nome_arquivo:a",
        "qtd_replicas is misplaced",
    );
    field_closes(
        "id_cliente:ID|qtd_replicas:1|tamanho_arquivo:5|deslocamento:0|hash_arquivo:HASH\
         |nome_arquivo:a",
        "deslocamento is misplaced",
    );
    field_stays("comando:consultar|nome_arquivo:a|id_cliente:ID", "id_cliente is missing");
    field_stays("comando:listar|limite:1|id_cliente:ID|apos:", "limite is misplaced");
    field_stays("nome_arquivo:a|id_cliente:ID", "id_cliente is missing");
    field_stays("deslocamento:1|nome_arquivo:a", "id_cliente is missing");
}

#[test]
fn row_11_a_field_twice() {
    for again in ["1", "2"] {
        field_closes(
            &format!(
                "id_cliente:ID|qtd_replicas:1|qtd_replicas:{again}|tamanho_arquivo:5\
                 |hash_arquivo:HASH|nome_arquivo:a"
            ),
            "qtd_replicas is repeated",
        );
        field_stays(
            &format!("id_cliente:ID|deslocamento:1|deslocamento:{again}|nome_arquivo:a"),
            "deslocamento is repeated",
        );
    }
    field_closes("id_cliente:ID|id_cliente:ID", "id_cliente");
    field_stays("comando:estado|id_cliente:ID|id_cliente:ID", "id_cliente is repeated");
    field_stays("comando:encerrar|comando:encerrar", "comando is repeated");
}

#[test]
fn row_12_missing_and_unknown_fields() {
    field_closes("id_cliente:ID|qtd_replicas:1", "tamanho_arquivo is missing");
    field_closes(
        "id_cliente:ID|tamanho_arquivo:5|hash_arquivo:HASH|nome_arquivo:a",
        "qtd_replicas is missing",
    );
    field_closes("id_cliente:ID|cor:1|nome_arquivo:a", "cor");
    field_closes("id_cliente:ID|comando:estado", "qtd_replicas is missing");
    field_closes(
        "id_cliente:ID|qtd_replicas:1|tamanho_arquivo:5|hash_arquivo:HASH",
        "nome_arquivo is missing",
    );
    field_stays("comando:consultar|id_cliente:ID", "nome_arquivo is missing");
    field_stays("comando:consultar|id_cliente:ID|cor:azul|nome_arquivo:a", "cor");
    field_stays("comando:estado|id_cliente:ID|cor:azul", "cor");
    field_stays("comando:estado|id_cliente:ID|limite:1", "limite does not belong");
    field_stays("comando:voar|id_cliente:ID", "comando");
    field_stays("comando:", "comando");
    field_stays("cor:azul", "cor");
    field_stays("hash_arquivo:HASH", "id_cliente is missing");
    field_stays("cor:azul|nome_arquivo:a", "cor");
    field_stays("comando:estado", "id_cliente is missing");
    field_stays(
        "comando:preparar|id_cliente:ID|qtd_replicas:1|tamanho_arquivo:5|hash_arquivo:HASH\
         |deslocamento:0|nome_arquivo:a",
        "deslocamento is misplaced",
    );
}

#[test]
fn row_13_keys_in_upper_case_and_blanks_around_them() {
    form("id_clientE:ID");
    form("id_cliente :ID");
    form("id_cliente:ID| nome_arquivo:a");
    form(" id_cliente:ID");
    form("id_cliente:ID|");
    form("id_cliente:ID||nome_arquivo:a");
    form("id_cliente:ID|:a");
    form("id_cliente");
    form("comando:estado|");
    form("id2:ID");
    // A blank behind the colon is the value's, where it is just as wrong.
    field_stays("id_cliente: ID", "id_cliente");
    field_stays("id_cliente:ID |nome_arquivo:a", "id_cliente");
}

#[test]
fn row_14_a_name_runs_to_the_end_of_the_line() {
    for name in ["x|deslocamento:9", "x|nome_arquivo:y", "a:b|", "|", ":", "nome_arquivo:z"] {
        let Ok(Request::Stat { name: parsed, .. }) =
            parse(&format!("comando:consultar|id_cliente:ID|nome_arquivo:{name}"))
        else {
            panic!("{name}")
        };
        assert_eq!(parsed.as_str(), name);
    }
}

#[test]
fn the_form_is_told_before_fields_and_fields_before_the_name() {
    form("id_cliente:bad|qtd_replicas:1|X:5");
    field_closes(&deposit("bad", "256", "-1", "g", ".."), "id_cliente");
    field_closes(&deposit("ID", "256", "-1", "g", ".."), "qtd_replicas");
    field_closes(&deposit("ID", "1", "-1", "g", ".."), "tamanho_arquivo");
    field_closes(&deposit("ID", "1", "5", "g", ".."), "hash_arquivo");
    field_closes("id_cliente:bad|cor:1", "id_cliente");
    field_stays("comando:listar|id_cliente:ID|limite:0", "limite");
    field_stays("comando:replicas|id_cliente:ID|qtd_replicas:x|nome_arquivo:..", "qtd_replicas");
}

#[test]
fn a_bad_name_leaves_the_payload_to_come() {
    for (hash, hash_line) in [("HASH", false), ("depois", true)] {
        refused(
            &deposit("ID", "1", "5", hash, ".."),
            ErrorCode::NameInvalid,
            "nome_arquivo",
            HeadFault::Payload { remaining: 5, hash_line },
        );
        refused(
            &format!(
                "id_cliente:ID|qtd_replicas:1|tamanho_arquivo:5|hash_arquivo:{hash}\
                 |deslocamento:5|nome_arquivo:"
            ),
            ErrorCode::NameInvalid,
            "empty",
            HeadFault::Payload { remaining: 0, hash_line },
        );
    }
    for line in [
        "comando:preparar|id_cliente:ID|qtd_replicas:1|tamanho_arquivo:5|hash_arquivo:depois\
         |nome_arquivo:..",
        "id_cliente:ID|deslocamento:1|nome_arquivo:..",
        "comando:remover|id_cliente:ID|nome_arquivo:..",
    ] {
        refused(line, ErrorCode::NameInvalid, "nome_arquivo", HeadFault::Stays);
    }
}

#[test]
fn an_offset_above_the_size_closes_whatever_else_is_wrong() {
    let line = |offset: &str, name: &str| {
        format!(
            "id_cliente:ID|qtd_replicas:1|tamanho_arquivo:5|hash_arquivo:HASH\
             |deslocamento:{offset}|nome_arquivo:{name}"
        )
    };
    for offset in ["6", "9223372036854775808", "18446744073709551616", &"9".repeat(40)] {
        let code = ErrorCode::OffsetInvalid;
        refused(&line(offset, "a"), code, "deslocamento", HeadFault::Closes);
        refused(&line(offset, ".."), ErrorCode::NameInvalid, "nome_arquivo", HeadFault::Closes);
        // What only the server can find may have to be told first.
        let bad = parse(&line(offset, "a")).expect_err(offset);
        assert_eq!(bad.past_end.expect("the deposit").name.as_str(), "a");
        assert_eq!(parse(&line(offset, "..")).expect_err(offset).past_end, None);
    }
    assert!(matches!(parse(&line("5", "a")), Ok(Request::Deposit(d)) if d.payload_len() == 0));
    for offset in ["", "-1", "+5", "05", "1e1"] {
        field_closes(&line(offset, "a"), "deslocamento");
    }
    // A recover's offset is judged against the file.
    let recover = format!("id_cliente:ID|deslocamento:{}|nome_arquivo:a", "9".repeat(40));
    assert!(matches!(parse(&recover), Ok(Request::Recover(r)) if r.offset() == u64::MAX));
}

#[test]
fn long_unknown_keys_are_not_repeated_whole() {
    let bad = parse(&format!("comando:estado|id_cliente:ID|{}:1", "k".repeat(3000)));
    assert!(bad.expect_err("unknown").refusal.message.len() < 200);
}
