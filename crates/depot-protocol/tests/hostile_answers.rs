//! The client's codec against servers that are newer, broken or hostile.

use std::io;

use bytes::{BufMut, BytesMut};
use depot_protocol::{
    Answer, ClientCodec, ErrorCode, Expecting, LIST_MAX, PIPELINE_MAX, PipelineFull, Refusal,
    Reply, SERVERS_MAX,
};
use tokio_util::codec::Decoder;

const ID: &str = "0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f80";
const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const INFO: &str = "qtd_replicas:1|copias:1|tamanho_arquivo:5|hash_arquivo:HASH\
                    |depositado:2026-11-23T02:10:00Z";

fn codec(expected: &[Expecting]) -> ClientCodec {
    let mut codec = ClientCodec::new();
    for &expecting in expected {
        codec.expect(expecting).expect("few are expected");
    }
    codec
}

fn hears(expecting: Expecting, lines: &str) -> io::Result<Option<Reply>> {
    let lines = lines.replace("INFO", INFO).replace("HASH", HASH).replace("ID", ID);
    codec(&[expecting]).decode(&mut BytesMut::from(lines.as_str()))
}

fn good(expecting: Expecting, lines: &str) -> Reply {
    hears(expecting, lines).expect(lines).expect("a whole answer")
}

fn bad(expecting: Expecting, lines: &str) {
    let error = hears(expecting, lines).expect_err(lines);
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{lines}");
}

#[test]
fn new_fields_are_ignored_where_they_may_stand() {
    assert_eq!(
        good(Expecting::ReplicasSet, "resultado:1|qtd_replicas:2|copias:1|cor:azul|cor:x\n"),
        good(Expecting::ReplicasSet, "resultado:1|qtd_replicas:2|copias:1\n"),
    );
    let local = good(Expecting::Stat, "resultado:1|INFO|cor:azul|leitura:local|z:\n");
    assert!(matches!(local, Reply::Answer(Answer::Stat { local: true, .. })));
    assert_eq!(
        good(Expecting::List, "resultado:1|itens:1|mais:0|x:\nINFO|cor:azul|nome_arquivo:a|b\n"),
        good(Expecting::List, "resultado:1|itens:1|mais:0\nINFO|nome_arquivo:a|b\n"),
    );
    assert_eq!(
        good(
            Expecting::State,
            "resultado:1|versao:1|itens:1|x:1\nservidor:a|endereco:h:1|ativo:1|zona:z\n"
        ),
        good(Expecting::State, "resultado:1|versao:1|itens:1\nservidor:a|endereco:h:1|ativo:1\n"),
    );
    assert_eq!(
        good(Expecting::Stat, "resultado:0|erro:sem_quorum|depois_de:5|mensagem:later\n"),
        Reply::Answer(Answer::Refused(Refusal::new(ErrorCode::NoQuorum, "later"))),
    );
    assert_eq!(good(Expecting::Removed, "resultado:1\r\n"), Reply::Answer(Answer::Removed));
}

#[test]
fn what_is_known_must_be_right_and_in_its_place() {
    for line in [
        "\n",
        "resultado:2\n",
        "resultado:\n",
        "Resultado:1\n",
        "HTTP/1.1 400 Bad Request\r\n",
        "resultado:1|copias:1|qtd_replicas:2\n",
        "resultado:1|cor:azul|qtd_replicas:2|copias:1\n",
        "resultado:1|qtd_replicas:2\n",
        "resultado:1|qtd_replicas:256|copias:1\n",
        "resultado:1|qtd_replicas:2|copias:-1\n",
        "resultado:1|qtd_replicas:2|copias:1|copias:1\n",
        "resultado:1|id_cliente:ID\n",
        "resultado:0|erro:sem_nada|mensagem:x\n",
        "resultado:0|mensagem:x\n",
        "resultado:0|erro:interno\n",
    ] {
        bad(Expecting::ReplicasSet, line);
    }
    bad(Expecting::Connected, "resultado:1|id_cliente:00000000-0000-0000-0000-000000000000\n");
    bad(Expecting::Stat, "resultado:1|INFO|leitura:global\n");
    bad(Expecting::Stat, "resultado:1|INFO|leitura:local|leitura:local\n");
    bad(Expecting::List, "resultado:1|itens:1|mais:0\nINFO|nome_arquivo:../x\n");
    bad(Expecting::List, "resultado:1|itens:1|mais:2\n");
    bad(Expecting::State, "resultado:1|versao:2|itens:0\n");
    bad(Expecting::State, "resultado:1|versao:1|itens:1\nservidor:A|endereco:h:1|ativo:1\n");
    bad(Expecting::State, "resultado:1|versao:1|itens:1\nservidor:a|endereco:\x1b[m|ativo:1\n");
    bad(Expecting::State, "resultado:1|versao:1|itens:1\nservidor:a|endereco:|ativo:1\n");
    bad(Expecting::Prepared, "resultado:1|deslocamento:9223372036854775808|hash_parcial:HASH\n");
    bad(Expecting::Recovering { offset: 6 }, "resultado:1|tamanho_arquivo:5|hash_arquivo:HASH\n");
}

