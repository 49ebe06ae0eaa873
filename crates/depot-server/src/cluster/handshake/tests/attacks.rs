//! Somebody who does not know the secret: what it can do, and what it learns.

use super::messages::{Hello, Introduction, MAGIC, NONCE, Opening, Verdict, encode};
use super::*;

/// What `a` says of itself to `b`.
pub(super) fn introduction() -> Introduction {
    Introduction {
        role: Class::Catalogue as u8,
        cluster: OURS,
        name: "a".into(),
        start: StartSeen { incarnation: 1, start: 5, process: 7 },
        expects: "b".into(),
        met: None,
    }
}

fn hello(nonce: u8) -> Vec<u8> {
    encode(&Hello { magic: MAGIC, version: VERSION, nonce: [nonce; NONCE] })
}

/// All that the taking end says to one who says this, up to its end.
async fn hears(frames: &[&[u8]]) -> (Vec<u8>, Result<Taken, NotTaken>) {
    let b = end("b");
    let (mut near, far) = duplex(64 << 10);
    for frame in frames {
        send(&mut near, frame).await;
    }
    near.shutdown().await.unwrap();
    let mut heard = Vec::new();
    let (read, taken) = tokio::join!(near.read_to_end(&mut heard), b.take(far));
    read.unwrap();
    (heard, taken)
}

#[tokio::test]
async fn who_does_not_know_the_secret_gets_a_nonce_and_nothing_else() {
    let hello = hello(1);
    let message = encode(&introduction());
    let wrong = Keys::new(OTHER_SECRET, []);
    // As good a proof as it can make: it knows the nonce that this end is going to draw.
    let nonce = [b'b'; NONCE];
    let opening = Opening { hello: &hello, nonce: &nonce };
    let prove = |keys: &Keys| keys.own().prove(&introduction().statement(&opening, &message));
    let frame = [&message[..], &prove(&wrong)].concat();
    let (heard, taken) = hears(&[&hello, &frame]).await;
    assert_eq!(heard, [&32_u32.to_le_bytes()[..], &nonce].concat());
    assert!(matches!(taken, Err(NotTaken::NotProven { cluster: OURS })), "{taken:?}");

    // The test is about the secret: with the right one it is taken.
    let right = prove(&Keys::new(SECRET, []));
    let (_, taken) = hears(&[&hello, &[&message[..], &right].concat()]).await;
    taken.unwrap();
}

#[tokio::test]
async fn garbage_is_closed_without_a_word() {
    let mut other_magic = hello(1);
    other_magic[0] ^= 1;
    let long = vec![0; MESSAGE_MAX + 1];
    let trailing = [&hello(1)[..], b"!"].concat();
    for frame in [b"".as_slice(), b"GET / HTTP/1.1", &other_magic, &trailing, &long] {
        let (heard, taken) = hears(&[frame]).await;
        assert_eq!(heard, b"");
        assert!(matches!(taken, Err(NotTaken::Garbage)), "{taken:?}");
    }
    for frame in [b"".as_slice(), b"short", &long[..MESSAGE_MAX]] {
        let (heard, taken) = hears(&[&hello(1), frame]).await;
        assert_eq!(heard.len(), 4 + NONCE);
        assert!(matches!(taken, Err(NotTaken::Garbage)), "{taken:?}");
    }
}

#[tokio::test]
async fn a_length_of_4_gib_is_no_frame() {
    for head in [u32::MAX, u32::MAX >> 1, 1 << 31 | 513] {
        let (mut near, far) = duplex(64);
        near.write_all(&head.to_le_bytes()).await.unwrap();
        let taken = end("b").take(far).await;
        assert!(matches!(taken, Err(NotTaken::Garbage)), "{taken:?}");
    }
}

#[tokio::test]
async fn a_half_frame_is_a_broken_handshake() {
    let (mut near, far) = duplex(64);
    near.write_all(&hello(1)[..20]).await.unwrap();
    drop(near);
    let taken = end("b").take(far).await;
    assert!(matches!(taken, Err(NotTaken::Garbage | NotTaken::Broken(_))), "{taken:?}");
}

/// What `a` says when it dials, answered by these frames: the first before, the other after its
/// introduction.
async fn dials(answers: [&[u8]; 2]) -> (Vec<u8>, Vec<u8>, Result<Proven, LinkError>) {
    let a = end("a");
    let (near, mut far) = duplex(64 << 10);
    let taking = async {
        let hello = receive(&mut far).await;
        send(&mut far, answers[0]).await;
        let introduction = receive(&mut far).await;
        send(&mut far, answers[1]).await;
        (hello, introduction)
    };
    let (proven, (hello, introduction)) = tokio::join!(a.dial(near, "b"), taking);
    (hello, introduction, proven)
}

