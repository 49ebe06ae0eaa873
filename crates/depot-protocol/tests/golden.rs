//! Every request, answer and error, byte for byte as PROTOCOL.md writes it.

use bytes::BytesMut;
use depot_protocol::{
    Announced, Answer, ClientCodec, ClientId, Deposit, Digest, ErrorCode, Expecting, FileInfo,
    FileName, FileSize, ListCursor, ListItem, ListLimit, Prepare, Recover, Refusal, ReplicaCount,
    Reply, Request, ServerCodec, ServerName, ServerState, UtcSeconds, encode_hash_line,
};
use tokio_util::codec::{Decoder, Encoder};

const ID: &str = "0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f80";
const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn client() -> ClientId {
    ClientId::parse(ID).expect("a good id")
}

fn name(text: &str) -> FileName {
    FileName::parse(text).expect("a good name")
}

fn hash() -> Digest {
    Digest::parse(HASH).expect("a good hash")
}

fn size(bytes: u64) -> FileSize {
    FileSize::new(bytes).expect("a good size")
}

fn info() -> FileInfo {
    FileInfo {
        replicas: ReplicaCount::new(2),
        copies: 1,
        size: size(5),
        hash: hash(),
        deposited: UtcSeconds::parse("2026-11-23T02:10:00Z").expect("a moment"),
    }
}

/// Writes to this line, and is read from it.
fn request(request: &Request, line: &str) {
    let line = line.replace("ID", ID).replace("HASH", HASH);
    assert_eq!(request.render(), line);
    assert_eq!(Request::parse(line.as_bytes()).as_ref(), Ok(request));
    let mut bytes = BytesMut::new();
    ClientCodec::new().encode(request, &mut bytes).expect("encoding never fails");
    assert_eq!(bytes, format!("{line}\n").as_bytes());
}

/// Writes to these lines, and is read from them.
fn answer(answer: &Answer, expecting: Expecting, lines: &str) {
    let lines = lines.replace("ID", ID).replace("HASH", HASH);
    let mut bytes = BytesMut::new();
    ServerCodec::new().encode(answer, &mut bytes).expect("encoding never fails");
    assert_eq!(str::from_utf8(&bytes), Ok(lines.as_str()));
    let mut codec = ClientCodec::new();
    codec.expect(expecting).expect("the first");
    let reply = codec.decode(&mut bytes).expect("a good answer").expect("a whole answer");
    match (reply, answer) {
        (
            Reply::RecoverHead { size, hash, local },
            Answer::Recovering { size: s, hash: h, local: l },
        ) => assert_eq!((&size, &hash, &local), (s, h, l)),
        (reply, answer) => assert_eq!(reply, Reply::Answer(answer.clone())),
    }
    assert!(bytes.is_empty());
}

#[test]
fn connections() {
    request(&Request::FirstConnection, "id_cliente:");
    request(&Request::Reconnection { client: client() }, "id_cliente:ID");
    answer(
        &Answer::Connected { client: client() },
        Expecting::Connected,
        "resultado:1|id_cliente:ID\n",
    );
}

#[test]
fn deposits() {
    let plain = Deposit {
        client: client(),
        replicas: ReplicaCount::new(2),
        size: size(5),
        hash: Announced::Known(hash()),
        offset: None,
        name: name("notes/a.txt"),
    };
    let start = "id_cliente:ID|qtd_replicas:2|tamanho_arquivo:5|hash_arquivo";
    request(&Request::Deposit(plain.clone()), &format!("{start}:HASH|nome_arquivo:notes/a.txt"));
    request(
        &Request::Deposit(Deposit { offset: Some(0), ..plain.clone() }),
        &format!("{start}:HASH|deslocamento:0|nome_arquivo:notes/a.txt"),
    );
    request(
        &Request::Deposit(Deposit { offset: Some(5), ..plain.clone() }),
        &format!("{start}:HASH|deslocamento:5|nome_arquivo:notes/a.txt"),
    );
    request(
        &Request::Deposit(Deposit { hash: Announced::Last, offset: Some(3), ..plain.clone() }),
        &format!("{start}:depois|deslocamento:3|nome_arquivo:notes/a.txt"),
    );
    request(
        &Request::Deposit(Deposit { name: name("x|deslocamento:9|nome_arquivo:y"), ..plain }),
        &format!("{start}:HASH|nome_arquivo:x|deslocamento:9|nome_arquivo:y"),
    );
    answer(
        &Answer::Deposited { replicas: ReplicaCount::new(2), copies: 1, hash: hash() },
        Expecting::Deposited,
        "resultado:1|qtd_replicas:2|copias:1|hash_arquivo:HASH\n",
    );
}

