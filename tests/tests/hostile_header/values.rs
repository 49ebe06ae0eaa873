//! Rows 15 to 27 and 35: numbers, hashes and ids.

use std::time::Duration;

use depot_tests::content::{made_up_id, sha256};
use depot_tests::headers::{self, Deposit};
use depot_tests::{Server, answer};
use nix::sys::statvfs::statvfs;

use crate::{closes_naming, stays};

#[test]
fn row_15_a_size_that_is_no_number_is_campo_invalido() {
    let server = Server::start();
    let deposit = Deposit::of(&made_up_id(), "a", b"hello");
    for size in ["", "-1", "+5", " 5", "5 ", "5.0", "0x10", "1e9", "٥", "5_000", "five"] {
        closes_naming(&server, &deposit.clone().size(size).header(), "tamanho_arquivo");
    }
    server.has_stored_nothing();
}

#[test]
fn row_16_a_size_past_the_largest_is_campo_invalido_and_never_wraps() {
    let server = Server::start();
    let deposit = Deposit::of(&made_up_id(), "a", b"hello");
    let digits = "9".repeat(40);
    let (two_63, two_64) = ("9223372036854775808", "18446744073709551616");
    for size in [two_63, two_64, "18446744073709551621", &digits] {
        closes_naming(&server, &deposit.clone().size(size).header(), "tamanho_arquivo");
    }
    server.has_stored_nothing();
}

#[test]
fn row_17_sizes_that_cannot_be_kept_are_refused_and_announced_ones_reserve_nothing() {
    let server = Server::start();
    let largest = Deposit::of(&made_up_id(), "a", b"").size(i64::MAX);
    let line = server.connect().ask(largest.header());
    answer::refused(&line, "limite_excedido");

    let disk = statvfs(server.setup().home()).expect("a file system");
    let free = disk.blocks_available() * disk.fragment_size();
    let too_large = Deposit::of(&made_up_id(), "a", b"").size((1 << 40).max(free + (1 << 40)));
    let mut clients = (0..1000).map(|_| server.connect()).collect::<Vec<_>>();
    clients.iter_mut().for_each(|client| client.send_line(too_large.header()));
    for client in &mut clients {
        let line = client.line();
        let code = answer::field(&line, "erro");
        assert!(code == "sem_espaco" || code == "limite_excedido", "{line:?}");
        client.ended();
    }
    server.has_stored_nothing();

    let before = server.folder().disk_use();
    clients = (0..100).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send_line(Deposit::of(&made_up_id(), "a", b"").size(1 << 28).header());
    }
    clients[99].silent_for(Duration::from_millis(300));
    let reserved = server.folder().disk_use() - before;
    assert!(reserved < 100 << 20, "{reserved} bytes for 100 headers");
    drop(clients);
    server.still_serves();
}

#[test]
fn row_18_leading_zeros_are_campo_invalido() {
    let server = Server::start();
    let id = made_up_id();
    let deposit = Deposit::of(&id, "a", b"");
    for number in ["007", "00", "01"] {
        closes_naming(&server, &deposit.clone().size(number).header(), "tamanho_arquivo");
        closes_naming(&server, &deposit.clone().replicas(number).header(), "qtd_replicas");
        closes_naming(&server, &deposit.clone().offset(number).header(), "deslocamento");
        stays(&server, headers::recover_from(&id, number, "a"), "campo_invalido");
        stays(&server, headers::list(&id, number, ""), "campo_invalido");
    }
    server.has_stored_nothing();
}

#[test]
fn row_19_no_replicas_are_accepted_and_the_answer_says_0() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    let line = client.deposit_as(&Deposit::of(&id, "a", b"hello").replicas(0), b"hello");
    assert!(line.starts_with("resultado:1|qtd_replicas:0|copias:0|"), "{line:?}");
    server.is_unharmed();
}

#[test]
fn row_20_more_replicas_than_other_servers_are_replicas_indisponiveis() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    for replicas in [1, 2, 255] {
        let deposit = Deposit::of(&id, "a", b"hello").replicas(replicas);
        answer::refused(&client.deposit_as(&deposit, b"hello"), "replicas_indisponiveis");
        client.stays_open();
        answer::refused(&client.ask(deposit.prepare()), "replicas_indisponiveis");
    }
    assert_eq!(client.names(&id), [""; 0]);
    server.has_stored_nothing();
}

#[test]
fn row_21_impossible_numbers_of_replicas_are_campo_invalido() {
    let server = Server::start();
    let id = made_up_id();
    for replicas in ["256", "-1", "18446744073709551615", "", "1.5"] {
        let deposit = Deposit::of(&id, "a", b"").replicas(replicas);
        closes_naming(&server, &deposit.header(), "qtd_replicas");
        stays(&server, deposit.prepare(), "campo_invalido");
        stays(&server, headers::set_replicas(&id, replicas, "a"), "campo_invalido");
    }
    server.has_stored_nothing();
}

