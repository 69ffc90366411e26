//! Connections: a limited number of them, and none that neither reads nor writes.
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Lets so many in at once; the others wait before the door, in the system's queue.
pub(crate) struct Door {
    listener: TcpListener,
    seats: Arc<Semaphore>,
    idle: Duration,
}

impl Door {
    pub(crate) fn new(listener: TcpListener, seats: usize, idle: Duration) -> Self {
        Self { listener, seats: Arc::new(Semaphore::new(seats)), idle }
    }
}

impl Listener for Door {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        let seat = Arc::clone(&self.seats).acquire_owned().await.expect("the semaphore is never closed");
        let (stream, from) = Listener::accept(&mut self.listener).await;
        (Guest { stream, idle: self.idle, leaves: Box::pin(sleep(self.idle)), _seat: seat }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when no byte of it moved for a while: one whose reader is stuck has its feed's sign of life waiting to
/// be written, and one that asks nothing has nothing to be read.
pub(crate) struct Guest {
    stream: TcpStream,
    idle: Duration,
    leaves: Pin<Box<Sleep>>,
    _seat: OwnedSemaphorePermit,
}

impl Guest {
    /// What came of an operation: a byte moved, or nothing yet, and perhaps for too long.
    fn or_leaves<T>(&mut self, cx: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            let idle = self.idle;
            self.leaves.as_mut().reset(Instant::now() + idle);
            return moved;
        }
        match self.leaves.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.or_leaves(cx, moved)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.or_leaves(cx, moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