#[test]
fn a_hostile_message_is_made_harmless() {
    let line = format!("resultado:0|erro:interno|mensagem:\x1b[31m{}\n", "m".repeat(4000));
    let Reply::Answer(Answer::Refused(refusal)) = good(Expecting::Stat, &line) else { panic!() };
    assert!(refusal.message.starts_with(" [31mmm") && refusal.message.len() == 1024);
}

#[test]
fn counts_and_lines_are_bounded() {
    bad(Expecting::List, &format!("resultado:1|itens:{}|mais:0\n", LIST_MAX + 1));
    bad(Expecting::List, "resultado:1|itens:18446744073709551617|mais:0\n");
    bad(Expecting::State, &format!("resultado:1|versao:1|itens:{}\n", SERVERS_MAX + 1));
    bad(Expecting::Removed, &"resultado:1|x:".repeat(400));
    assert!(matches!(hears(Expecting::Removed, &"r".repeat(4095)), Ok(None)));
    bad(Expecting::Removed, &"r".repeat(4096));
}

#[test]
fn a_list_out_of_order_is_refused() {
    for (first, second) in [("b", "a"), ("a", "a")] {
        bad(
            Expecting::List,
            &format!(
                "resultado:1|itens:2|mais:0\nINFO|nome_arquivo:{first}\nINFO|nome_arquivo:{second}\n"
            ),
        );
    }
}

#[test]
fn too_much_to_send_is_cut_to_the_limits() {
    let Reply::Answer(Answer::List { mut items, .. }) =
        good(Expecting::List, "resultado:1|itens:1|mais:0\nINFO|nome_arquivo:a\n")
    else {
        panic!()
    };
    let item = items.remove(0);
    let many = |count| {
        (0..count).map(|n| {
            let name = format!("{n:05}");
            depot_protocol::ListItem {
                name: depot_protocol::FileName::parse(&name).expect("a good name"),
                ..item.clone()
            }
        })
    };
    for (count, more) in [(LIST_MAX, false), (LIST_MAX + 1, true)] {
        let mut bytes = BytesMut::new();
        let items = many(count).collect();
        Answer::List { items, more: false, local: false }.encode(&mut bytes);
        let reply = codec(&[Expecting::List]).decode(&mut bytes).expect("a good answer");
        let items = many(LIST_MAX).collect();
        assert_eq!(reply, Some(Reply::Answer(Answer::List { items, more, local: false })));
    }
}

#[test]
fn a_recovered_file_comes_as_it_comes() {
    let mut codec = codec(&[Expecting::Recovering { offset: 2 }, Expecting::Removed]);
    let mut buf =
        BytesMut::from(format!("resultado:1|tamanho_arquivo:5|hash_arquivo:{HASH}\nl").as_str());
    let mut next = |buf: &mut BytesMut| codec.decode(buf).expect("a good answer");
    assert!(matches!(next(&mut buf), Some(Reply::RecoverHead { size, local: false, .. })
        if size.get() == 5));
    assert_eq!(next(&mut buf), Some(Reply::Payload("l".into())));
    assert_eq!(next(&mut buf), None);
    buf.put_slice(b"loresultado:1\n");
    assert_eq!(next(&mut buf), Some(Reply::Payload("lo".into())));
    assert_eq!(next(&mut buf), Some(Reply::PayloadEnd));
    assert_eq!(next(&mut buf), Some(Reply::Answer(Answer::Removed)));
    assert_eq!(next(&mut buf), None);
}

#[test]
fn an_end_inside_an_answer_is_an_error_and_one_between_two_is_not() {
    for lines in [
        "resultado",
        "resultado:1|tamanho_arquivo:5|hash_arquivo:HASH\nhell",
        "resultado:1|tamanho_arquivo:5|hash_arquivo:HASH\n",
    ] {
        let mut codec = codec(&[Expecting::Recovering { offset: 0 }]);
        let mut buf = BytesMut::from(lines.replace("HASH", HASH).as_str());
        let error = loop {
            match codec.decode_eof(&mut buf) {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{lines} ended cleanly"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
    let mut list = codec(&[Expecting::List]);
    let mut buf = BytesMut::from("resultado:1|itens:1|mais:0\n");
    assert!(list.decode_eof(&mut buf).is_err());

    let mut codec = codec(&[Expecting::Removed, Expecting::Removed]);
    let mut buf = BytesMut::from("resultado:1\n");
    assert!(matches!(codec.decode_eof(&mut buf), Ok(Some(_))));
    assert!(matches!(codec.decode_eof(&mut buf), Ok(None)));
    assert_eq!(codec.outstanding(), 1);
}

#[test]
fn a_refusal_may_come_unasked_and_nothing_else() {
    let mut buf = BytesMut::from("resultado:0|erro:limite_excedido|mensagem:try later\n");
    let reply = ClientCodec::new().decode(&mut buf).expect("a good answer");
    assert!(matches!(reply, Some(Reply::Answer(Answer::Refused(_)))));
    let mut buf = BytesMut::from("resultado:1\n");
    assert!(ClientCodec::new().decode(&mut buf).is_err());
}

#[test]
fn what_is_expected_is_bounded() {
    let mut codec = codec(&[Expecting::Removed; PIPELINE_MAX]);
    assert_eq!(codec.expect(Expecting::Removed), Err(PipelineFull));
    assert!(codec.decode(&mut BytesMut::from("resultado:1\n")).is_ok());
    assert_eq!(codec.expect(Expecting::Removed), Ok(()));
}
