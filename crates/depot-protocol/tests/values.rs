//! Each way to break a value. The numbers are those of the table of hostile inputs, A.

use depot_protocol::{
    Announced, BadHead, ClientId, Digest, ErrorCode, FileName, FileSize, HeadFault, ListCursor,
    ListLimit, ReplicaCount, Request, ServerName,
};

const ID: &str = "0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f80";
const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn deposit(client: &str, replicas: &str, size: &str, hash: &str) -> Result<Request, BadHead> {
    let line = format!(
        "id_cliente:{client}|qtd_replicas:{replicas}|tamanho_arquivo:{size}\
         |hash_arquivo:{hash}|nome_arquivo:a"
    );
    Request::parse(line.as_bytes())
}

/// It is `campo_invalido`, names this field and closes.
fn refused(request: Result<Request, BadHead>, field: &str, value: &str) {
    let bad = request.expect_err(value);
    assert_eq!(bad.refusal.code, ErrorCode::FieldInvalid, "{value}");
    assert!(bad.refusal.message.starts_with(field), "{value}: {}", bad.refusal);
    assert_eq!(bad.then, HeadFault::Closes, "{value}");
}

#[test]
fn rows_15_16_18_sizes() {
    for size in [
        "",
        "-1",
        "-0",
        "+5",
        " 5",
        "5 ",
        "5.0",
        "0x10",
        "1e9",
        "1_000",
        "1,000",
        "٥",
        "５",
        "007",
        "00",
        "9223372036854775808",
        "18446744073709551616",
        "18446744073709551621",
        &"1".repeat(40),
        &"0".repeat(40),
    ] {
        refused(deposit(ID, "1", size, HASH), "tamanho_arquivo", size);
        assert!(FileSize::parse(size).is_err(), "{size}");
    }
    for (text, size) in [("0", 0), ("5", 5), ("9223372036854775807", 9_223_372_036_854_775_807)] {
        assert_eq!(FileSize::parse(text).map(FileSize::get), Ok(size));
    }
    assert_eq!(FileSize::new(1 << 63), None);
}

#[test]
fn rows_19_21_replicas() {
    for replicas in ["256", "-1", "18446744073709551615", "", "01", " 1", "1.0", "٥"] {
        refused(deposit(ID, replicas, "5", HASH), "qtd_replicas", replicas);
        let line = format!("comando:replicas|id_cliente:{ID}|qtd_replicas:{replicas}");
        let bad = Request::parse(format!("{line}|nome_arquivo:a").as_bytes()).expect_err(replicas);
        assert_eq!(bad.then, HeadFault::Stays);
    }
    for (text, replicas) in [("0", 0), ("255", 255)] {
        assert_eq!(ReplicaCount::parse(text).map(ReplicaCount::get), Ok(replicas));
        assert!(deposit(ID, text, "5", HASH).is_ok());
    }
}

#[test]
fn rows_22_23_hashes() {
    for hash in [
        "",
        &HASH[1..],
        &format!("{HASH}0"),
        &HASH.replace('2', "g"),
        &HASH.replace("24", "é"),
        "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        "Depois",
        "depois ",
        "+2f24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    ] {
        refused(deposit(ID, "1", "5", hash), "hash_arquivo", hash);
        assert!(Digest::parse(hash).is_err(), "{hash}");
    }
    let mixed = HASH.replace('b', "B");
    for hash in [HASH, &HASH.to_uppercase(), &mixed] {
        let Ok(Request::Deposit(deposit)) = deposit(ID, "1", "5", hash) else { panic!("{hash}") };
        assert_eq!(deposit.hash.to_string(), HASH);
    }
    assert_eq!(Announced::parse("depois"), Ok(Announced::Last));
    assert!(Digest::parse("depois").is_err());
}

#[test]
fn rows_24_25_26_ids() {
    for id in [
        "0b5c8f0e52a14d3f9d0a2f3c5d6e7f80",
        "{0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f80}",
        "{0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f}",
        "urn:uuid:0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f80",
        "0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f8",
        "0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f800",
        "0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f8g",
        "0b5c8f0e-52a14-d3f-9d0a-2f3c5d6e7f80",
        "0b5c8f0e 52a1 4d3f 9d0a 2f3c5d6e7f80",
        "0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7fé",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "",
    ] {
        refused(deposit(id, "1", "5", HASH), "id_cliente", id);
        assert!(ClientId::parse(id).is_err(), "{id}");
        if !id.is_empty() {
            let bad = Request::parse(format!("id_cliente:{id}").as_bytes()).expect_err(id);
            assert_eq!(bad.then, HeadFault::Stays);
        }
    }
    assert_eq!(ClientId::parse(&ID.to_uppercase()), ClientId::parse(ID));
    // Well-formed and never issued: version 0, version 7.
    for id in ["00000000-0000-0000-0000-000000000001", "018f0e52-a14d-7f9d-8a2f-3c5d6e7f8000"] {
        assert_eq!(ClientId::parse(id).map(|id| id.to_string()).as_deref(), Ok(id));
    }
}

