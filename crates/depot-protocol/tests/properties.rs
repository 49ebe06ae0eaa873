//! What holds for every value: round trips, indifference to how bytes are cut, no panic.

use bytes::{BufMut, BytesMut};
use depot_protocol::{
    Announced, Answer, AnswerHead, ClientCodec, ClientId, Deposit, Digest, ErrorCode, Expecting,
    FileInfo, FileName, FileSize, Incoming, LINE_MAX, ListCursor, ListItem, ListLimit, Prepare,
    Recover, Refusal, ReplicaCount, Reply, Request, ServerCodec, ServerName, ServerState,
    UtcSeconds, encode_hash_line,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};
use tokio_util::codec::{Decoder, Encoder};

fn client() -> impl Strategy<Value = ClientId> {
    any::<[u8; 16]>().prop_map(ClientId::from_random)
}

fn name() -> impl Strategy<Value = FileName> {
    let text = prop_oneof!["[^/|]{1,8}(/[^/]{1,8}){0,3}", "\\PC{1,40}", "[a-z_.:|]{1,1024}"];
    text.prop_filter_map("a name with a rule", |text| FileName::parse(&text).ok())
}

fn replicas() -> impl Strategy<Value = ReplicaCount> {
    any::<u8>().prop_map(ReplicaCount::new)
}

