//! Refusals: their form, which of several faults is told, and what becomes of the connection.

use depot_tests::content::{made_up_id, random_bytes, sha256};
use depot_tests::headers::{self, Deposit, hash_line};
use depot_tests::{Server, Setup, answer};

const MIB: usize = 1 << 20;

#[test]
fn of_several_faults_the_first_in_the_order_of_the_protocol_is_told() {
    let server = Setup::new().deposit("max_size = \"100 B\"").start();
    let (id, bytes) = (made_up_id(), [b'x'; 200]);
    let wrong = Deposit::of(&id, "a//b", &bytes).replicas(9).offset(50);
    let header = wrong.header();
    let cases = [
        (header.replace("qtd_replicas:9", "QTD:9"), "cabecalho_invalido"),
        (header.replace("qtd_replicas:9", "qtd_replicas:x"), "campo_invalido"),
        (header.clone(), "nome_invalido"),
        (wrong.clone().name("a").header(), "replicas_indisponiveis"),
        (wrong.clone().name("a").replicas(0).header(), "limite_excedido"),
        (wrong.name("a").replicas(0).size(90).header(), "deslocamento_invalido"),
    ];
    for (header, code) in cases {
        let mut client = server.connect();
        client.send_line(header);
        client.send(&bytes[50..]);
        answer::refused(&client.line(), code);
    }
}

#[test]
fn of_several_wrong_fields_the_first_from_the_left_is_named() {
    let server = Server::start();
    let right = Deposit::of(&made_up_id(), "a", b"hello");
    let cases = [
        (right.clone().replicas("x").size("y").hash("z"), "qtd_replicas"),
        (right.clone().size("y").hash("z"), "tamanho_arquivo"),
        (right.clone().hash("z").offset("w"), "hash_arquivo"),
        (right.offset("w").name("a//b"), "deslocamento"),
    ];
    for (deposit, field) in cases {
        answer::refused_field(&server.connect().ask(deposit.header()), field);
    }
}

#[test]
fn errors_of_requests_that_never_have_a_payload_leave_the_connection_open() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    let cases = [
        ("comando:voar".to_owned(), "campo_invalido"),
        ("comando:".to_owned(), "campo_invalido"),
        ("comando:encerrar|id_cliente:".to_owned(), "campo_invalido"),
        (format!("comando:consultar|id_cliente:{id}"), "campo_invalido"),
        (format!("comando:consultar|nome_arquivo:a|id_cliente:{id}"), "campo_invalido"),
        (format!("{}|mais:1", headers::state(&id)), "campo_invalido"),
        (headers::state("x"), "campo_invalido"),
        (headers::stat(&id, "a//b"), "nome_invalido"),
        (headers::stat(&id, "a"), "arquivo_inexistente"),
        (headers::list(&id, 0, ""), "campo_invalido"),
        (headers::remove(&id, ".."), "nome_invalido"),
        (headers::set_replicas(&id, "x", "a"), "campo_invalido"),
        (headers::set_replicas(&id, 9, "a"), "replicas_indisponiveis"),
        (Deposit::of(&id, "a", b"").replicas(9).prepare(), "replicas_indisponiveis"),
        (headers::recover(&id, "a"), "arquivo_inexistente"),
        (headers::recover(&id, ""), "nome_invalido"),
        (headers::recover("x", "a"), "campo_invalido"),
        (headers::recover_from(&id, "x", "a"), "campo_invalido"),
        (headers::recover_from(&id, 0, "a"), "arquivo_inexistente"),
        ("id_cliente:x".to_owned(), "campo_invalido"),
        ("nome:x".to_owned(), "campo_invalido"),
        ("nome:x|deslocamento:0".to_owned(), "campo_invalido"),
    ];
    for (header, code) in cases {
        answer::refused(&client.ask(&header), code);
        client.stays_open();
    }
}

#[test]
fn cabecalho_invalido_closes_whatever_the_request() {
    let server = Server::start();
    let id = made_up_id();
    let headers = [
        "comando".to_owned(),
        "comando:estado|".to_owned(),
        "comando:estado||id_cliente:x".to_owned(),
        "id_cliente".to_owned(),
        format!("id_cliente:{id}|nome_arquivo"),
        format!("id_cliente:{id}|nome2:x"),
        format!("id_cliente:{id}|:x"),
    ];
    for header in headers {
        let mut client = server.connect();
        answer::refused(&client.ask(&header), "cabecalho_invalido");
        client.ended();
    }
    server.has_stored_nothing();
}

