//! Short-lived tokens: fetched where a certificate stands for the worker, and wherever the credentials are refused.
//!
//! All transports of one orchestrator go through a [`Renewing`] connector: an exchange that is answered with 401 or 403
//! is repeated once, freshly signed, when there is another token to show. [`TokenKeeper`] gets them, one at a time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rxon::model::TokenAnswer;
use rxon::secrets::Secrets;
use rxon::signing::{EVENT_IGNORES, Seal};
use rxon::transport::http::Token;
use rxon::transport::{
    Connector, ExchangeFuture, OpenFuture, Opened, Operation, Request, Response, Transport,
};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

use crate::threads::lock;

/// A token must come within this time.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// However much is refused, a token is asked for no more often than this.
const PAUSE: Duration = Duration::from_secs(5);

/// So many tokens are masked in what is logged.
const MOST_REMEMBERED: usize = 4;

/// This part of its life is over when a token is refreshed.
const REFRESH_AT: f64 = 0.8;

/// Keeps the token of one orchestrator.
pub(crate) struct TokenKeeper {
    orchestrator: Arc<str>,
    connector: Arc<dyn Connector>,
    token: Token,
    long_lived: String,
    /// The short-lived ones that were shown lately: answers to requests that showed them may still come.
    lately: std::sync::Mutex<VecDeque<String>>,
    /// The same, where they are masked.
    secrets: Secrets,
    /// A token is fetched before the registration.
    eager: bool,
    /// How often the token was replaced.
    epoch: AtomicU64,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    transport: Option<Box<dyn Transport>>,
    asked: Option<Instant>,
    /// Of the token that is shown; None for the long-lived one.
    life: Option<Life>,
    /// It was said that there is none to be had.
    warned: bool,
}

#[derive(Clone, Copy)]
struct Life {
    refresh: Instant,
    end: Instant,
}

impl Life {
    fn new(lasts: Duration) -> Self {
        let now = Instant::now();
        Self { refresh: now + lasts.mul_f64(REFRESH_AT), end: now + lasts }
    }

    /// It could not be refreshed: once more before it ends.
    fn later(self) -> Self {
        let now = Instant::now();
        let pause = (self.end.saturating_duration_since(now) / 2).max(PAUSE);
        Self { refresh: (now + pause).min(self.end), end: self.end }
    }
}

impl fmt::Debug for TokenKeeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenKeeper")
            .field("orchestrator", &self.orchestrator)
            .finish_non_exhaustive()
    }
}

