use std::sync::atomic::{AtomicUsize, Ordering};

use rxon::transport::http::Token;
use rxon::transport::{Connector, ExchangeFuture, Request};

use super::*;
use crate::capacity::Catalogue;
use crate::capacity::checker::Capacity;
use crate::capacity::slots::Slots;
use crate::capacity::turns::{Precedence, Turns};
use crate::config::{CapacityReporting, MultiOrchestratorMode};
use crate::execution::router::Router;
use crate::execution::tests::{executor, origin};
use crate::peer::token::TokenKeeper;
use crate::session::fleet::Orchestrators;

/// Every exchange is a mistake of ours.
#[derive(Debug, Clone, Default)]
struct Panics(Arc<AtomicUsize>);

impl Connector for Panics {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(self.clone())
    }

    fn channel(&self) -> rxon::transport::OpenFuture<'_> {
        Box::pin(async { panic!("not asked for") })
    }
}

impl Transport for Panics {
    fn exchange(&mut self, _: Request) -> ExchangeFuture<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { panic!("boom") })
    }
}

/// The pollers of one session, with what they use.
struct Site {
    session: Arc<Session>,
    offer: Arc<Offer>,
    ends: Ends,
    pollers: TaskTracker,
}

impl Site {
    /// Begins to poll through this connector.
    fn new(connector: Arc<dyn Connector>) -> Self {
        let session = session(connector);
        let offer = offer(&session);
        let polling =
            PollingSettings { max_pollers: 8, error_delay: Duration::ZERO, idle_delay: Duration::ZERO };
        let settings = PollerSettings { poll_timeout: Duration::from_secs(30), polling };
        let (ends, executor) = (Ends::default(), executor(Router::default()));
        let poller = Pollers::new(session.clone(), offer.clone(), executor, ends.clone(), settings);
        let pollers = TaskTracker::new();
        pollers.spawn(poller.supervise());
        session.orchestrators.registered(0);
        Self { session, offer, ends, pollers }
    }

    /// Ends the polls, and checks that everything was given back.
    async fn end(self) {
        self.ends.stop_asking();
        self.pollers.close();
        self.pollers.wait().await;
        assert_eq!((*self.session.pollers.borrow(), self.offer.slots.free()), (0, 1));
    }
}

/// What a worker without tasks accepts.
pub(crate) fn offer(session: &Session) -> Arc<Offer> {
    Arc::new(Offer {
        catalogue: Catalogue::default(),
        slots: session.orchestrators.slots(),
        checker: Capacity::new(None, [].into_iter()),
        hot_cache: Arc::default(),
        skill_dependencies: std::collections::BTreeMap::new(),
        disk: Arc::default(),
        reporting: CapacityReporting::Strict,
        draining: false.into(),
    })
}

/// A session with one orchestrator, of which nothing runs.
pub(crate) fn session(connector: Arc<dyn Connector>) -> Arc<Session> {
    let slots = Slots::new(1, &[], Turns::new(Precedence::Weight, &[1]));
    let origin = origin(connector.clone());
    let token = Token::new("token").expect("a token");
    Arc::new(Session {
        orchestrators: Arc::new(Orchestrators::new(
            MultiOrchestratorMode::RoundRobin,
            vec![origin.peer.name.to_string()],
            slots,
        )),
        tokens: TokenKeeper::new(origin.peer.log.clone(), connector, token, "token", false),
        origin,
        pollers: watch::Sender::new(0),
        polls: OpenPolls::default(),
    })
}

/// A transport that forgets all its limits.
#[derive(Debug, Clone, Default)]
struct Hangs(Arc<AtomicUsize>);

impl Connector for Hangs {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(self.clone())
    }

    fn channel(&self) -> rxon::transport::OpenFuture<'_> {
        Box::pin(async { panic!("not asked for") })
    }
}

impl Transport for Hangs {
    fn exchange(&mut self, _: Request) -> ExchangeFuture<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_hangs_is_replaced_and_gives_its_slot_back() {
    let logs = testkit::capture::Logs::new();
    let _guard = logs.start();
    let hangs = Hangs::default();
    let site = Site::new(Arc::new(hangs.clone()));
    // 30 s that it may be held, 5 s of grace, 35 s for what else may come between.
    tokio::time::sleep(Duration::from_millis(70_100)).await;
    assert_eq!(logs.count("a poll hangs: not even its time limit has ended it"), 1);
    assert_eq!(logs.count("a poller died: another takes its place"), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(hangs.0.load(Ordering::SeqCst), 2, "another polls");
    assert_eq!((site.session.polls.count(), site.session.polls.overdue()), (1, None));
    site.ends.let_go.cancel();
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_dies_is_replaced_gives_its_slot_back_and_makes_no_hot_loop() {
    let panics = Panics::default();
    let site = Site::new(Arc::new(panics.clone()));
    tokio::time::sleep(Duration::from_millis(9500)).await;
    let polls = panics.0.load(Ordering::SeqCst);
    assert_eq!(polls, 10, "one at once, and one each second");
    assert_eq!(*site.session.pollers.borrow(), 1, "one waits");
    site.end().await;
}
