//! Rows 1 to 14: silence, lines and keys.

use std::thread::sleep;
use std::time::Duration;

use depot_tests::content::made_up_id;
use depot_tests::headers::{self, Deposit};
use depot_tests::{Server, Setup, answer, within};

use crate::{closes, closes_naming, stays};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn row_01_who_connects_and_says_nothing_is_closed_without_an_answer() {
    let server = Setup::new().limits("idle = \"1s\"").start();
    within(SECOND / 2, 20 * SECOND, || server.connect().ended());
    server.has_stored_nothing();
}

#[test]
fn row_02_a_header_that_is_not_done_in_time_is_tempo_esgotado_also_byte_by_byte() {
    let server = Setup::new().limits("header = \"1s\"").start();
    let mut silent = server.connect();
    silent.send("i");
    let mut slow = server.connect();
    let header = headers::recover(&made_up_id(), "a");
    // The deadline is absolute: a byte now and then does not move it.
    for byte in header.bytes().cycle().take(30) {
        if slow.try_send([byte]).is_err() {
            break;
        }
        sleep(Duration::from_millis(50));
    }
    for client in [&mut silent, &mut slow] {
        answer::refused(&client.line(), "tempo_esgotado");
        client.ended();
    }
    server.has_stored_nothing();
}

#[test]
fn row_03_4096_bytes_without_a_line_feed_are_cabecalho_invalido() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("a".repeat(4095));
    client.silent_for(Duration::from_millis(200));
    client.send("a");
    answer::refused(&client.line(), "cabecalho_invalido");
    client.ended();
    server.has_stored_nothing();
}

#[test]
fn row_04_a_line_of_4096_bytes_is_read_and_one_of_4097_is_not() {
    let server = Server::start();
    let id = made_up_id();
    let room = 4096 - headers::recover(&id, "\n").len();
    let longest = headers::recover(&id, &"a".repeat(room));
    assert_eq!(longest.len() + 1, 4096);
    // It is a line, so it is its name that is found too long.
    stays(&server, &longest, "nome_invalido");
    closes(&server, format!("{longest}a\n"), "cabecalho_invalido");
    closes(&server, format!("{longest}\r\n"), "cabecalho_invalido");
    server.has_stored_nothing();
}

#[test]
fn row_05_an_empty_line_is_cabecalho_invalido() {
    let server = Server::start();
    closes(&server, "\n", "cabecalho_invalido");
    closes(&server, "\r\n", "cabecalho_invalido");
    server.has_stored_nothing();
}

#[test]
fn row_06_one_carriage_return_ends_a_line_with_its_line_feed_and_two_do_not() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("id_cliente:\r\n");
    assert!(client.line().starts_with("resultado:1|"));
    stays(&server, "comando:encerrar\r\r", "campo_invalido");
    stays(&server, headers::recover(&made_up_id(), "a\r\r"), "nome_invalido");
    server.has_stored_nothing();
}

#[test]
fn row_07_control_characters_are_nome_invalido_in_a_name_and_campo_invalido_elsewhere() {
    let server = Server::start();
    let id = made_up_id();
    for control in ['\0', '\t', '\u{1b}', '\r', '\u{85}', '\u{9b}', '\u{7f}'] {
        let text = format!("a{control}b");
        stays(&server, headers::recover(&id, &text), "nome_invalido");
        stays(&server, headers::list(&id, 10, &text), "campo_invalido");
        stays(&server, format!("comando:{text}"), "campo_invalido");
        let deposit = Deposit::of(&id, "a", b"").hash(&text);
        closes(&server, format!("{}\n", deposit.header()), "campo_invalido");
        closes(&server, format!("{text}:x\n"), "cabecalho_invalido");
    }
    server.has_stored_nothing();
}

#[test]
fn row_08_what_is_not_utf_8_is_cabecalho_invalido() {
    let server = Server::start();
    let cases: [(&str, &[u8]); 5] = [
        ("overlong", &[0xc0, 0xaf]),
        ("surrogate", &[0xed, 0xa0, 0x80]),
        ("cut", &[0xe2, 0x82]),
        ("0xff", &[0xff]),
        ("past the last", &[0xf4, 0x90, 0x80, 0x80]),
    ];
    for (what, bytes) in cases {
        println!("{what}");
        let mut line = headers::recover(&made_up_id(), "a").into_bytes();
        line.extend_from_slice(bytes);
        line.push(b'\n');
        closes(&server, line, "cabecalho_invalido");
    }
    server.has_stored_nothing();
}