impl TokenKeeper {
    /// Keeps what `token` is from now on; it is the long-lived one yet. `eager` where a certificate stands for the
    /// worker.
    pub(crate) fn new(
        orchestrator: Arc<str>,
        connector: Arc<dyn Connector>,
        token: Token,
        long_lived: &str,
        eager: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            orchestrator,
            connector,
            token,
            long_lived: long_lived.to_owned(),
            lately: std::sync::Mutex::default(),
            secrets: Secrets::new([]),
            eager,
            epoch: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Refreshes short-lived tokens for as long as it is polled.
    pub(crate) async fn keep(&self) {
        loop {
            let life = self.state.lock().await.life;
            let due = async {
                match life {
                    Some(life) => tokio::time::sleep_until(life.refresh).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.refresh().await,
                () = self.changed.notified() => {}
            }
        }
    }

    async fn refresh(&self) {
        let mut state = self.state.lock().await;
        // Meanwhile it may have been replaced.
        let Some(life) = state.life.filter(|life| life.refresh <= Instant::now()) else { return };
        if life.end <= Instant::now() {
            self.go_back(&mut state);
        } else if !self.ask(&mut state).await {
            state.life = Some(life.later());
        }
    }

    /// Before a registration: a certificate is worth a token.
    async fn prepare(&self) {
        if self.eager {
            let mut state = self.state.lock().await;
            if state.life.is_none() && !is_too_soon(&state) {
                self.ask(&mut state).await;
            }
        }
    }

    /// The token that was shown then was refused. True when there is another by now.
    async fn renew(&self, shown: u64) -> bool {
        let mut state = self.state.lock().await;
        if self.epoch() != shown {
            return true;
        }
        if is_too_soon(&state) {
            return false;
        }
        self.ask(&mut state).await || self.go_back(&mut state)
    }

    /// Asks for a token, and shows it from now on. False when there was none.
    async fn ask(&self, state: &mut State) -> bool {
        state.asked = Some(Instant::now());
        let transport = state.transport.get_or_insert_with(|| self.connector.transport());
        let problem = match transport.exchange(Request::new(Operation::Token, TIME_LIMIT)).await {
            Ok(response) if response.is_success() => match TokenAnswer::read(&response.body) {
                // What no header can hold is none.
                Some(answer) if self.show(&answer.access_token) => {
                    self.replaced(state, Some(Life::new(answer.expires_in)));
                    state.warned = false;
                    tracing::debug!(orchestrator = %self.orchestrator, lasts = ?answer.expires_in, "got a short-lived token");
                    return true;
                }
                // Not quoted: it may hold half a token.
                _ => format!("{}, but no token in {} bytes", response.status, response.body.len()),
            },
            Ok(response) => format!("{}: {}", response.status, response.error_text()),
            Err(error) => error.chain().to_string(),
        };
        if !std::mem::replace(&mut state.warned, true) {
            tracing::warn!(
                orchestrator = %self.orchestrator,
                "the orchestrator gives no short-lived token, the worker's own is shown: {problem}"
            );
        }
        false
    }

    /// Shows the long-lived token again. False when it was shown already.
    fn go_back(&self, state: &mut State) -> bool {
        let had_one = state.life.is_some();
        if had_one && self.token.replace(&self.long_lived).is_ok() {
            self.replaced(state, None);
        }
        had_one
    }

    /// Shows a token from now on. What an orchestrator says is logged, and it may quote the token that it refuses: so it
    /// is a secret before it is shown.
    fn show(&self, token: &str) -> bool {
        let mut lately = lock(&self.lately);
        lately.push_front(token.to_owned());
        lately.truncate(MOST_REMEMBERED);
        self.secrets.replace(lately.iter().cloned());
        drop(lately);
        self.token.replace(token).is_ok()
    }

    fn replaced(&self, state: &mut State, life: Option<Life>) {
        state.life = life;
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_one();
    }
}

fn is_too_soon(state: &State) -> bool {
    state.asked.is_some_and(|asked| asked.elapsed() < PAUSE)
}

/// A connector whose exchanges are repeated once when another token may help.
#[derive(Debug)]
pub(crate) struct Renewing {
    inner: Arc<dyn Connector>,
    keeper: Arc<TokenKeeper>,
    seal: Seal,
}

impl Renewing {
    pub(crate) fn new(inner: Arc<dyn Connector>, keeper: Arc<TokenKeeper>, seal: Seal) -> Self {
        Self { inner, keeper, seal }
    }
}

impl Connector for Renewing {
    fn transport(&self) -> Box<dyn Transport> {
        let (keeper, seal) = (self.keeper.clone(), self.seal.clone());
        Box::new(RenewingTransport { inner: self.inner.transport(), keeper, seal })
    }

    fn channel(&self) -> OpenFuture<'_> {
        Box::pin(async move {
            let shown = self.keeper.epoch();
            match self.inner.channel().await? {
                Opened::Refused(response) if response.is_unauthorized() && self.keeper.renew(shown).await => {
                    self.inner.channel().await
                }
                opened => Ok(opened),
            }
        })
    }
}

#[derive(Debug)]
struct RenewingTransport {
    inner: Box<dyn Transport>,
    keeper: Arc<TokenKeeper>,
    seal: Seal,
}

impl Transport for RenewingTransport {
    fn exchange(&mut self, request: Request) -> ExchangeFuture<'_> {
        Box::pin(async move {
            if matches!(request.operation, Operation::Register) {
                self.keeper.prepare().await;
            }
            let shown = self.keeper.epoch();
            let response = self.inner.exchange(request.clone()).await?;
            if response.is_unauthorized() && self.keeper.renew(shown).await {
                self.again(request, response).await
            } else {
                Ok(response)
            }
        })
    }
}

impl RenewingTransport {
    async fn again(&mut self, mut request: Request, response: Response) -> Result<Response, rxon::Error> {
        let ignore: &[&str] = match request.operation {
            Operation::Event => &EVENT_IGNORES,
            _ => &[],
        };
        if !request.body.is_empty() {
            match self.seal.again(&request.body, ignore) {
                Ok(body) => request.body = body,
                Err(error) => {
                    tracing::error!(operation = request.operation.name(), %error, "cannot be sent again");
                    return Ok(response);
                }
            }
        }
        self.inner.exchange(request).await
    }
}