#[tokio::test]
async fn what_a_dialling_end_said_cannot_be_said_again() {
    let nonce = [9; NONCE];
    let (hello, introduction, _) = dials([&nonce, b""]).await;
    // The nonce is another one.
    let (_, taken) = hears(&[&hello, &introduction]).await;
    assert!(matches!(taken, Err(NotTaken::NotProven { .. })), "{taken:?}");
    // With the nonce that the taking end is going to draw it would be taken.
    let (hello, introduction, _) = dials([&[b'b'; NONCE], b""]).await;
    hears(&[&hello, &introduction]).await.1.unwrap();
}

#[tokio::test]
async fn what_a_taking_end_said_cannot_be_said_again() {
    let a = end("a");
    let (mut near, far) = duplex(1024);
    let first = async {
        let key = Keys::new(SECRET, []);
        let hello = hello(1);
        send(&mut near, &hello).await;
        let nonce = receive(&mut near).await;
        let message = encode(&introduction());
        let opening = Opening { hello: &hello, nonce: &nonce };
        let proof = key.own().prove(&introduction().statement(&opening, &message));
        send(&mut near, &[&message[..], &proof].concat()).await;
        (nonce, receive(&mut near).await)
    };
    let b = end("b");
    let ((nonce, welcome), taken) = tokio::join!(first, b.take(far));
    taken.unwrap();
    // The hello's nonce is another one.
    let (_, _, proven) = dials([&nonce, &welcome]).await;
    assert!(matches!(proven, Err(LinkError::NotProven(_))), "{proven:?}");
    assert!(a.identity.starts.seen(&name("b")).is_none());
}

#[tokio::test]
async fn a_proof_cannot_be_sent_back() {
    let a = end("a");
    let (near, mut far) = duplex(1024);
    let reflecting = async {
        receive(&mut far).await;
        send(&mut far, &[9; NONCE]).await;
        let introduction = receive(&mut far).await;
        let (_, proof) = messages::split_proof(&introduction).unwrap();
        let welcome = encode(&Verdict::Welcome {
            cluster: OURS,
            name: "b".into(),
            start: StartSeen { incarnation: 1, start: 1, process: 7 },
            fingerprint: [0; 32],
            met: Some(StartSeen { incarnation: 9, start: 9, process: 7 }),
        });
        send(&mut far, &[&welcome[..], proof].concat()).await;
    };
    let (proven, ()) = tokio::join!(a.dial(near, "b"), reflecting);
    assert!(matches!(proven, Err(LinkError::NotProven(_))), "{proven:?}");
    assert!(a.identity.starts.fenced().borrow().is_none(), "nothing of it is believed");
}

#[tokio::test]
async fn a_connection_that_leads_back_to_who_dials_is_refused() {
    let (dialler, taker) = (end("a"), end("a").with(|end| end.entropy = end_entropy()));
    let (proven, taken) = meet(&dialler, &taker, "b").await;
    assert!(matches!(proven, Err(LinkError::Refused(_))), "{proven:?}");
    assert!(matches!(taken, Err(NotTaken::Refused { .. })), "{taken:?}");
}

fn end_entropy() -> Arc<dyn Entropy> {
    Arc::new(Counting(AtomicU8::new(200)))
}

#[tokio::test]
async fn no_byte_of_a_proven_message_can_be_changed() {
    let (hello, introduction, _) = dials([&[b'b'; NONCE], b""]).await;
    for (which, length) in [(0, hello.len()), (1, introduction.len())] {
        for at in 0..length {
            let mut said = [hello.clone(), introduction.clone()];
            said[which][at] ^= 1;
            let (heard, taken) = hears(&[&said[0], &said[1]]).await;
            assert!(taken.is_err(), "byte {at} of message {which}");
            assert!(heard.len() <= 4 + NONCE, "byte {at} of message {which}");
        }
    }
}

#[tokio::test]
async fn a_refusal_without_a_proof_is_not_believed() {
    let refusal = encode(&Verdict::Refused {
        cluster: OURS,
        name: "b".into(),
        why: "your disk was rolled back".into(),
        met: Some(StartSeen { incarnation: 9, start: 9, process: 7 }),
    });
    let (_, _, proven) = dials([&[9; NONCE], &[&refusal[..], &[0; 32]].concat()]).await;
    assert!(matches!(proven, Err(LinkError::NotProven(_))), "{proven:?}");
}

#[tokio::test]
async fn who_dials_something_else_says_nothing_of_itself() {
    let refusal = [&(1_u32 << 31 | 2).to_le_bytes()[..], b"no"].concat();
    for banner in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"\x03\0\0\0no!", &refusal] {
        let (near, mut far) = duplex(1024);
        far.write_all(banner).await.unwrap();
        let proven = end("a").dial(near, "b").await;
        assert!(matches!(proven, Err(LinkError::NotProven(_))), "{proven:?}");
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard.len(), 4 + hello(1).len());
    }
}
