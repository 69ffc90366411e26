//! The coordinator's driver: connections in, the engine's frames out, in the one order that keeps its promises.
//!
//! The loop takes one input (a connection, a frame, a loss, the time), hands it to the engine, then polls *persist*
//! until empty, *transmit* until empty, *timeout*, *event*. Nothing leaves before all that the engine wants durable is.
//! It decides nothing about the protocol.
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use sottovoce_round::{Coordinator, CoordinatorEvent, Journal, Outcome, Persist, Transmit};
use sottovoce_transcript::{NullTap, Party, Tap};
use sottovoce_types::{ClientId, Tick};
use sottovoce_wire::{Frame, Limits};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::connection::Outbox;
use crate::endpoint::{Arrival, Listener};
use crate::error::{CloseCode, LinkError, NetError};
use crate::journal::{answer_audit, append, keep, recall};

/// Inputs that may wait for the engine. Readers that find it full wait in turn, so no peer crowds out another.
const INPUTS: usize = 16;

/// An engine that goes on asking for a time that has passed gets it this often, not in a busy loop.
const TIMEOUT_STEP: std::time::Duration = std::time::Duration::from_millis(10);

/// What a coordinator is made of; [`serve`] takes it and gives it back.
pub struct Service {
    /// The engine: new or resumed, not yet started.
    pub engine: Coordinator,
    /// Where its entries become durable.
    pub journal: Box<dyn Journal + Send>,
    /// Sees every frame. [`NullTap`] by default.
    pub tap: Box<dyn Tap>,
    /// The tick at which this driver's clock begins: after a restart, the last one of the process before.
    pub base: Tick,
}

impl Service {
    /// An engine with its journal, untapped, its clock beginning at 0.
    pub fn new(engine: Coordinator, journal: Box<dyn Journal + Send>) -> Self {
        Self { engine, journal, tap: Box::new(NullTap), base: Tick(0) }
    }
}

/// Why [`serve`] returned without an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Served {
    /// The run is over and the clients that were connected have been told.
    Finished,
    /// The shutdown future resolved first.
    Shutdown,
}

/// Runs a coordinator until its run is over or `shutdown` resolves.
///
/// When `shutdown` resolves, the open attempt is given up, durably, unless its sum is being opened: that is paid for, and ends
/// first, the phase's deadline at the latest ([`Coordinator::stop`]).
///
/// `on_event` sees each event after everything that led to it is durable and queued to leave. At the end of a run the
/// driver stays for [`crate::TransportOptions::close_timeout`] at most, for clients to take their last frames; where the run
/// was over before it began (a restart), for the plan's join time at most, for every member to come for the last model.
/// Dropping the future stops everything; the journal then holds what was durable.
///
/// # Errors
/// [`NetError::Journal`] when an entry could not be made durable: nothing that depends on it has left.
pub async fn serve(
    listener: Listener,
    service: Service,
    on_event: impl FnMut(&CoordinatorEvent),
    shutdown: impl Future<Output = ()>,
) -> Result<(Service, Served), NetError> {
    let listener = Arc::new(listener);
    let (inputs, mut arrivals) = mpsc::channel(INPUTS);
    let mut background = JoinSet::new(); // aborts its tasks when dropped
    background.spawn(accept(Arc::clone(&listener), service.engine.limits(), inputs));

    let mut driver = Driver {
        clock: Clock::starting_at(service.base),
        engine: service.engine,
        journal: Some(service.journal),
        tap: service.tap,
        on_event,
        peers: BTreeMap::new(),
    };
    let ended = driver.run(&mut arrivals, shutdown, listener.options().close_timeout).await;
    background.abort_all();
    match &ended {
        Ok(Served::Finished) => listener.close(CloseCode::Finished, "the run is over").await,
        Ok(Served::Shutdown) => listener.close(CloseCode::Shutdown, "the coordinator was told to stop").await,
        Err(_) => listener.close(CloseCode::Internal, "the coordinator failed").await,
    }
    let served = ended?;
    let base = driver.clock.now();
    let journal = driver.journal.take().ok_or(NetError::Panicked)?;
    Ok((Service { engine: driver.engine, journal, tap: driver.tap, base }, served))
}

