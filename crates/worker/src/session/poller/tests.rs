use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;
use rxon::signing::Seal;
use rxon::transport::{Connector, ExchangeFuture, Request};

use super::*;
use crate::config::WorkerConfig;
use crate::execution::router::Router;
use crate::peer::Peer;
use crate::peer::log::{PeerCounts, PeerLog};
use crate::peer::rate::RateGate;
use crate::session::PollingSettings;
use crate::worker::assembly::Assembly;
use crate::worker::plan::Plan;

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

pub(crate) fn assembly() -> Assembly {
    let plan = Plan {
        router: Router::default(),
        group_limits: Vec::new(),
        skill_dependencies: std::collections::BTreeMap::new(),
        // Nobody listens there.
        config: WorkerConfig::defaults().orchestrator_url("http://127.0.0.1:1".parse().ok()),
        worker_type: None,
        max_concurrent_tasks: Some(1),
        capacity_checker: None,
        on_ignored: None,
        on_command: None,
        hooks: crate::worker::hooks::Hooks::default(),
        controls: Arc::default(),
        storage: None,
    };
    Assembly::new(plan).expect("a worker")
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
    let Assembly { core, sessions, ends, .. } = assembly();
    let hangs = Hangs::default();
    let session = session(&core, &sessions[0], Arc::new(hangs.clone()));
    let settings =
        PollingSettings { max_pollers: 8, error_delay: Duration::ZERO, idle_delay: Duration::ZERO };
    let pollers = Pollers::new(
        core.clone(),
        session.clone(),
        ends.clone(),
        Polling::new(settings, RateGate::default(), Rng::new()),
    );
    let tracker = TaskTracker::new();
    tracker.spawn(pollers.supervise());
    core.orchestrators.registered(0);
    // 30 s that it may be held, 5 s of grace, 35 s for what else may come between.
    tokio::time::sleep(Duration::from_millis(70_100)).await;
    assert_eq!(logs.count("a poll hangs: not even its time limit has ended it"), 1);
    assert_eq!(logs.count("a poller died: another takes its place"), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(hangs.0.load(Ordering::SeqCst), 2, "another polls");
    assert_eq!((session.polls.count(), session.polls.overdue()), (1, None));
    ends.let_go.cancel();
    ends.stop_asking.cancel();
    tracker.close();
    tracker.wait().await;
    assert_eq!((*session.pollers.borrow(), core.slots.free()), (0, 1));
}

fn session(core: &Core, like: &Session, connector: Arc<dyn Connector>) -> Arc<Session> {
    let seal = Seal::new(core.worker_id.clone(), "token");
    Arc::new(Session {
        who: 0,
        orchestrators: core.orchestrators.clone(),
        peer: Peer::new(PeerLog::new("peer".into(), &PeerCounts::default()), connector, seal),
        tokens: like.tokens.clone(),
        delivery: like.delivery.clone(),
        progress: like.progress.clone(),
        pollers: tokio::sync::watch::Sender::new(0),
        polls: OpenPolls::default(),
    })
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_dies_is_replaced_gives_its_slot_back_and_makes_no_hot_loop() {
    let Assembly { core, sessions, ends, .. } = assembly();
    let panics = Panics::default();
    let session = session(&core, &sessions[0], Arc::new(panics.clone()));
    let settings =
        PollingSettings { max_pollers: 8, error_delay: Duration::ZERO, idle_delay: Duration::ZERO };
    let pollers = Pollers::new(
        core.clone(),
        session.clone(),
        ends.clone(),
        Polling::new(settings, RateGate::default(), Rng::new()),
    );
    let tracker = TaskTracker::new();
    tracker.spawn(pollers.supervise());
    core.orchestrators.registered(0);
    tokio::time::sleep(Duration::from_millis(9500)).await;
    let polls = panics.0.load(Ordering::SeqCst);
    assert_eq!(polls, 10, "one at once, and one each second");
    assert_eq!(*session.pollers.borrow(), 1, "one waits");
    ends.stop_asking.cancel();
    tracker.close();
    tracker.wait().await;
    assert_eq!((*session.pollers.borrow(), core.slots.free()), (0, 1));
}