fn size() -> impl Strategy<Value = FileSize> {
    prop_oneof![0..4u64, any::<u64>()].prop_filter_map("at most 2^63 - 1", FileSize::new)
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn announced() -> impl Strategy<Value = Announced> {
    option::of(digest()).prop_map(|known| known.map_or(Announced::Last, Announced::Known))
}

fn moment() -> impl Strategy<Value = UtcSeconds> {
    (0..=UtcSeconds::MAX.get()).prop_map(UtcSeconds::new)
}

fn deposit(size: impl Strategy<Value = FileSize>) -> impl Strategy<Value = Deposit> {
    let offset = option::of(any::<u64>());
    (client(), replicas(), size, announced(), offset, name()).prop_map(
        |(client, replicas, size, hash, offset, name)| {
            let offset = offset.map(|offset| offset.min(size.get()));
            Deposit { client, replicas, size, hash, offset, name }
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let after = "\\PC{0,40}".prop_filter_map("a cursor", |text| ListCursor::parse(&text).ok());
    let limit = (1..=1000u16).prop_filter_map("a limit", ListLimit::new);
    prop_oneof![
        Just(Request::FirstConnection),
        client().prop_map(|client| Request::Reconnection { client }),
        deposit(size()).prop_map(Request::Deposit),
        deposit(size()).prop_map(|d| Request::Prepare(Prepare {
            client: d.client,
            replicas: d.replicas,
            size: d.size,
            hash: d.hash,
            name: d.name,
        })),
        (client(), option::of(any::<u64>()), name())
            .prop_map(|(client, offset, name)| Request::Recover(Recover { client, offset, name })),
        (client(), name()).prop_map(|(client, name)| Request::Stat { client, name }),
        (client(), limit, after).prop_map(|(client, limit, after)| Request::List {
            client,
            limit,
            after
        }),
        (client(), replicas(), name()).prop_map(|(client, replicas, name)| {
            Request::SetReplicas { client, replicas, name }
        }),
        (client(), name()).prop_map(|(client, name)| Request::Remove { client, name }),
        client().prop_map(|client| Request::State { client }),
        Just(Request::End),
    ]
}

fn info() -> impl Strategy<Value = FileInfo> {
    (replicas(), any::<u8>(), size(), digest(), moment()).prop_map(
        |(replicas, copies, size, hash, deposited)| FileInfo {
            replicas,
            copies,
            size,
            hash,
            deposited,
        },
    )
}

fn refusal() -> impl Strategy<Value = Refusal> {
    (0..ErrorCode::ALL.len(), any::<String>())
        .prop_map(|(code, message)| Refusal::new(ErrorCode::ALL[code], message))
}

fn server() -> impl Strategy<Value = ServerState> {
    ("[a-z0-9.-]{1,63}", "[a-z0-9.:\\[\\]-]{1,60}", any::<bool>()).prop_map(
        |(name, address, active)| ServerState {
            name: ServerName::parse(&name).expect("a good name"),
            address,
            active,
        },
    )
}

fn answer() -> impl Strategy<Value = (Answer, Expecting)> {
    let items = btree_map(name(), info(), 0..6).prop_map(|files| {
        files.into_iter().map(|(name, info)| ListItem { info, name }).collect::<Vec<_>>()
    });
    prop_oneof![
        client().prop_map(|client| (Answer::Connected { client }, Expecting::Connected)),
        (replicas(), any::<u8>(), digest()).prop_map(|(replicas, copies, hash)| (
            Answer::Deposited { replicas, copies, hash },
            Expecting::Deposited
        )),
        (size(), digest()).prop_map(|(offset, partial)| (
            Answer::Prepared { offset: offset.get(), partial },
            Expecting::Prepared
        )),
        (size(), digest(), any::<bool>()).prop_map(|(size, hash, local)| (
            Answer::Recovering { size, hash, local },
            Expecting::Recovering { offset: size.get() }
        )),
        (info(), any::<bool>())
            .prop_map(|(info, local)| (Answer::Stat { info, local }, Expecting::Stat)),
        (items, any::<bool>(), any::<bool>()).prop_map(|(items, more, local)| (
            Answer::List { items, more, local },
            Expecting::List
        )),
        (replicas(), any::<u8>()).prop_map(|(replicas, copies)| (
            Answer::ReplicasSet { replicas, copies },
            Expecting::ReplicasSet
        )),
        Just((Answer::Removed, Expecting::Removed)),
        vec(server(), 0..6).prop_map(|servers| (Answer::State { servers }, Expecting::State)),
        Just((Answer::Ended, Expecting::Ended)),
        refusal().prop_map(|refusal| (Answer::Refused(refusal), Expecting::List)),
    ]
}

/// One thing that a client may send, good or bad, as bytes.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let small = (0..40u64).prop_filter_map("small", FileSize::new);
    let payload = vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b':')], 40);
    let whole = (deposit(small), payload, digest(), any::<bool>()).prop_map(
        |(deposit, payload, hash, bad_name)| {
            let mut bytes = BytesMut::new();
            let length = usize::try_from(deposit.payload_len()).expect("small");
            let last = deposit.hash.is_last();
            let mut line = Request::Deposit(deposit).render();
            if bad_name {
                line.push_str("//x");
            }
            bytes.put_slice(line.as_bytes());
            bytes.put_u8(b'\n');
            bytes.put_slice(&payload[..length]);
            if last {
                encode_hash_line(&hash, &mut bytes);
            }
            bytes.to_vec()
        },
    );
    let bad = prop_oneof![
        Just("comando:voar"),
        Just("cor:azul"),
        Just("id_cliente:x|nome_arquivo:a"),
        Just("comando:encerrar|x:1"),
        Just("id_cliente:\r"),
    ];
    prop_oneof![
        4 => request().prop_map(|request| (request.render() + "\n").into_bytes()),
        4 => whole,
        2 => bad.prop_map(|line| format!("{line}\r\n").into_bytes()),
        1 => vec(any::<u8>(), 0..30),
        1 => "[a-z_:|]{0,30}\n?".prop_map(String::into_bytes),
        1 => (4080..4100usize).prop_map(|length| vec![b'a'; length]),
    ]
}

fn script() -> impl Strategy<Value = Vec<u8>> {
    vec(piece(), 0..8).prop_map(|pieces| pieces.concat())
}

