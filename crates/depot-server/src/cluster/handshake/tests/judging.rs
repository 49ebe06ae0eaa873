//! Who is taken, and what the others are told.

use std::sync::atomic::Ordering;

use super::*;

/// What both ends say of a refusal: the same.
fn refusal(met: (Result<Proven, LinkError>, Result<Taken, NotTaken>)) -> String {
    let (Err(LinkError::Refused(told)), Err(NotTaken::Refused { why, .. })) = met else {
        panic!("both know that it was refused: {met:?}")
    };
    assert_eq!(told, why);
    why
}

#[tokio::test]
async fn each_learns_who_the_other_is() {
    let (a, b) = (end("a"), end("b"));
    let (proven, taken) = meet(&a, &b, "b").await;
    let start = StartSeen { incarnation: 1, start: 5, process: 7 };
    let fingerprint = b.members.fingerprint();
    assert_eq!(
        proven.unwrap(),
        Proven { name: name("b"), cluster: Some(OURS), start, fingerprint }
    );
    let taken = taken.unwrap();
    assert_eq!((taken.peer.name, taken.peer.incarnation), (Some(name("a")), 1));
    assert_eq!(taken.class, Class::Catalogue);
    assert_eq!(a.identity.starts.seen(&name("b")), Some(start));
    assert_eq!(b.identity.starts.seen(&name("a")), Some(start));
}

#[tokio::test]
async fn an_operator_is_taken_by_every_server_founded_or_not() {
    let operator = end("a").with(|end| end.class = Class::Operator);
    for cluster in [None, Some(OURS)] {
        let b = end("b").with(|end| end.identity.cluster = cluster);
        let (proven, taken) = meet(&operator, &b, "b").await;
        assert_eq!(proven.unwrap().cluster, cluster);
        assert_eq!(taken.unwrap().peer.name, None);
    }
}

#[tokio::test]
async fn a_server_that_waits_to_be_founded_takes_no_server() {
    let b = end("b").with(|end| end.identity.cluster = None);
    let why = refusal(meet(&end("a"), &b, "b").await);
    assert_eq!(why, "b waits to be founded or admitted");
}

#[tokio::test]
async fn another_cluster_is_refused_and_both_ids_are_named() {
    let a = end("a").with(|end| end.identity.cluster = Some([9; 16]));
    let why = refusal(meet(&a, &end("b"), "b").await);
    assert!(why.contains(&"09".repeat(16)) && why.contains(&"07".repeat(16)), "{why}");
}

#[tokio::test]
async fn who_wants_another_one_is_told_who_this_is() {
    let why = refusal(meet(&end("a"), &end("b"), "c").await);
    assert_eq!(why, "it wants c, and this is b");
}

#[tokio::test]
async fn a_name_that_is_not_in_the_list_is_refused() {
    let b = end("b").with(|end| {
        let mut settings = Settings::alone(0, "/".into());
        settings.server = name("b");
        settings.members[0].name = name("b");
        end.members = Members::of(&settings);
    });
    assert_eq!(refusal(meet(&end("a"), &b, "b").await), "b has no server \"a\" in its list");
}

#[tokio::test]
async fn a_second_server_under_the_own_name_is_refused() {
    let why = refusal(meet(&end("b"), &end("b"), "b").await);
    assert_eq!(why, "it runs under this server's own name, b");
}

