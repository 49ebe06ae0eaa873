use openraft::{CommittedLeaderId, EntryPayload};

use super::*;

fn log_id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(1, 2), index)
}

fn append(indices: &[u64]) -> Question {
    let entry = |index: &u64| Entry { log_id: log_id(*index), payload: EntryPayload::Blank };
    let request = AppendEntriesRequest {
        vote: Vote::new_committed(3, 4),
        prev_log_id: Some(log_id(6)),
        entries: indices.iter().map(entry).collect(),
        leader_commit: Some(log_id(5)),
    };
    Question::Append { request, quorum: true }
}

#[test]
fn a_question_comes_out_as_it_went_in_and_names_whom_it_is_for() {
    let (to, question) = Question::decode(&append(&[7, 8]).encode(99)).unwrap();
    assert_eq!(to, 99);
    let Question::Append { request, quorum: true } = question else { panic!("{question:?}") };
    assert_eq!((request.prev_log_id, request.leader_commit), (Some(log_id(6)), Some(log_id(5))));
    assert_eq!(request.vote, Vote::new_committed(3, 4));
    assert_eq!(request.entries.iter().map(|entry| entry.log_id.index).collect::<Vec<_>>(), [7, 8]);
}

#[test]
fn pitfall_7_entries_with_a_hole_are_not_taken_from_a_peer() {
    assert!(Question::decode(&append(&[7, 9]).encode(99)).is_err());
    assert!(Question::decode(&append(&[8]).encode(99)).is_err());
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let frame = append(&[7]).encode(99);
    for cut in 0..frame.len() {
        assert!(Question::decode(&frame[..cut]).is_err(), "{cut}");
    }
    assert!(Question::decode(&[frame.as_slice(), &[0]].concat()).is_err());
    let mut later = frame;
    later[0] = 2;
    let error = Question::decode(&later).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
    assert!(Answer::decode(&[]).is_err());
}
