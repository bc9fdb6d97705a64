//! Short-lived tokens: fetched if the worker has a client certificate, and whenever the credentials are refused.
//!
//! All transports of one orchestrator go through a [`Renewing`] connector: an exchange that is answered with 401 or 403
//! is repeated once, freshly signed, if there is another token to present. [`TokenKeeper`] fetches tokens, one at a time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rxon::model::TokenAnswer;
use rxon::secrets::Secrets;
use rxon::signing::{EVENT_IGNORES, Seal};
use rxon::transport::http::Token;
use rxon::transport::{Connector, ExchangeFuture, OpenFuture, Opened, Operation, Request, Transport};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::answer::{Answer, Exchange};
use super::log::PeerLog;
use super::log::in_seconds;
use crate::threads::until;

/// The time limit of a request for a token.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The minimum time between two requests for a token, however many exchanges are refused.
const PAUSE: Duration = Duration::from_secs(5);

/// The maximum number of short-lived tokens that are masked in log lines.
const MAX_REMEMBERED: usize = 4;

/// The part of a token's life after which it is refreshed.
const REFRESH_AT: f64 = 0.8;

/// Keeps the token of one orchestrator.
pub(crate) struct TokenKeeper {
    log: Arc<PeerLog>,
    connector: Arc<dyn Connector>,
    /// The token that is presented now.
    token: Token,
    long_lived: String,
    /// Masks the short-lived tokens presented last.
    secrets: Secrets,
    /// A token is fetched before the registration.
    eager: bool,
    /// The number of times the token was replaced.
    epoch: watch::Sender<u64>,
    fetching: Mutex<Fetching>,
}

/// The state of fetching: its lock permits one request for a token at a time.
#[derive(Default)]
struct Fetching {
    transport: Option<Box<dyn Transport>>,
    /// The time of the last request.
    asked: Option<Instant>,
    /// The life of the token that is presented; `None` for the long-lived one.
    life: Option<Life>,
    /// The short-lived tokens presented last, newest first: answers to requests that presented them may still come.
    recent: VecDeque<String>,
    /// The lack of a token was logged.
    is_logged: bool,
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

    /// The same life, to be refreshed later: once more before its end.
    fn postponed(self) -> Self {
        let now = Instant::now();
        let pause = (self.end.saturating_duration_since(now) / 2).max(PAUSE);
        Self { refresh: (now + pause).min(self.end), end: self.end }
    }
}

impl fmt::Debug for TokenKeeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TokenKeeper").field("orchestrator", &self.log.name).finish_non_exhaustive()
    }
}