#[tokio::test]
async fn another_version_is_refused_with_the_reason() {
    let b = end("b");
    let (mut near, far) = duplex(1024);
    let key = Keys::new(SECRET, []);
    let dialling = async {
        let hello = messages::Hello { magic: messages::MAGIC, version: 3, nonce: [1; 32] };
        let hello = messages::encode(&hello);
        send(&mut near, &hello).await;
        let nonce = receive(&mut near).await;
        let opening = messages::Opening { hello: &hello, nonce: &nonce };
        let introduction = attacks::introduction();
        let message = messages::encode(&introduction);
        let proof = key.own().prove(&introduction.statement(&opening, &message));
        send(&mut near, &[&message[..], &proof].concat()).await;
        receive(&mut near).await
    };
    let (answer, taken) = tokio::join!(dialling, b.take(far));
    let (message, _) = messages::split_proof(&answer).unwrap();
    let Some(messages::Verdict::Refused { why, .. }) = messages::decode(message) else {
        panic!("it is told")
    };
    assert_eq!(why, "it speaks version 3, b speaks version 1");
    assert!(matches!(taken, Err(NotTaken::Refused { .. })));
}

#[tokio::test]
async fn a_server_that_was_started_less_often_than_before_is_refused_and_stops() {
    let (a, b) = (end("a"), end("b"));
    meet(&a, &b, "b").await.0.unwrap();
    for older in [starts(1, 4), starts(0, 9)] {
        let rolled_back = end("a").with(|end| end.identity.starts = Arc::clone(&older));
        let why = refusal(meet(&rolled_back, &b, "b").await);
        assert!(why.starts_with("b has met start 5 of incarnation 1 of a"), "{why}");
        let fenced = older.fenced().borrow().clone().expect("it hears of it");
        assert!(fenced.starts_with("b has met start 5 of incarnation 1"), "{fenced}");
    }
    // Raised, or in a new life, it is taken.
    for newer in [starts(1, 6), starts(2, 0)] {
        let later = end("a").with(|end| end.identity.starts = newer);
        meet(&later, &b, "b").await.0.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_was_started_less_often_is_not_taken_for_a_peer_by_the_one_who_dials() {
    let (a, b) = (end("a"), end("b"));
    meet(&a, &b, "b").await.0.unwrap();
    let rolled_back = end("b").with(|end| end.identity.starts = starts(1, 4));
    let (proven, _) = meet(&a, &rolled_back, "b").await;
    let Err(LinkError::Refused(why)) = proven else { panic!("{proven:?}") };
    assert!(why.contains("start 4 of incarnation 1, and start 5 of incarnation 1"), "{why}");
    assert!(rolled_back.identity.starts.fenced().borrow().is_some(), "it was told, too");
}

#[tokio::test]
async fn a_number_that_is_overtaken_on_its_way_stops_nobody() {
    let start = Arc::new(AtomicU64::new(5));
    let kept = Arc::new(Nowhere);
    let own = Starts::load(1, Arc::clone(&start), 7, kept, Arc::new(Inline)).unwrap();
    start.store(6, Ordering::SeqCst);
    own.told_of_us("b", Some(StartSeen { incarnation: 1, start: 6, process: 7 }));
    assert!(own.fenced().borrow().is_none());
}

#[tokio::test]
async fn a_secret_changes_by_rolling_restarts() {
    let keys = |own: &'static [u8], also: &[&'static [u8]]| Keys::new(own, also.iter().copied());
    // What a server has, step by step.
    let steps = [
        keys(SECRET, &[]),
        keys(SECRET, &[OTHER_SECRET]),
        keys(OTHER_SECRET, &[SECRET]),
        keys(OTHER_SECRET, &[]),
    ];
    let has =
        |who: &str, step: usize| end(who).with(|e| e.identity.keys = Some(steps[step].clone()));
    for step in 0..steps.len() {
        for other in step.saturating_sub(1)..=(step + 1).min(steps.len() - 1) {
            let (proven, taken) = meet(&has("a", step), &has("b", other), "b").await;
            assert!(proven.is_ok() && taken.is_ok(), "{step} dials {other}: {proven:?} {taken:?}");
        }
    }
    let (proven, taken) = meet(&has("a", 0), &has("b", 3), "b").await;
    assert!(matches!(proven, Err(LinkError::NotProven(_))), "{proven:?}");
    assert!(matches!(taken, Err(NotTaken::NotProven { cluster: OURS })), "{taken:?}");
}
