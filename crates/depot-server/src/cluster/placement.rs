//! Which servers come next for a copy of a file: weighted rendezvous hashing (Thaler and
//! Ravishankar, 1998; the weights after Schindelhauer and Schomaker, 2005), so that a file's
//! candidates depend on nothing but its key and the list of servers, and a server more or less
//! moves only what is its own.

use xxhash_rust::xxh3::xxh3_64;

use super::members::{Member, Members};

/// The weight of a server whose capacity the configuration does not tell.
const WEIGHT: f64 = (1_u64 << 40) as f64;

/// The servers that hold payloads, best first for the file with this key: `-weight / ln(hash)`,
/// the greatest first; then so turned that no zone comes twice while there are others, the zones of
/// `taken` counted as used. `fit` leaves out who can't take it (full, away, not up): those come last,
/// in the same order, for they may be all that there is.
#[must_use]
pub fn rank<'m>(
    members: &'m Members,
    key: &[u8],
    taken: &[&Member],
    fit: impl Fn(&Member) -> bool,
) -> Vec<&'m Member> {
    let mut scored: Vec<(bool, f64, &Member)> = members
        .all()
        .iter()
        .filter(|member| !member.witness && !taken.iter().any(|other| other.name == member.name))
        .map(|member| (fit(member), score(member, key), member))
        .collect();
    scored.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)));

    let mut zones: Vec<&str> = taken.iter().map(|member| zone(member)).collect();
    let mut ranked = Vec::with_capacity(scored.len());
    while !scored.is_empty() {
        let fit = scored.first().is_some_and(|(fit, ..)| *fit);
        // Among those that are fit as the best one is, the first whose zone is used least.
        let used = |member: &Member| zones.iter().filter(|used| **used == zone(member)).count();
        let next = (0..scored.len())
            .filter(|at| scored[*at].0 == fit)
            .min_by_key(|at| (used(scored[*at].2), *at))
            .expect("it holds at least the best one");
        let (_, _, member) = scored.remove(next);
        zones.push(zone(member));
        ranked.push(member);
    }
    ranked
}

/// A server without a zone is one by itself.
fn zone(member: &Member) -> &str {
    member.zone.as_deref().unwrap_or(member.name.as_str())
}

fn score(member: &Member, key: &[u8]) -> f64 {
    let mut bytes = member.name.as_str().as_bytes().to_vec();
    bytes.push(0);
    bytes.extend_from_slice(key);
    // 53 bits into (0, 1): neither end, whose logarithm is no number.
    let unit = ((xxh3_64(&bytes) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    let weight = member.capacity.map_or(WEIGHT, |bytes| bytes as f64);
    -weight / unit.ln()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use depot_protocol::ServerName;

    use super::*;
    use crate::config::Settings;

    /// Servers by name, zone and capacity in TiB; the first is this one.
    fn members(of: &[(&str, Option<&str>, u64)]) -> Members {
        let mut settings = Settings::alone(0, "/".into());
        let alone = settings.members.remove(0);
        settings.server = ServerName::parse(of[0].0).expect("a name");
        settings.members = of
            .iter()
            .map(|(name, zone, tib)| Member {
                name: ServerName::parse(name).expect("a name"),
                zone: zone.map(str::to_owned),
                capacity: Some(tib << 40),
                ..alone.clone()
            })
            .collect();
        Members::of(&settings)
    }

    fn names<'m>(ranked: &[&'m Member]) -> Vec<&'m str> {
        ranked.iter().map(|member| member.name.as_str()).collect()
    }

    #[test]
    fn no_zone_comes_twice_while_there_are_others() {
        let five = members(&[
            ("a", Some("x"), 1),
            ("b", Some("x"), 1),
            ("c", Some("y"), 1),
            ("d", Some("y"), 1),
            ("e", Some("z"), 1),
        ]);
        let own = &five.all()[0];
        for key in 0..200_u32 {
            let ranked = rank(&five, &key.to_le_bytes(), &[own], |_| true);
            let first: Vec<_> = ranked.iter().take(2).map(|member| zone(member)).collect();
            assert!(!first.contains(&"x") && first[0] != first[1], "{:?}", names(&ranked));
            assert_eq!(ranked.len(), 4);
        }
    }

    #[test]
    fn weight_draws_its_share() {
        let three = members(&[("a", None, 1), ("b", None, 1), ("c", None, 2)]);
        let mut firsts: BTreeMap<&str, u32> = BTreeMap::new();
        for key in 0..8_000_u32 {
            let ranked = rank(&three, &key.to_le_bytes(), &[], |_| true);
            *firsts.entry(ranked[0].name.as_str()).or_default() += 1;
        }
        assert!((3_700..4_300).contains(&firsts["c"]), "half of the weight: {firsts:?}");
    }

    #[test]
    fn a_server_more_moves_only_what_becomes_its_own() {
        let three = members(&[("a", None, 1), ("b", None, 1), ("c", None, 1)]);
        let four = members(&[("a", None, 1), ("b", None, 1), ("c", None, 1), ("d", None, 1)]);
        for key in 0..500_u32 {
            let before = names(&rank(&three, &key.to_le_bytes(), &[], |_| true)).join("");
            let after = names(&rank(&four, &key.to_le_bytes(), &[], |_| true)).join("");
            assert_eq!(before, after.replace('d', ""));
        }
    }

    #[test]
    fn who_is_not_fit_comes_last_and_is_not_left_out() {
        let three = members(&[("a", None, 1), ("b", None, 1), ("c", None, 1)]);
        let ranked = rank(&three, b"key", &[], |member| member.name.as_str() != "b");
        assert_eq!(names(&ranked)[2], "b");
    }
}