#[test]
fn campo_invalido_in_what_may_be_a_deposit_closes() {
    let server = Server::start();
    let right = Deposit::of(&made_up_id(), "a", b"hello");
    let header = right.header();
    let headers = [
        right.clone().size("x").header(),
        right.clone().replicas("x").header(),
        right.clone().hash("x").header(),
        right.clone().offset("x").header(),
        header.replace("id_cliente:", "id_cliente:x"),
        header.replace("|nome_arquivo:a", ""),
        header.replace("|nome_arquivo:a", "|cor:azul|nome_arquivo:a"),
        "nome:x|cor:azul".to_owned(),
    ];
    for header in headers {
        let mut client = server.connect();
        answer::refused(&client.ask(&header), "campo_invalido");
        client.ended();
    }
    server.has_stored_nothing();
}

#[test]
fn the_payload_of_a_refused_deposit_up_to_1_mib_is_dropped_and_the_connection_stays() {
    let server = Setup::new().deposit("max_size = \"1 MiB\"").start();
    let (mut client, id) = (server.connect(), made_up_id());
    let (bytes, right) = (random_bytes(1, MIB), Deposit::of(&id, "a", &random_bytes(1, MIB)));
    let cases = [
        (right.clone().name("a//b"), 0, "nome_invalido"),
        (right.clone().replicas(1), 0, "replicas_indisponiveis"),
        (right.clone().size(MIB + 1).offset(1), 0, "limite_excedido"),
        (right.clone().offset(100), 100, "deslocamento_invalido"),
        (right.clone().hash(sha256(b"other")), 0, "hash_divergente"),
    ];
    for (deposit, from, code) in cases {
        answer::refused(&client.deposit_as(&deposit, &bytes[from..]), code);
        client.stays_open();
    }
    server.has_stored_nothing();
}

#[test]
fn the_hash_line_of_a_refused_deposit_is_dropped_with_its_payload() {
    let server = Server::start();
    let (mut client, bytes) = (server.connect(), random_bytes(1, 100_000));
    let deposit = Deposit::of(&made_up_id(), "a//b", &bytes).hash_last();
    client.begin(&deposit, &bytes);
    client.send_line(hash_line(&bytes));
    answer::refused(&client.line(), "nome_invalido");
    client.stays_open();
    server.has_stored_nothing();
}

#[test]
fn a_refused_deposit_of_more_than_1_mib_is_answered_and_closed() {
    let server = Server::start();
    let right = Deposit::of(&made_up_id(), "a", b"").size(MIB + 1);
    let cases = [
        (right.clone().name("a//b"), "nome_invalido"),
        (right.replicas(1), "replicas_indisponiveis"),
    ];
    for (deposit, code) in cases {
        let mut client = server.connect();
        answer::refused(&client.ask(deposit.header()), code);
        client.ended();
    }
    server.has_stored_nothing();
}

#[test]
fn no_reset_destroys_the_answer_of_a_client_that_is_still_sending() {
    let server = Server::start();
    let bytes = random_bytes(1, 16 * MIB);
    let mut client = server.connect();
    client.begin(&Deposit::of(&made_up_id(), "a//b", &bytes), &bytes);
    answer::refused(&client.line(), "nome_invalido");
    client.ended();
    server.has_stored_nothing();
}

#[test]
fn payload_bytes_of_a_refused_deposit_are_never_taken_for_a_header() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    client.deposit(&id, "a", b"hello");
    let payload = format!("{}\n", headers::remove(&id, "a")).repeat(100);
    let refused = Deposit::of(&id, "b//c", payload.as_bytes());
    answer::refused(&client.deposit_as(&refused, payload.as_bytes()), "nome_invalido");
    assert_eq!(client.names(&id), ["a"]);
}

#[test]
fn a_message_repeats_nothing_that_the_client_sent_unless_it_is_escaped() {
    let server = Server::start();
    let id = made_up_id();
    let text = "\u{1b}[31m\u{202e}\u{7}";
    for header in [
        headers::recover(&id, text),
        headers::recover(text, "a"),
        headers::list(&id, text, ""),
        format!("comando:{text}"),
        format!("nome:{text}"),
        format!("nome{text}:x"),
    ] {
        let line = server.connect().ask(header);
        assert!(line.starts_with("resultado:0|erro:"), "{line:?}");
        assert!(!line.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{line:?}");
    }
}
