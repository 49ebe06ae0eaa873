//! Takes connections, as many as the limits allow; the others are told and let go.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use depot_protocol::{ErrorCode, Refusal};
use tokio::sync::watch;
use tracing::Instrument;

use crate::config::Limits;
use crate::seams::network::{Listener, Stream};
use crate::session::{Session, Shared, stopping_refusal};
use crate::tasks::Tasks;

/// How long after a failed accept the next is tried: most failures pass when a connection ends.
const BACKOFF: Duration = Duration::from_millis(100);
/// How many newcomers over the limit are told so at once; more are closed without a word.
const TURNED_AWAY: usize = 64;
/// How long a session may go on after the server's patience is over, to leave its part.
const LAST_GASP: Duration = Duration::from_secs(2);

/// Who is connected.
#[derive(Default)]
struct Guests {
    all: usize,
    turned_away: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place; ends when it is dropped.
struct Place {
    guests: Arc<Mutex<Guests>>,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Served(IpAddr),
    TurnedAway,
}

/// Accepts until it is told to end: while the server stops, newcomers are told so.
pub async fn run(
    mut listener: Box<dyn Listener>,
    shared: Arc<Shared>,
    limits: watch::Receiver<Arc<Limits>>,
    descriptors: usize,
    ground: Tasks,
) {
    let guests = Arc::new(Mutex::new(Guests::default()));
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let limits = Arc::clone(&limits.borrow());
                    receive(&shared, &ground, &guests, stream, from, limits, descriptors);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(BACKOFF).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = ground.stopping().cancelled() => {}
    }
}

fn receive(
    shared: &Arc<Shared>,
    ground: &Tasks,
    guests: &Arc<Mutex<Guests>>,
    stream: Box<dyn Stream>,
    from: SocketAddr,
    limits: Arc<Limits>,
    descriptors: usize,
) {
    let (most, address) = (limits.connections.min(descriptors), from.ip());
    let span = tracing::info_span!("connection", %from);
    let place = match shared.tasks.stopping().is_cancelled() {
        true => Err(stopping_refusal()),
        false => Guests::seat(guests, address, most, limits.connections_per_address),
    };
    match place {
        Ok(place) => {
            let session = Session::new(Arc::clone(shared), stream, address, limits);
            let stopped = shared.tasks.stopped().clone();
            let serve = async move {
                let _place = place;
                tokio::select! {
                    () = session.run() => {}
                    () = async { stopped.cancelled().await; tokio::time::sleep(LAST_GASP).await } => {}
                }
            };
            shared.tasks.spawn(serve.instrument(span));
        }
        Err(refusal) => {
            let Some(place) = Guests::seat_briefly(guests) else { return };
            let session = Session::new(Arc::clone(shared), stream, address, limits);
            let turn_away = async move {
                let _place = place;
                session.turn_away(refusal).await;
            };
            // Not one of the tasks that the server waits for when it stops.
            ground.spawn(turn_away.instrument(span));
        }
    }
}

impl Guests {
    fn seat(
        guests: &Arc<Mutex<Guests>>,
        address: IpAddr,
        most: usize,
        per_address: usize,
    ) -> Result<Place, Refusal> {
        let mut seated = guests.lock().unwrap_or_else(PoisonError::into_inner);
        if seated.all >= most {
            return Err(Refusal::new(
                ErrorCode::LimitExceeded,
                "this server has as many connections as it takes; try later, or another server",
            ));
        }
        let of_address = seated.by_address.entry(address).or_default();
        if *of_address >= per_address && !address.is_loopback() {
            return Err(Refusal::new(
                ErrorCode::LimitExceeded,
                format!(
                    "there are {per_address} connections from your address already; close some, or try later"
                ),
            ));
        }
        *of_address += 1;
        seated.all += 1;
        Ok(Place { guests: Arc::clone(guests), kind: Kind::Served(address) })
    }

    fn seat_briefly(guests: &Arc<Mutex<Guests>>) -> Option<Place> {
        let mut seated = guests.lock().unwrap_or_else(PoisonError::into_inner);
        if seated.turned_away >= TURNED_AWAY {
            return None;
        }
        seated.turned_away += 1;
        Some(Place { guests: Arc::clone(guests), kind: Kind::TurnedAway })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut seated = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        match self.kind {
            Kind::TurnedAway => seated.turned_away -= 1,
            Kind::Served(address) => {
                seated.all -= 1;
                if let Some(count) = seated.by_address.get_mut(&address) {
                    *count -= 1;
                    if *count == 0 {
                        seated.by_address.remove(&address);
                    }
                }
            }
        }
    }
}