#[test]
fn hash_line() {
    let mut bytes = BytesMut::new();
    encode_hash_line(&hash(), &mut bytes);
    assert_eq!(bytes, format!("hash_arquivo:{HASH}\n").as_bytes());
}

#[test]
fn prepare() {
    let known = Prepare {
        client: client(),
        replicas: ReplicaCount::new(255),
        size: size(9_223_372_036_854_775_807),
        hash: Announced::Known(hash()),
        name: name("a"),
    };
    let start = "comando:preparar|id_cliente:ID|qtd_replicas:255|tamanho_arquivo:\
                 9223372036854775807|hash_arquivo";
    request(&Request::Prepare(known.clone()), &format!("{start}:HASH|nome_arquivo:a"));
    request(
        &Request::Prepare(Prepare { hash: Announced::Last, ..known }),
        &format!("{start}:depois|nome_arquivo:a"),
    );
    answer(
        &Answer::Prepared { offset: 0, partial: Digest::EMPTY },
        Expecting::Prepared,
        "resultado:1|deslocamento:0|hash_parcial:\
         e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
    );
}

#[test]
fn recover() {
    let whole = Recover { client: client(), offset: None, name: name("a b") };
    request(&Request::Recover(whole.clone()), "id_cliente:ID|nome_arquivo:a b");
    request(
        &Request::Recover(Recover { offset: Some(3), ..whole }),
        "id_cliente:ID|deslocamento:3|nome_arquivo:a b",
    );
    for (local, end) in [(false, ""), (true, "|leitura:local")] {
        answer(
            &Answer::Recovering { size: size(5), hash: hash(), local },
            Expecting::Recovering { offset: 3 },
            &format!("resultado:1|tamanho_arquivo:5|hash_arquivo:HASH{end}\n"),
        );
    }
}

#[test]
fn stat() {
    request(
        &Request::Stat { client: client(), name: name("a") },
        "comando:consultar|id_cliente:ID|nome_arquivo:a",
    );
    for (local, end) in [(false, ""), (true, "|leitura:local")] {
        answer(
            &Answer::Stat { info: info(), local },
            Expecting::Stat,
            &format!(
                "resultado:1|qtd_replicas:2|copias:1|tamanho_arquivo:5|hash_arquivo:HASH\
                 |depositado:2026-11-23T02:10:00Z{end}\n"
            ),
        );
    }
}

#[test]
fn list() {
    let list = |limit, after: &str| Request::List {
        client: client(),
        limit: ListLimit::new(limit).expect("a good limit"),
        after: ListCursor::parse(after).expect("a good cursor"),
    };
    request(&list(1000, ""), "comando:listar|id_cliente:ID|limite:1000|apos:");
    request(&list(1, "../x|y:z"), "comando:listar|id_cliente:ID|limite:1|apos:../x|y:z");
    answer(
        &Answer::List { items: Vec::new(), more: false, local: false },
        Expecting::List,
        "resultado:1|itens:0|mais:0\n",
    );
    let item = |text| ListItem { info: info(), name: name(text) };
    let line = "qtd_replicas:2|copias:1|tamanho_arquivo:5|hash_arquivo:HASH\
                |depositado:2026-11-23T02:10:00Z|nome_arquivo:";
    answer(
        &Answer::List { items: vec![item("A"), item("a|b")], more: true, local: true },
        Expecting::List,
        &format!("resultado:1|itens:2|mais:1|leitura:local\n{line}A\n{line}a|b\n"),
    );
}