#[test]
fn row_09_other_protocols_are_cabecalho_invalido() {
    let server = Server::start();
    let tls_hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    closes(&server, "\u{feff}id_cliente:\n", "cabecalho_invalido");
    closes(&server, "GET / HTTP/1.1\r\nHost: depot\r\n\r\n", "cabecalho_invalido");
    closes(&server, tls_hello, "cabecalho_invalido");
    closes(&server, "SSH-2.0-OpenSSH_9.9\r\n", "cabecalho_invalido");
    server.has_stored_nothing();
}

#[test]
fn row_10_fields_in_another_order_are_campo_invalido_naming_one_of_them() {
    let server = Server::start();
    let header = Deposit::of(&made_up_id(), "a", b"").header();
    let (id, rest) = header.split_once("|qtd_replicas:0|").expect("the second field");
    let first = format!("qtd_replicas:0|{id}|{rest}");
    let second =
        header.replace("|qtd_replicas:0|tamanho_arquivo:0", "|tamanho_arquivo:0|qtd_replicas:0");
    for (header, fields) in
        [(first, ["qtd_replicas", "id_cliente"]), (second, ["tamanho_arquivo", "qtd_replicas"])]
    {
        let mut client = server.connect();
        let line = client.ask(header);
        let message = answer::refused(&line, "campo_invalido");
        // One is misplaced and the other is missing at the same place.
        assert!(fields.iter().any(|field| message.contains(field)), "{line}");
        client.ended();
    }
    server.has_stored_nothing();
}

#[test]
fn row_11_a_field_that_stands_twice_is_campo_invalido() {
    let server = Server::start();
    let header = Deposit::of(&made_up_id(), "a", b"").header();
    for twice in ["qtd_replicas:0|qtd_replicas:0|", "qtd_replicas:0|qtd_replicas:1|"] {
        closes_naming(&server, &header.replace("qtd_replicas:0|", twice), "qtd_replicas");
    }
    let size_twice = header.replace("|hash_arquivo", "|tamanho_arquivo:0|hash_arquivo");
    closes_naming(&server, &size_twice, "tamanho_arquivo");
    server.has_stored_nothing();
}

#[test]
fn row_12_a_missing_or_unknown_field_is_campo_invalido_and_closes_only_a_deposit() {
    let server = Server::start();
    let id = made_up_id();
    let header = Deposit::of(&id, "a", b"").header();
    closes_naming(&server, &header.replace("|tamanho_arquivo:0", ""), "tamanho_arquivo");
    closes_naming(&server, &header.replace("|nome_arquivo:a", ""), "nome_arquivo");
    closes_naming(&server, &header.replace("|hash", "|cor:azul|hash"), "cor");
    stays(&server, "comando:voar", "campo_invalido");
    stays(&server, format!("comando:consultar|id_cliente:{id}"), "campo_invalido");
    stays(&server, format!("{}|cor:azul", headers::state(&id)), "campo_invalido");
    server.has_stored_nothing();
}

#[test]
fn row_13_keys_in_upper_case_or_with_blanks_are_cabecalho_invalido() {
    let server = Server::start();
    let id = made_up_id();
    for line in [
        "Id_cliente:".to_owned(),
        "id_Cliente:".to_owned(),
        "ID_CLIENTE:".to_owned(),
        "id_cliente :".to_owned(),
        " id_cliente:".to_owned(),
        format!("id_cliente:{id}| nome_arquivo:a"),
        format!("id_cliente:{id}|nome_arquivo :a"),
    ] {
        closes(&server, format!("{line}\n"), "cabecalho_invalido");
    }
    // After the colon a blank belongs to the value, which it makes impossible.
    stays(&server, format!("id_cliente: {id}"), "campo_invalido");
    stays(&server, format!("id_cliente:{id} |nome_arquivo:a"), "campo_invalido");
    server.has_stored_nothing();
}

#[test]
fn row_14_a_name_that_looks_like_fields_is_a_name() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    let names = ["x|deslocamento:9", "x|nome_arquivo:y", "nome_arquivo:z", "|tamanho_arquivo:5"];
    for name in names {
        assert!(client.deposit(&id, name, name.as_bytes()).starts_with("resultado:1|"));
        assert_eq!(client.recover(&id, name), name.as_bytes());
    }
    assert_eq!(client.names(&id).len(), names.len());
    server.is_unharmed();
}
