//! How fast one address may ask for what nobody knows: new ids, and names that are not there. Both
//! cost the server nothing it keeps; paced, guessing another's id by trying stays hopeless, and
//! nobody is refused: the answer comes later.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many addresses are remembered; past that, those at rest are forgotten.
const ADDRESSES: usize = 16_384;

/// The paces of all addresses: for each, the virtual time at which its next answer is due (a
/// generic cell rate algorithm, ITU-T I.371).
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<IpAddr, Instant>>);

impl Pace {
    /// Waits until this address may have one more such answer, at `per_second` of them; a second's
    /// worth may come at once.
    pub async fn wait(&self, address: IpAddr, per_second: u32) {
        let now = Instant::now();
        let each = Duration::from_secs(1) / per_second.max(1);
        let due = {
            let mut due = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if due.len() >= ADDRESSES {
                due.retain(|_, next| *next > now);
            }
            let next = due.entry(address).or_insert(now);
            *next = (*next).max(now) + each;
            *next
        };
        // What is due within the coming second goes out now: the burst.
        tokio::time::sleep_until(due - Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_seconds_worth_comes_at_once_the_rest_at_its_pace() {
        let (pace, address) = (Pace::default(), IpAddr::from([192, 0, 2, 1]));
        let start = Instant::now();
        for _ in 0..10 {
            pace.wait(address, 10).await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..10 {
            pace.wait(address, 10).await;
        }
        assert_eq!(start.elapsed().as_millis(), 1000);
        pace.wait(IpAddr::from([192, 0, 2, 2]), 10).await;
        assert_eq!(start.elapsed().as_millis(), 1000, "another address is not held up");
    }
}
