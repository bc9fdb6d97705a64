use std::sync::atomic::{AtomicUsize, Ordering};

use rxon::transport::http::Token;
use rxon::transport::{Connector, ExchangeFuture, Request};

use super::*;
use crate::capacity::checker::Capacity;
use crate::capacity::slots::Slots;
use crate::capacity::turns::{Precedence, Turns};
use crate::config::{CapacityReporting, MultiOrchestratorMode};
use crate::execution::Router;
use crate::execution::tests::{executor, origin};
use crate::peer::token::TokenKeeper;
use crate::session::fleet::Fleet;

/// A transport that panics at every exchange.
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

const SETTINGS: PollingSettings = PollingSettings {
    poll_timeout: Duration::from_secs(30),
    max_pollers: 8,
    reserve: 0,
    error_delay: Duration::ZERO,
    idle_delay: Duration::ZERO,
};

/// The pollers of one session, and the parts that they use.
struct PollerBench {
    session: Arc<Session>,
    offer: Arc<Offer>,
    ends: Ends,
    pollers: TaskTracker,
}

impl PollerBench {
    /// Begins to poll through this connector.
    fn new(connector: Arc<dyn Connector>) -> Self {
        let session = session(connector);
        let offer = offer(&session);
        let (ends, executor) = (Ends::default(), executor(Router::default()));
        let poller = Pollers::new(session.clone(), offer.clone(), executor, ends.clone(), SETTINGS);
        let pollers = TaskTracker::new();
        pollers.spawn(poller.supervise());
        session.fleet.on_registered(session.origin.orchestrator);
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

/// The offer of a worker without tasks.
pub(crate) fn offer(session: &Session) -> Arc<Offer> {
    Arc::new(Offer {
        catalogue: Arc::default(),
        slots: session.fleet.slots.clone(),
        checker: Capacity::new(None),
        hot_cache: Arc::default(),
        skill_dependencies: std::collections::BTreeMap::new(),
        disk: Arc::default(),
        reporting: CapacityReporting::Strict,
        draining: Arc::default(),
    })
}

/// A session with one orchestrator; nothing runs yet.
pub(crate) fn session(connector: Arc<dyn Connector>) -> Arc<Session> {
    let slots = Slots::new(1, &[], Turns::new(Precedence::Weight, &[1]));
    let origin = origin(connector.clone());
    let token = Token::new("token").expect("a token");
    Arc::new(Session {
        fleet: Arc::new(Fleet::new(
            MultiOrchestratorMode::RoundRobin,
            vec![origin.peer.name.to_string()],
            slots,
        )),
        tokens: vec![TokenKeeper::new(origin.peer.log.clone(), connector, token, "token", false)],
        origin,
        pollers: watch::Sender::new(0),
        open_polls: OpenPolls::default(),
    })
}

/// A transport that never answers, and keeps no time limit.
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
    let bench = PollerBench::new(Arc::new(hangs.clone()));
    // 30 s for the orchestrator to hold it, 5 s of grace, 35 s to connect and repeat it.
    tokio::time::sleep(Duration::from_millis(70_100)).await;
    assert_eq!(logs.count("a poll hangs: not even its time limit has ended it"), 1);
    assert_eq!(logs.count("a poller died: another takes its place"), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(hangs.0.load(Ordering::SeqCst), 2, "another polls");
    assert_eq!((bench.session.open_polls.count(), bench.session.open_polls.overdue()), (1, None));
    bench.ends.abandon_polls.cancel();
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_dies_is_replaced_gives_its_slot_back_and_makes_no_hot_loop() {
    let panics = Panics::default();
    let bench = PollerBench::new(Arc::new(panics.clone()));
    tokio::time::sleep(Duration::from_millis(9500)).await;
    let polls = panics.0.load(Ordering::SeqCst);
    assert_eq!(polls, 10, "one at once, and one each second");
    assert_eq!(*bench.session.pollers.borrow(), 1, "one waits");
    bench.end().await;
}

#[tokio::test]
async fn the_query_is_made_anew_only_when_what_it_names_has_changed() {
    let session = session(Arc::new(Hangs::default()));
    let offer = offer(&session);
    let executor = executor(Router::default());
    let pollers = Pollers::new(session, offer.clone(), executor, Ends::default(), SETTINGS);
    let asked = SETTINGS.poll_timeout;
    let query = |expected: &str| {
        let query = pollers.query(asked);
        assert_eq!(query.as_str(), expected);
        assert!(Arc::ptr_eq(&query, &pollers.query(asked)), "it is the same");
    };
    query("timeout=30&available_skills=&hot_skills=");
    let name = rxon::TaskName::new("draw").expect("a name");
    offer.catalogue.add(crate::worker::task_options::TaskOptions::new().skill(name), None);
    query("timeout=30&available_skills=draw&hot_skills=");
    offer.hot_cache.add("draw".to_owned());
    query("timeout=30&available_skills=draw&hot_skills=draw");
    offer.hot_cache.remove("draw");
    query("timeout=30&available_skills=draw&hot_skills=");
    let shorter = pollers.query(Duration::from_secs(4));
    assert_eq!(shorter.as_str(), "timeout=4&available_skills=draw&hot_skills=");
}
