//! What is done to the catalogue: any steps, in any order, right ones more often than wrong ones.

use depot_server::catalogue::command::Lost;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

pub(crate) const NAMES: [&str; 4] = ["a", "a/b", "a0", "b"];

/// Which version a command says that it has read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Read {
    Current,
    None,
    Any(u64),
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Put {
        at: (u8, usize),
        content: u8,
        read: Read,
        /// How many commands ago its proposer looked.
        ago: u64,
        sweep: Option<u64>,
        wanted: bool,
        operation: u8,
    },
    SetReplicas {
        at: (u8, usize),
        replicas: u8,
        read: Read,
        wanted: bool,
        operation: u8,
    },
    Remove {
        at: (u8, usize),
        read: Read,
    },
    Sweep {
        ahead: u64,
    },
    AddCopy {
        at: (u8, usize),
        read: Read,
        /// Server b's, of this life; none: server a's.
        by: Option<u64>,
    },
    /// Of server b.
    Admit {
        life: u64,
    },
    /// Of a server, perhaps of another life than its present one.
    Away {
        who: Who,
        away: bool,
    },
    Lost {
        who: Who,
        content: u8,
        /// Behind this file, and of how many.
        after: Option<(u8, usize)>,
        most: u32,
    },
    Want {
        at: (u8, usize),
        read: Read,
        server: usize,
    },
    Leave {
        at: (u8, usize),
        read: Read,
        who: Who,
    },
    Kill,
    PowerCut(u64),
    Restart,
}

pub(crate) const SERVERS: [&str; 3] = ["a", "b", "c"];

/// A server, in its present life or, if it says so, in this one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who {
    pub(crate) server: usize,
    pub(crate) life: Option<u64>,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = || (0..2_u8, 0..NAMES.len());
    let read = || prop_oneof![6 => Just(Read::Current), 1 => Just(Read::None), 1 => (0..20_u64).prop_map(Read::Any)];
    let sweep = prop_oneof![4 => Just(None), 1 => (0..4_u64).prop_map(Some)];
    // Few operations: repeated requests are common.
    let ago = prop_oneof![3 => Just(0), 1 => 0..8_u64];
    let put = (at(), 0..3_u8, read(), ago, sweep, any::<bool>(), any::<u8>()).prop_map(
        |(at, content, read, ago, sweep, wanted, operation)| Step::Put {
            at,
            content,
            read,
            ago,
            sweep,
            wanted,
            operation: operation % 24,
        },
    );
    let replicas = (at(), any::<u8>(), read(), any::<bool>(), 0..24_u8).prop_map(
        |(at, replicas, read, wanted, operation)| Step::SetReplicas {
            at,
            replicas,
            read,
            wanted,
            operation,
        },
    );
    let by = prop_oneof![Just(None), (1..4_u64).prop_map(Some)];
    let copy = (at(), read(), by).prop_map(|(at, read, by)| Step::AddCopy { at, read, by });
    let who = || {
        let life = prop_oneof![5 => Just(None), 1 => (1..4_u64).prop_map(Some)];
        (0..SERVERS.len(), life).prop_map(|(server, life)| Who { server, life })
    };
    let away = (who(), any::<bool>()).prop_map(|(who, away)| Step::Away { who, away });
    let page = prop_oneof![Just((None, Lost::ALL)), (proptest::option::of(at()), 1..4_u32)];
    let lost = (who(), 0..3_u8, page).prop_map(|(who, content, (after, most))| Step::Lost {
        who,
        content,
        after,
        most,
    });
    let want = (at(), read(), 0..SERVERS.len());
    let want = want.prop_map(|(at, read, server)| Step::Want { at, read, server });
    let leave = (at(), read(), who()).prop_map(|(at, read, who)| Step::Leave { at, read, who });
    let step = prop_oneof![
        2 => away,
        2 => lost,
        2 => want,
        4 => leave,
        10 => put,
        3 => replicas,
        4 => (at(), read()).prop_map(|(at, read)| Step::Remove { at, read }),
        2 => (0..3_u64).prop_map(|ahead| Step::Sweep { ahead }),
        3 => copy,
        2 => (1..4_u64).prop_map(|life| Step::Admit { life }),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(Step::PowerCut),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..40)
}