impl TokenKeeper {
    /// Keeps `token`, which holds the long-lived one now. `eager` is true if the worker has a client certificate.
    pub(crate) fn new(
        log: Arc<PeerLog>,
        connector: Arc<dyn Connector>,
        token: Token,
        long_lived: &str,
        eager: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            log,
            connector,
            token,
            long_lived: long_lived.to_owned(),
            secrets: Secrets::new([]),
            eager,
            epoch: watch::Sender::new(0),
            fetching: Mutex::default(),
        })
    }

    fn epoch(&self) -> u64 {
        *self.epoch.borrow()
    }

    /// Refreshes short-lived tokens, forever.
    pub(crate) async fn keep(&self) {
        let mut replaced = self.epoch.subscribe();
        loop {
            let life = self.fetching.lock().await.life;
            tokio::select! {
                () = until(life.map(|life| life.refresh)) => self.refresh().await,
                _ = replaced.changed() => {}
            }
        }
    }

    async fn refresh(&self) {
        let mut fetching = self.fetching.lock().await;
        // It may have been replaced meanwhile.
        let Some(life) = fetching.life.filter(|life| life.refresh <= Instant::now()) else { return };
        if life.end <= Instant::now() {
            self.present_long_lived(&mut fetching);
        } else if !self.fetch(&mut fetching).await {
            fetching.life = Some(life.postponed());
        }
    }

    /// Fetches a token before a registration, if the worker has a client certificate.
    async fn prepare(&self) {
        if self.eager {
            let mut fetching = self.fetching.lock().await;
            if fetching.life.is_none() && !is_too_soon(&fetching) {
                self.fetch(&mut fetching).await;
            }
        }
    }

    /// Replaces the token of the epoch `refused`. Returns whether there is another now.
    async fn renew(&self, refused: u64) -> bool {
        let mut fetching = self.fetching.lock().await;
        if self.epoch() != refused {
            return true;
        }
        if is_too_soon(&fetching) {
            return false;
        }
        self.fetch(&mut fetching).await || self.present_long_lived(&mut fetching)
    }

    /// Fetches a token and presents it from now on. Returns false if there was none.
    async fn fetch(&self, fetching: &mut Fetching) -> bool {
        let now = Instant::now();
        // After a 429 the token endpoint gets its silence, too.
        if self.log.gate(Exchange::Token).closed_until(now).is_some() {
            return false;
        }
        fetching.asked = Some(now);
        let transport = fetching.transport.get_or_insert_with(|| self.connector.transport());
        let response = transport.exchange(Request::new(Operation::Token, TIME_LIMIT)).await;
        let answer = match &response {
            Ok(response) => match (Answer::of(response), TokenAnswer::read(&response.body)) {
                // A token that no header can hold cannot be presented.
                (Answer::Good, Some(token)) if self.present(fetching, &token.access_token) => {
                    drop(self.log.record(Exchange::Token, &Answer::Good));
                    let (orchestrator, lasts) = (&self.log.name, token.expires_in);
                    tracing::debug!(%orchestrator, ?lasts, "got a short-lived token");
                    self.on_replaced(fetching, Some(Life::new(lasts)));
                    fetching.is_logged = false;
                    return true;
                }
                // The body is not quoted: it may hold half a token.
                (Answer::Good | Answer::Foreign(_), _) if response.is_success() => {
                    let (status, bytes) = (response.status, response.body.len());
                    Answer::Failed(format!("{status}, but no token in {bytes} bytes"))
                }
                (refusal, _) => refusal,
            },
            Err(error) => Answer::Nothing(error),
        };
        drop(self.log.record(Exchange::Token, &answer));
        if !std::mem::replace(&mut fetching.is_logged, true) {
            let pause = self.log.gate(Exchange::Token).silence(now).max(PAUSE);
            tracing::warn!(
                orchestrator = %self.log.name,
                "the orchestrator gives no short-lived token ({}): the worker goes on with its long-lived one, and asks \
                 again in {} at the earliest, with a registration or when a request is refused",
                answer.reason(),
                in_seconds(pause)
            );
        }
        false
    }

    /// Presents the long-lived token again. Returns false if it was presented already.
    fn present_long_lived(&self, fetching: &mut Fetching) -> bool {
        let had_another = fetching.life.is_some();
        if had_another && self.token.replace(&self.long_lived).is_ok() {
            self.on_replaced(fetching, None);
        }
        had_another
    }

    /// Presents a token from now on. It is masked first: the orchestrator's texts are logged, and may quote the token
    /// that they refuse. Returns false if no header can hold it.
    fn present(&self, fetching: &mut Fetching, token: &str) -> bool {
        fetching.recent.push_front(token.to_owned());
        fetching.recent.truncate(MAX_REMEMBERED);
        self.secrets.replace(fetching.recent.iter().cloned());
        self.token.replace(token).is_ok()
    }

    fn on_replaced(&self, fetching: &mut Fetching, life: Option<Life>) {
        fetching.life = life;
        self.epoch.send_modify(|epoch| *epoch += 1);
    }
}

fn is_too_soon(fetching: &Fetching) -> bool {
    fetching.asked.is_some_and(|asked| asked.elapsed() < PAUSE)
}

/// A connector, or a transport, whose exchanges are repeated once if another token may help.
#[derive(Debug)]
pub(crate) struct Renewing<T = Arc<dyn Connector>> {
    pub(crate) inner: T,
    pub(crate) keeper: Arc<TokenKeeper>,
    pub(crate) seal: Seal,
}

impl Connector for Renewing {
    fn transport(&self) -> Box<dyn Transport> {
        let (keeper, seal) = (self.keeper.clone(), self.seal.clone());
        Box::new(Renewing { inner: self.inner.transport(), keeper, seal })
    }

    fn channel(&self) -> OpenFuture<'_> {
        Box::pin(async move {
            let presented = self.keeper.epoch();
            match self.inner.channel().await? {
                Opened::Refused(response)
                    if response.is_unauthorized() && self.keeper.renew(presented).await =>
                {
                    self.inner.channel().await
                }
                opened => Ok(opened),
            }
        })
    }
}

impl Transport for Renewing<Box<dyn Transport>> {
    fn exchange(&mut self, mut request: Request) -> ExchangeFuture<'_> {
        Box::pin(async move {
            if matches!(request.operation, Operation::Register) {
                self.keeper.prepare().await;
            }
            let presented = self.keeper.epoch();
            let response = self.inner.exchange(request.clone()).await?;
            if !response.is_unauthorized() || !self.keeper.renew(presented).await {
                return Ok(response);
            }
            if !request.body.is_empty() && !request.is_ready_made {
                let is_event = matches!(request.operation, Operation::Event);
                let ignored: &[&str] = if is_event { &EVENT_IGNORES } else { &[] };
                match self.seal.again(&request.body, ignored) {
                    Ok(body) => request.body = body,
                    Err(error) => {
                        let operation = request.operation.name();
                        tracing::error!(operation, %error, "the message cannot be signed again");
                        return Ok(response);
                    }
                }
            }
            self.inner.exchange(request).await
        })
    }
}