#[test]
fn change_replicas_and_remove() {
    request(
        &Request::SetReplicas { client: client(), replicas: ReplicaCount::new(0), name: name("a") },
        "comando:replicas|id_cliente:ID|qtd_replicas:0|nome_arquivo:a",
    );
    answer(
        &Answer::ReplicasSet { replicas: ReplicaCount::new(0), copies: 2 },
        Expecting::ReplicasSet,
        "resultado:1|qtd_replicas:0|copias:2\n",
    );
    request(
        &Request::Remove { client: client(), name: name("a") },
        "comando:remover|id_cliente:ID|nome_arquivo:a",
    );
    answer(&Answer::Removed, Expecting::Removed, "resultado:1\n");
}

#[test]
fn cluster_state_and_end() {
    request(&Request::State { client: client() }, "comando:estado|id_cliente:ID");
    let server = |name: &str, address: &str, active| ServerState {
        name: ServerName::parse(name).expect("a good name"),
        address: address.to_owned(),
        active,
    };
    answer(
        &Answer::State {
            servers: vec![
                server("a", "127.0.0.1:7001", true),
                server("b-2.example", "[::1]:7002", false),
            ],
        },
        Expecting::State,
        "resultado:1|versao:1|itens:2\nservidor:a|endereco:127.0.0.1:7001|ativo:1\n\
         servidor:b-2.example|endereco:[::1]:7002|ativo:0\n",
    );
    request(&Request::End, "comando:encerrar");
    answer(&Answer::Ended, Expecting::Ended, "resultado:1\n");
}

#[test]
fn errors() {
    let codes = [
        (ErrorCode::HeaderInvalid, "cabecalho_invalido"),
        (ErrorCode::FieldInvalid, "campo_invalido"),
        (ErrorCode::NameInvalid, "nome_invalido"),
        (ErrorCode::NoSuchFile, "arquivo_inexistente"),
        (ErrorCode::CopyUnavailable, "copia_indisponivel"),
        (ErrorCode::ReplicasUnavailable, "replicas_indisponiveis"),
        (ErrorCode::OffsetInvalid, "deslocamento_invalido"),
        (ErrorCode::HashMismatch, "hash_divergente"),
        (ErrorCode::LimitExceeded, "limite_excedido"),
        (ErrorCode::NoSpace, "sem_espaco"),
        (ErrorCode::InsufficientCopies, "copias_insuficientes"),
        (ErrorCode::NoQuorum, "sem_quorum"),
        (ErrorCode::OutcomeUnknown, "resultado_desconhecido"),
        (ErrorCode::ServerUnavailable, "servidor_indisponivel"),
        (ErrorCode::MessageIncomplete, "mensagem_incompleta"),
        (ErrorCode::TimedOut, "tempo_esgotado"),
        (ErrorCode::ShuttingDown, "encerrando"),
        (ErrorCode::Internal, "interno"),
    ];
    assert_eq!(codes.map(|(code, _)| code), ErrorCode::ALL);
    for (code, text) in codes {
        assert_eq!(ErrorCode::parse(text), Some(code));
        assert_eq!(code.to_string(), text);
        answer(
            &Answer::Refused(Refusal::new(code, "a|b: say why")),
            Expecting::Stat,
            &format!("resultado:0|erro:{text}|mensagem:a|b: say why\n"),
        );
    }
}

#[test]
fn what_is_secret_or_strange_is_not_shown_by_debug() {
    let shown = format!("{:?}", Request::Stat { client: client(), name: name("a\u{202e}b\"") });
    assert!(!shown.contains("0b5c"), "{shown}");
    assert!(shown.is_ascii() && shown.contains("a\\u{202e}b\\\""), "{shown}");
    assert_eq!(client().to_string(), ID);
}

#[test]
fn random_ids_are_version_4_whatever_the_bytes() {
    for byte in [0, 0xff] {
        let id = ClientId::from_random([byte; 16]);
        let text = id.to_string();
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(matches!(text.as_bytes()[19], b'8'..=b'b'));
        assert_eq!(ClientId::parse(&text.to_uppercase()), Ok(id));
    }
}
