//! The connections between two requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::super::dial::Dialer;
use super::connection::Connection;
use super::request::RequestBody;

/// The longest time that a connection is kept without a request.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// The most connections that are kept.
const MAX_IDLE: usize = 16;

/// The connections between two requests, to all servers.
pub(super) struct Pool<B: RequestBody>(Mutex<Kept<B>>);

struct Kept<B: RequestBody> {
    /// The one that was used last is the last.
    connections: Vec<(Instant, Connection<B>)>,
    /// Closes connections that nobody needs; runs while there are any.
    closing: Option<JoinHandle<()>>,
}

impl<B: RequestBody> Default for Pool<B> {
    fn default() -> Self {
        Self(Mutex::new(Kept { connections: Vec::new(), closing: None }))
    }
}

impl<B: RequestBody> Drop for Pool<B> {
    fn drop(&mut self) {
        if let Some(closing) = &self.kept().closing {
            closing.abort();
        }
    }
}

impl<B: RequestBody> Pool<B> {
    fn kept(&self) -> MutexGuard<'_, Kept<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: RequestBody> Pool<B> {
    /// Returns a connection to this server. The one that was used last is the likeliest.
    pub(super) async fn take(&self, server: &Arc<Dialer>) -> Option<Connection<B>> {
        loop {
            let mut connection = {
                let mut kept = self.kept();
                let is_there = |(_, connection): &(_, Connection<B>)| Arc::ptr_eq(&connection.dialer, server);
                let last = kept.connections.iter().rposition(is_there)?;
                kept.connections.remove(last).1
            };
            if !connection.is_outdated().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for a later request.
    pub(super) fn keep(self: &Arc<Self>, connection: Connection<B>) {
        // Without a runtime, nobody could close it later.
        let Ok(runtime) = Handle::try_current() else { return };
        let mut kept = self.kept();
        kept.connections.push((Instant::now(), connection));
        let superfluous = (kept.connections.len() > MAX_IDLE).then(|| kept.connections.remove(0));
        // It is finished early if its runtime has ended.
        if kept.closing.as_ref().is_none_or(JoinHandle::is_finished) {
            kept.closing = Some(runtime.spawn(close_idle(Arc::downgrade(self))));
        }
        drop(kept);
        drop(superfluous);
    }

    /// Closes all connections to this server.
    pub(super) fn forget(&self, server: &Arc<Dialer>) {
        let is_there = |(_, connection): &mut (_, Connection<B>)| Arc::ptr_eq(&connection.dialer, server);
        let closed: Vec<_> = self.kept().connections.extract_if(.., is_there).collect();
        drop(closed);
    }

    /// Closes the connections that nobody has needed for long, and returns when the next one is due; None if there is none.
    fn close_idle(&self) -> Option<Instant> {
        let mut kept = self.kept();
        let old = kept.connections.iter().take_while(|(since, _)| since.elapsed() >= IDLE_LIMIT).count();
        let closed: Vec<_> = kept.connections.drain(..old).collect();
        let next = kept.connections.first().map(|(since, _)| *since + IDLE_LIMIT);
        if next.is_none() {
            kept.closing = None;
        }
        drop(kept);
        drop(closed);
        next
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept().connections.len()
    }
}

async fn close_idle<B: RequestBody>(pool: Weak<Pool<B>>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.close_idle()) {
        sleep_until(next).await;
    }
}