/// The script in pieces cut after each of these lengths, then the rest.
fn cut<'a>(script: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = script;
    let mut pieces = Vec::new();
    for &length in lengths {
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

/// All that a server hears of these pieces, payload joined. It refuses a deposit of an odd size.
fn heard(pieces: &[&[u8]]) -> Vec<Incoming> {
    let mut codec = ServerCodec::new();
    let mut buf = BytesMut::new();
    let mut all = Vec::new();
    for piece in pieces {
        buf.put_slice(piece);
        while let Some(incoming) = codec.decode(&mut buf).expect("decoding does not fail") {
            hear(&mut codec, &mut all, incoming);
        }
        assert!(buf.len() < LINE_MAX, "{} bytes are left over", buf.len());
    }
    while let Some(incoming) = codec.decode_eof(&mut buf).expect("decoding does not fail") {
        hear(&mut codec, &mut all, incoming);
    }
    assert!(buf.is_empty());
    all
}

fn hear(codec: &mut ServerCodec, all: &mut Vec<Incoming>, incoming: Incoming) {
    match (all.last_mut(), incoming) {
        (Some(Incoming::Payload(before)), Incoming::Payload(chunk)) => {
            assert!(!chunk.is_empty());
            *before = [&before[..], &chunk[..]].concat().into();
        }
        (_, incoming) => {
            let refused = match &incoming {
                Incoming::Request(Request::Deposit(deposit)) => deposit.size.get() % 2 == 1,
                Incoming::BadHead(_) => true,
                _ => false,
            };
            if refused {
                codec.skip();
            }
            all.push(incoming);
        }
    }
}

/// All that a client hears, payload joined, and how it ended.
fn answered(expected: &[Expecting], pieces: &[&[u8]]) -> (Vec<Reply>, Option<std::io::ErrorKind>) {
    let mut codec = ClientCodec::new();
    for &expecting in expected {
        codec.expect(expecting).expect("few are expected");
    }
    let mut buf = BytesMut::new();
    let mut all: Vec<Reply> = Vec::new();
    let mut step = |reply: Reply| match (all.last_mut(), reply) {
        (Some(Reply::Payload(before)), Reply::Payload(chunk)) => {
            *before = [&before[..], &chunk[..]].concat().into();
        }
        (_, reply) => all.push(reply),
    };
    for piece in pieces {
        buf.put_slice(piece);
        loop {
            match codec.decode(&mut buf) {
                Ok(Some(reply)) => step(reply),
                Ok(None) => break,
                Err(error) => return (all, Some(error.kind())),
            }
        }
    }
    loop {
        match codec.decode_eof(&mut buf) {
            Ok(Some(reply)) => step(reply),
            Ok(None) => return (all, None),
            Err(error) => return (all, Some(error.kind())),
        }
    }
}

/// A line made of what lines are made of, rightly and wrongly.
fn almost_a_line() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just("id_cliente"),
        Just("qtd_replicas"),
        Just("tamanho_arquivo"),
        Just("hash_arquivo"),
        Just("nome_arquivo"),
        Just("deslocamento"),
        Just("comando"),
        Just("resultado"),
        Just("erro"),
        Just("mensagem"),
        Just("itens"),
        Just("mais"),
        Just("copias"),
        Just(":"),
        Just(":"),
        Just("|"),
        Just("|"),
        Just("1"),
        Just("depois"),
        Just("listar"),
        Just("é"),
        Just("\r"),
        Just("0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f80"),
        Just("leitura"),
        Just("local"),
    ];
    vec(token, 0..30).prop_map(|tokens| tokens.concat().into_bytes())
}

const EXPECTING: [Expecting; 10] = [
    Expecting::Connected,
    Expecting::Deposited,
    Expecting::Prepared,
    Expecting::Recovering { offset: 3 },
    Expecting::Stat,
    Expecting::List,
    Expecting::ReplicasSet,
    Expecting::Removed,
    Expecting::State,
    Expecting::Ended,
];

