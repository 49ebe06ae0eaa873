use super::*;

#[test]
fn pitfall_1_no_two_servers_elect_in_the_same_window() {
    for servers in 1..=9_u64 {
        let voters: Vec<u64> = (0..servers).map(|n| n * 7919 % 1000).collect();
        let mut windows: Vec<_> = voters.iter().map(|me| election_window(*me, &voters)).collect();
        windows.sort_unstable();
        assert!(windows.iter().all(|(min, max)| min < max));
        assert!(windows.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{windows:?}");
        assert!(windows[0].0 >= ELECTION.start && windows[windows.len() - 1].1 <= ELECTION.end);
    }
}

#[test]
fn pitfall_2_heartbeats_leave_room_for_a_sync() {
    let begin = Begin {
        began: Began { vote: Vote::default(), last: 0 },
        pristine: true,
        founders: Founders::default(),
        voters: vec![],
        logged: 0,
    };
    let config = config(1, &begin, &LogLimits::default()).validate().unwrap();
    assert_eq!(config.heartbeat_interval, 250);
    assert!(config.election_timeout_min >= 6 * config.heartbeat_interval);
}