#[test]
fn row_28_names_that_break_the_rule() {
    for name in
        ["", ".", "..", "../x", "a/../b", "./a", "a/.", "/etc/passwd", "a//b", "a/", "/", "a/.."]
    {
        let line = format!("comando:consultar|id_cliente:{ID}|nome_arquivo:{name}");
        let bad = Request::parse(line.as_bytes()).expect_err(name);
        assert_eq!((bad.refusal.code, bad.then), (ErrorCode::NameInvalid, HeadFault::Stays));
    }
}

#[test]
fn rows_29_to_34_ordinary_names() {
    for name in [
        "...",
        "..a",
        "a..b",
        "-rf",
        "~",
        "$(x)",
        "%2e%2e",
        "%2e%2e/x",
        "a:b",
        "..\\..\\x",
        "C:\\x",
        "CON",
        "aux.txt",
        "a.",
        " ",
        "a ",
        "LOCK",
        "tmp",
        "catalogo.redb",
        HASH,
        "\u{202e}gpj.exe",
        "a\u{200b}b",
        "🦀",
        "pаypal",
        "\u{feff}",
        "a|b",
        "\u{2028}",
        "\u{ad}",
    ] {
        assert_eq!(FileName::parse(name).as_ref().map(FileName::as_str), Ok(name));
        let line = format!("comando:consultar|id_cliente:{ID}|nome_arquivo:{name}");
        let request = Request::parse(line.as_bytes()).expect(name);
        assert_eq!(request.render(), line);
    }
}

#[test]
fn row_31_long_names() {
    for length in [300, 1024] {
        assert!(FileName::parse(&"a".repeat(length)).is_ok());
    }
    for length in [1025, 4000] {
        let line = format!("id_cliente:{ID}|nome_arquivo:{}", "a".repeat(length));
        let bad = Request::parse(line.as_bytes()).expect_err("too long");
        assert_eq!(bad.refusal.code, ErrorCode::NameInvalid);
    }
    // Bytes count, not characters.
    assert!(FileName::parse(&"é".repeat(512)).is_ok());
    assert!(FileName::parse(&"é".repeat(513)).is_err());
}

#[test]
fn row_32_names_are_bytes() {
    let name = |text| FileName::parse(text).expect("a good name");
    assert_ne!(name("caf\u{e9}"), name("cafe\u{301}"));
    assert!(name("A") < name("a") && name("Z") < name("a") && name("z") < name("é"));
    // By bytes, not by UTF-16 units.
    assert!(name("\u{ff5e}") < name("\u{10000}"));
}

#[test]
fn row_35_limits_and_cursors() {
    let list = |limit: &str, after: &str| {
        let line = format!("comando:listar|id_cliente:{ID}|limite:{limit}|apos:{after}");
        Request::parse(line.as_bytes())
    };
    for limit in ["0", "1001", "", "-1", "01", "65536", "65537", "18446744073709551617"] {
        let bad = list(limit, "").expect_err(limit);
        assert_eq!((bad.refusal.code, bad.then), (ErrorCode::FieldInvalid, HeadFault::Stays));
        assert!(bad.refusal.message.starts_with("limite"));
    }
    assert!(list("1", "").is_ok() && list("1000", &"a".repeat(1024)).is_ok());
    assert!(list("1", "../..//|x:y").is_ok());
    let bad = list("1", &"a".repeat(1025)).expect_err("too long");
    assert_eq!((bad.refusal.code, bad.then), (ErrorCode::FieldInvalid, HeadFault::Stays));
    assert!(bad.refusal.message.starts_with("apos"));
    assert_eq!(ListLimit::new(0), None);
    assert_eq!(ListLimit::new(1001), None);
    assert_eq!(ListLimit::new(1000), Some(ListLimit::MAX));
    assert_eq!(ListCursor::parse(""), Ok(ListCursor::start()));
}

#[test]
fn server_names() {
    for name in ["a", "0", "-", ".", "a-1.example", &"a".repeat(63)] {
        assert_eq!(ServerName::parse(name).map(|name| name.to_string()).as_deref(), Ok(name));
    }
    for name in ["", "A", "a_b", "a b", "a/b", "é", "a|b", &"a".repeat(64)] {
        assert!(ServerName::parse(name).is_err(), "{name}");
    }
}