/// What the connections' tasks tell the driver. `serial` tells a client's connections apart.
enum Input {
    Connected { client: ClientId, serial: u64, outbox: Outbox },
    Frame { client: ClientId, serial: u64, frame: Frame },
    Lost { client: ClientId, serial: u64, error: LinkError },
}

async fn accept(listener: Arc<Listener>, limits: Limits, inputs: mpsc::Sender<Input>) {
    let most = listener.options().max_connections;
    let queued_frames = listener.options().queued_frames;
    let mut connections = JoinSet::new();
    let mut serial = 0u64;
    loop {
        tokio::select! {
            arrival = listener.accept() => {
                let Some(arrival) = arrival else { return };
                if connections.len() >= most {
                    arrival.refuse();
                    continue;
                }
                // Half full, a claimed address must be a real one before it costs us a handshake.
                let arrival = if connections.len() >= most / 2 { arrival.challenge() } else { Some(arrival) };
                if let Some(arrival) = arrival {
                    serial = serial.wrapping_add(1);
                    connections.spawn(attend(arrival, serial, limits, queued_frames, inputs.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Clients that still ask for results when a run is over are served for so many lingering times at most.
const LAST_CALL: u32 = 20;

/// One connection, from its handshake to its end.
async fn attend(arrival: Arrival, serial: u64, limits: Limits, queued_frames: usize, inputs: mpsc::Sender<Input>) {
    let remote = arrival.remote();
    let link = match arrival.establish(limits).await {
        Ok(link) => link,
        Err(error) => {
            tracing::warn!(%remote, %error, "no connection");
            return;
        }
    };
    let client = link.peer_id();
    let (mut reader, outbox) = link.split(queued_frames);
    // Sending fails only when the driver is gone, and then nothing is left to be done.
    if inputs.send(Input::Connected { client, serial, outbox }).await.is_err() {
        return;
    }
    let error = loop {
        match reader.next().await {
            Ok(Some(frame)) => {
                if inputs.send(Input::Frame { client, serial, frame }).await.is_err() {
                    return;
                }
            }
            Ok(None) => break LinkError::StreamEnded,
            Err(error) => break error,
        }
    };
    let _ = inputs.send(Input::Lost { client, serial, error }).await;
}

struct Peer {
    serial: u64,
    outbox: Outbox,
}

struct Driver<E> {
    engine: Coordinator,
    /// Absent only while an append is under way.
    journal: Option<Box<dyn Journal + Send>>,
    tap: Box<dyn Tap>,
    clock: Clock,
    on_event: E,
    peers: BTreeMap<ClientId, Peer>,
}

impl<E: FnMut(&CoordinatorEvent)> Driver<E> {
    async fn run(
        &mut self,
        inputs: &mut mpsc::Receiver<Input>,
        shutdown: impl Future<Output = ()>,
        linger: std::time::Duration,
    ) -> Result<Served, NetError> {
        let mut shutdown = pin!(shutdown);
        let mut told = false;
        let mut leave_at: Option<Instant> = None;
        let mut not_before = Instant::now();
        // A run that was over when this process began, one that was killed after its last round: its clients may not have
        // the last model yet. Each member is given the time that it had to join in.
        let (mut awaited, linger) = if self.engine.is_finished() {
            let plan = self.engine.plan();
            let join = std::time::Duration::from_millis(plan.spec().deadlines.join_ms);
            (plan.manifest().keys().keys().copied().collect(), join.max(linger))
        } else {
            (BTreeSet::new(), linger)
        };
        let mut last_call = Instant::now();
        self.engine.start(self.clock.now());
        loop {
            self.pump().await?;
            if told && self.engine.is_stopped() && !self.engine.is_finished() {
                return Ok(Served::Shutdown);
            }
            if self.engine.is_finished() && leave_at.is_none() {
                last_call = Instant::now() + linger * LAST_CALL;
                leave_at = Some(Instant::now() + linger);
                // Of a run that is complete, clients take leave by themselves: one that missed results asks for them first.
                if !self.is_complete() {
                    for peer in self.peers.values_mut() {
                        peer.outbox.finish();
                    }
                }
            }
            if leave_at.is_some() && self.peers.is_empty() && awaited.is_empty() {
                return Ok(Served::Finished);
            }
            let timeout = self.engine.poll_timeout().map(|tick| self.clock.instant_of(tick).max(not_before));
            let due = leave_at.or(timeout);
            tokio::select! {
                () = &mut shutdown, if !told => {
                    if leave_at.is_some() {
                        return Ok(Served::Shutdown);
                    }
                    told = true;
                    self.engine.stop(self.clock.now());
                }
                input = inputs.recv() => match input {
                    Some(input) => {
                        if let Input::Frame { client, .. } = &input {
                            awaited.remove(client);
                            // Whoever still asks is answered, within limits.
                            leave_at = leave_at.map(|at| at.max(Instant::now() + linger).min(last_call));
                        }
                        self.handle(input, leave_at.is_some()).await?;
                    }
                    None => return Err(NetError::Panicked), // the accepting task ends only with us
                },
                () = until(due) => {
                    if leave_at.is_some() {
                        return Ok(Served::Finished);
                    }
                    self.engine.handle_timeout(self.clock.now());
                    not_before = Instant::now() + TIMEOUT_STEP;
                }
            }
        }
    }

    async fn handle(&mut self, input: Input, leaving: bool) -> Result<(), NetError> {
        match input {
            Input::Connected { client, serial, outbox } => {
                self.drop_peer(client, CloseCode::Replaced, "the same identity connected again");
                self.peers.insert(client, Peer { serial, outbox });
                self.engine.handle_connect(self.clock.now(), client);
            }
            Input::Frame { client, serial, frame } if self.is_current(client, serial) => {
                let now = self.clock.now();
                self.tap.record(now, Party::Client(client), Party::Coordinator, &frame);
                if let Err(fault) = self.engine.handle_frame(now, client, &frame) {
                    tracing::warn!(%client, %fault, "closing the connection");
                    self.drop_peer(client, CloseCode::Protocol, &fault.to_string());
                } else if leaving {
                    // A client that comes after the end gets the engine's answer to its greeting, and no more.
                    self.pump().await?;
                    if !self.is_complete()
                        && let Some(peer) = self.peers.get_mut(&client)
                    {
                        peer.outbox.finish();
                    }
                }
            }
            Input::Lost { client, serial, error } if self.is_current(client, serial) => {
                tracing::info!(%client, %error, "connection ended");
                self.drop_peer(client, CloseCode::Finished, "goodbye");
            }
            // Of a connection that was replaced.
            Input::Frame { .. } | Input::Lost { .. } => {}
        }
        Ok(())
    }

    /// Takes everything that the engine has to give, in its order.
    async fn pump(&mut self) -> Result<(), NetError> {
        loop {
            while let Some(kept) = self.engine.poll_keep() {
                keep(&mut self.journal, kept).await?;
            }
            while let Some(persist) = self.engine.poll_persist() {
                self.append(persist).await?;
            }
            if let Some(asked) = self.engine.poll_audit() {
                let answer = answer_audit(&mut self.journal, asked).await?;
                self.engine.handle_audited(answer);
                continue;
            }
            if let Some(round) = self.engine.poll_recall() {
                let result = recall(&mut self.journal, round).await?;
                self.engine.handle_recalled(result);
                continue;
            }
            let Some(Transmit { to, frame }) = self.engine.poll_transmit() else { break };
            let Some(peer) = self.peers.get(&to) else { continue };
            if peer.outbox.push(&frame) {
                self.tap.record(self.clock.now(), Party::Coordinator, Party::Client(to), &frame);
            } else {
                tracing::warn!(client = %to, "does not take its frames; closing the connection");
                self.drop_peer(to, CloseCode::TooSlow, "you do not read what is sent to you");
            }
        }
        while let Some(event) = self.engine.poll_event() {
            (self.on_event)(&event);
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.engine.outcome() == Some(&Outcome::Completed)
    }

    async fn append(&mut self, persist: Persist) -> Result<(), NetError> {
        append(&mut self.journal, persist).await
    }

    fn drop_peer(&mut self, client: ClientId, code: CloseCode, reason: &str) {
        if let Some(peer) = self.peers.remove(&client) {
            peer.outbox.closer.close(code, reason);
            self.engine.handle_disconnect(self.clock.now(), client);
        }
    }

    fn is_current(&self, client: ClientId, serial: u64) -> bool {
        self.peers.get(&client).is_some_and(|peer| peer.serial == serial)
    }
}

/// Sleeps until then; for ever without a time.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