proptest! {
    #[test]
    fn every_request_comes_back(request in request()) {
        let line = request.render();
        prop_assert!(line.len() < LINE_MAX);
        prop_assert_eq!(Request::parse(line.as_bytes()), Ok(request));
    }

    #[test]
    fn every_answer_comes_back((answer, expecting) in answer(), lengths in vec(1..200usize, 0..20)) {
        let mut bytes = BytesMut::new();
        ServerCodec::new().encode(&answer, &mut bytes)?;
        prop_assert!(bytes[..].split(|&byte| byte == b'\n').all(|line| line.len() < LINE_MAX));
        let (replies, error) = answered(&[expecting], &cut(&bytes, &lengths));
        prop_assert_eq!(error, None);
        let wanted = match answer {
            Answer::Recovering { size, hash, local } => {
                vec![Reply::RecoverHead { size, hash, local }, Reply::PayloadEnd]
            }
            answer => vec![Reply::Answer(answer)],
        };
        prop_assert_eq!(replies, wanted);
    }

    #[test]
    fn a_server_hears_the_same_however_it_is_cut(
        script in script(),
        lengths in vec(prop_oneof![1..4usize, 1..200usize], 0..200),
    ) {
        let whole = heard(&[&script]);
        prop_assert_eq!(&heard(&cut(&script, &lengths)), &whole);
        prop_assert_eq!(&heard(&script.chunks(1).collect::<Vec<_>>()), &whole);
    }

    #[test]
    fn a_client_hears_the_same_however_it_is_cut(
        answers in vec(answer(), 0..5),
        garbage in vec(any::<u8>(), 0..40),
        lengths in vec(1..100usize, 0..100),
    ) {
        let mut bytes = BytesMut::new();
        let mut expected = Vec::new();
        for (answer, expecting) in answers {
            answer.encode(&mut bytes);
            expected.push(match expecting {
                Expecting::Recovering { offset } => {
                    let payload = offset.min(5);
                    bytes.put_slice(&b"hello"[..usize::try_from(payload).expect("small")]);
                    Expecting::Recovering { offset: offset - payload }
                }
                other => other,
            });
        }
        bytes.put_slice(&garbage);
        let whole = answered(&expected, &[&bytes]);
        prop_assert_eq!(&answered(&expected, &cut(&bytes, &lengths)), &whole);
        prop_assert_eq!(&answered(&expected, &bytes.chunks(1).collect::<Vec<_>>()), &whole);
    }

    #[test]
    fn no_bytes_make_it_panic(
        line in prop_oneof![vec(any::<u8>(), 0..5000), almost_a_line()],
    ) {
        let _ = Request::parse(&line);
        for expecting in EXPECTING {
            let _ = AnswerHead::parse(&line, expecting);
        }
        let _ = ListItem::parse(&line);
        let _ = ServerState::parse(&line);
        heard(&[&line]);
        answered(&EXPECTING, &[&line, b"\n"]);
    }

    #[test]
    fn a_refused_line_is_told_in_a_line_that_fits(line in almost_a_line()) {
        if let Err(bad) = Request::parse(&line) {
            let told = bad.refusal.render();
            prop_assert!(told.len() < LINE_MAX && !told.contains(char::is_control));
        }
    }

    #[test]
    fn what_is_read_is_written_the_same(line in almost_a_line()) {
        if let Ok(request) = Request::parse(&line) {
            prop_assert_eq!(request.render().to_lowercase().into_bytes(), line.to_ascii_lowercase());
        }
    }

    #[test]
    fn values_come_back(
        id in client(), hash in digest(), moment in moment(), bytes in any::<u64>(),
    ) {
        prop_assert_eq!(ClientId::parse(&id.to_string()), Ok(id));
        prop_assert_eq!(Digest::parse(&hash.to_string().to_uppercase()), Ok(hash));
        prop_assert_eq!(UtcSeconds::parse(&moment.to_string()), Ok(moment));
        let size = FileSize::parse(&bytes.to_string()).ok();
        prop_assert_eq!(size, FileSize::new(bytes));
    }
}
