use super::*;
use crate::catalogue::walk::tests::record;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Servers of different releases talk to each other in these.
#[test]
fn what_comes_of_commands_is_said_tomorrow_as_today() {
    let server = ServerName::parse("a").unwrap();
    let (namespace, name) = (Namespace::from_bytes([1; 32]), FileName::parse("x").unwrap());
    let outcomes = [
        Outcome::Done(record(1)),
        Outcome::Removed,
        Outcome::Swept,
        Outcome::Admitted,
        Outcome::Moved { current: None },
        Outcome::Moved { current: Some(record(2)) },
        Outcome::Absent,
        Outcome::StaleReceipt { server: server.clone(), current: SweepNumber(3) },
        Outcome::WrongIncarnation { server, current: Some(Incarnation(2)) },
        Outcome::NoReceipt,
        Outcome::SweepOutOfTurn { current: None },
        Outcome::Noted,
        Outcome::Needed { others: 1 },
        Outcome::NotedUpTo { namespace, name },
    ];
    let mut bytes = Vec::new();
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let released = Some(Digest::EMPTY);
        let applied = Applied { index: index as u64, outcome, released };
        let stored = postcard::to_stdvec(&store_applied(&applied)).unwrap();
        bytes.push(stored[1]);
        let loaded = load_applied(postcard::from_bytes(&stored).unwrap()).unwrap();
        assert_eq!(loaded, applied);
    }
    assert_eq!(hex(&bytes), "00010203040405060708090a0b0c");
}
