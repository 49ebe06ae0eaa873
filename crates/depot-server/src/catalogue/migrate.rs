//! A catalogue from before there was a log gets one: empty, its beginning placed behind the
//! commands that were applied, with the server itself as the only member.
//!
//! Nothing of its records changes. What was removed from it is not known any more, so the floor of
//! the tombstones is where it stands: a put that has seen less is asked to look again.

use std::collections::{BTreeMap, BTreeSet};

use openraft::Membership;

use super::consensus::{LogId, Member, StoredMembership, node_id};
use super::fault::StoreError;
use super::log_rows::{Founders, Progress};
use super::rows::Identity;
use super::tables::Tables;

pub(super) fn from_first_release(
    tables: &mut Tables<'_>,
    identity: &Identity,
) -> Result<(), StoreError> {
    let Identity { cluster, server, incarnation } = identity;
    tables.set_founders(&Founders(vec![(server.clone(), *incarnation)]))?;
    let applied = tables.applied()?;
    tables.set_floor(applied)?;
    if applied == 0 {
        return tables.set_progress(&Progress::default());
    }
    let node = node_id(cluster, server, *incarnation);
    let begin = LogId::new(openraft::CommittedLeaderId::new(0, 0), applied);
    let nodes = BTreeMap::from([(node, Member::of(server, *incarnation))]);
    let members = Membership::new(vec![BTreeSet::from([node])], nodes);
    let members = StoredMembership::new(Some(begin), members);
    tables.set_progress(&Progress { log_id: Some(begin), members })?;
    tables.purge_log(&begin)
}
