//! Whether a coordinator can be reached and lets this site in, before a run.
use std::net::SocketAddr;
use std::time::Duration;

use sottovoce_wire::Limits;
use tokio::time::{Instant, timeout};

use crate::client::ParticipateOptions;
use crate::endpoint::Dialer;
use crate::error::{CloseCode, LinkError, NetError};

/// How long a refusal may take to arrive: the coordinator checks this side's key after this side's handshake is over.
const REFUSAL: Duration = Duration::from_secs(2);

/// A coordinator that answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probed {
    /// Where.
    pub addr: SocketAddr,
    /// How long the handshake took: two round trips, and the coordinator's signature.
    pub handshake: Duration,
}

/// Connects as [`crate::participate`] would, waits for a refusal, and leaves without a word of the protocol: the coordinator does
/// not count it as joined.
///
/// # Errors
/// [`NetError`] when the name does not resolve, nobody answers, the coordinator's key is not the pinned one, or it does not let
/// this identity in.
pub async fn probe(options: ParticipateOptions) -> Result<Probed, NetError> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(&options.addr)
        .await
        .map_err(|source| NetError::Resolve { addr: options.addr.clone(), source })?
        .collect();
    let mut dialer = Dialer::new(options.identity, options.coordinator_key, options.transport);
    let mut last = LinkError::Transport { reason: "the name has no address".to_owned() };
    for addr in addresses {
        let began = Instant::now();
        let mut link = match dialer.connect(addr, Limits::new(1, 1)).await {
            Ok(link) => link,
            Err(NetError::Link(error)) if !error.is_fatal() => {
                last = error;
                continue;
            }
            Err(fatal) => return Err(fatal),
        };
        let handshake = began.elapsed();
        // A coordinator has nothing to say to who has not greeted it, so that silence is consent.
        if let Ok(Err(refused)) = timeout(REFUSAL, link.receive()).await {
            return Err(refused.into());
        }
        link.close(CloseCode::Shutdown, "only asking");
        dialer.wait_idle().await;
        return Ok(Probed { addr, handshake });
    }
    Err(last.into())
}