#[test]
fn row_22_what_is_no_sha_256_in_hex_is_campo_invalido() {
    let server = Server::start();
    let deposit = Deposit::of(&made_up_id(), "a", b"");
    let hash = sha256(b"");
    let with_a_g = format!("{}g", &hash[..63]);
    let base64 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    for hash in [&hash[..63], &format!("{hash}0"), &with_a_g, "", base64, "DEPOIS", "depois "] {
        closes_naming(&server, &deposit.clone().hash(hash).header(), "hash_arquivo");
        stays(&server, deposit.clone().hash(hash).prepare(), "campo_invalido");
    }
    server.has_stored_nothing();
}

#[test]
fn row_23_a_hash_in_upper_or_mixed_case_is_taken_and_answered_in_lower_case() {
    let server = Server::start();
    let mut client = server.connect();
    let (id, hash) = (client.new_id(), sha256(b"hello"));
    let mixed = format!("{}{}", &hash[..32], hash[32..].to_uppercase());
    for (name, written) in [("a", hash.to_uppercase()), ("b", mixed)] {
        let line = client.deposit_as(&Deposit::of(&id, name, b"hello").hash(written), b"hello");
        assert!(line.ends_with(&format!("|hash_arquivo:{hash}")), "{line:?}");
        assert_eq!(client.recover(&id, name), b"hello");
    }
    server.is_unharmed();
}

#[test]
fn row_24_what_is_no_hyphenated_uuid_is_campo_invalido() {
    let server = Server::start();
    let id = made_up_id();
    let with_a_g = format!("g{}", &id[1..]);
    let misplaced = format!("{}-{}{}", &id[..9], &id[9..13], &id[14..]);
    for wrong in [
        id.replace('-', ""),
        format!("{{{id}}}"),
        format!("urn:uuid:{id}"),
        id[..35].to_owned(),
        format!("{id}0"),
        with_a_g,
        misplaced,
        String::new(),
    ] {
        stays(&server, headers::recover(&wrong, "a"), "campo_invalido");
        stays(&server, headers::state(&wrong), "campo_invalido");
        closes_naming(&server, &Deposit::of(&wrong, "a", b"").header(), "id_cliente");
        if !wrong.is_empty() {
            stays(&server, format!("id_cliente:{wrong}"), "campo_invalido");
        }
    }
    server.has_stored_nothing();
}

#[test]
fn row_25_an_id_in_upper_case_is_the_same_client() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.deposit(&id.to_uppercase(), "a", b"hello");
    assert_eq!(client.recover(&id.to_lowercase(), "a"), b"hello");
    client.deposit(&id.to_lowercase(), "a", b"other");
    assert_eq!(client.recover(&id.to_uppercase(), "a"), b"other");
    assert_eq!(client.names(&id.to_uppercase()), ["a"]);
    server.is_unharmed();
}

#[test]
fn row_26_nil_and_all_ones_are_no_ids_and_any_other_is_an_empty_client() {
    let server = Server::start();
    let nil = "00000000-0000-0000-0000-000000000000";
    for id in [nil, &nil.replace('0', "f"), &nil.replace('0', "F")] {
        stays(&server, format!("id_cliente:{id}"), "campo_invalido");
        stays(&server, headers::list(id, 10, ""), "campo_invalido");
        closes_naming(&server, &Deposit::of(id, "a", b"").header(), "id_cliente");
    }
    let (mut client, never_issued) = (server.connect(), made_up_id());
    assert_eq!(client.ask(headers::list(&never_issued, 10, "")), "resultado:1|itens:0|mais:0");
    // Of any version and variant, as long as it is well formed.
    for id in [nil.replacen('0', "1", 1), nil.replace('0', "e")] {
        answer::refused(&client.ask(headers::recover(&id, "a")), "arquivo_inexistente");
        assert!(client.deposit(&id, "a", b"hello").starts_with("resultado:1|"));
        assert_eq!(client.recover(&id, "a"), b"hello");
    }
    server.is_unharmed();
}

#[test]
fn row_27_guessed_ids_find_nothing_and_are_told_what_anyone_is_told() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.deposit(&id, "a", b"hello");
    let no_such_file = client.ask(headers::recover(&id, "b"));
    for _ in 0..200 {
        assert_eq!(client.ask(headers::recover(&made_up_id(), "a")), no_such_file);
    }
    // The nearest guess of all: one digit off.
    let last = if id.ends_with('0') { '1' } else { '0' };
    let near = format!("{}{last}", &id[..35]);
    assert_eq!(client.ask(headers::recover(&near, "a")), no_such_file);
    server.is_unharmed();
}

#[test]
fn row_35_limits_and_starts_of_a_list_past_their_bounds_are_campo_invalido() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    for limit in ["0", "1001", "-1", ""] {
        answer::refused_field(&client.ask(headers::list(&id, limit, "")), "limite");
    }
    answer::refused_field(&client.ask(headers::list(&id, 1, &"a".repeat(1025))), "apos");
    for (limit, after) in [(1, ""), (1000, ""), (1, &*"a".repeat(1024))] {
        let line = client.ask(headers::list(&id, limit, after));
        assert_eq!(line, "resultado:1|itens:0|mais:0");
    }
    server.has_stored_nothing();
}
