mod course;
#[cfg(feature = "durable")]
mod durable;

use std::time::Duration;

use rxon::JobId;
use rxon::model::TaskResult;
use rxon::signing::Seal;
use rxon::transport::{Connector, ExchangeFuture, Request, Response, Transport, memory};

use super::*;
use crate::peer::log::{PeerCounts, PeerLog};

const SECOND: Duration = Duration::from_secs(1);

fn delivery(connector: Arc<dyn Connector>) -> Arc<Delivery> {
    delivery_of_one(1, connector)
}

/// The delivery to one of `sharers` orchestrators.
fn delivery_of_one(sharers: usize, connector: Arc<dyn Connector>) -> Arc<Delivery> {
    let worker = WorkerId::new("w1").expect("an identifier");
    let log = PeerLog::new("http://peer".into(), &PeerCounts::default());
    let peer = Peer::new(log, connector, Seal::new(worker.clone(), "token"));
    let settings = OutboxSettings {
        quick_tries: 5,
        first_delay: SECOND,
        max_age: 86_400 * SECOND,
        resend_ambiguous: true,
        max_at_once: 4,
        sharers,
    };
    let (heartbeat_trigger, counts) = (Arc::new(HeartbeatTrigger::new(1)), DeliveryCounts::default());
    Delivery::new(peer, worker, settings, heartbeat_trigger, None, &counts, TaskTracker::new())
}

fn task(number: usize) -> TaskId {
    TaskId::received(number.to_string()).expect("not empty")
}

fn result(number: usize) -> TaskResult {
    TaskResult {
        job_id: JobId::received("j").expect("not empty"),
        task_id: task(number),
        worker_id: WorkerId::new("w1").expect("an identifier"),
        origin_worker_id: WorkerId::new("w1").expect("an identifier"),
        status: "success".to_owned(),
        data: None,
        error: None,
        data_metadata: std::collections::BTreeMap::new(),
        metadata: None,
        costs: None,
    }
}

fn entry(number: usize) -> OutboxEntry {
    let TaskResult { job_id, task_id, .. } = result(number);
    OutboxEntry::new(task_id, job_id, Bytes::from_static(b"{}"))
}

async fn repeat(delivery: &Arc<Delivery>) {
    let OutboxEntry { task_id, job_id, body, .. } = entry(0);
    delivery.repeat(task_id, job_id, body).await;
}

fn ok() -> Response {
    Response::new(200, "{}")
}

#[tokio::test(start_paused = true)]
async fn results_of_one_moment_do_not_wait_for_each_other() {
    let (connector, mut peer) = memory::pair();
    let delivery = delivery(Arc::new(connector));
    // One sender is there already, and idle.
    delivery.push(&result(9), None).await;
    peer.next().await.expect("a request").answer(Ok(ok()));
    delivery.empty().await;
    for number in 0..9 {
        delivery.push(&result(number), None).await;
    }
    let mut hanging = Vec::new();
    for _ in 0..8 {
        let next = tokio::time::timeout(SECOND, peer.next()).await.expect("at once");
        hanging.push(next.expect("a request"));
    }
    assert!(tokio::time::timeout(SECOND, peer.next()).await.is_err(), "no more than eight at once");
    // The one that is left goes as soon as one of them is done, and so does what is tried again.
    hanging.pop().expect("eight").answer(Ok(ok()));
    peer.next().await.expect("the ninth").answer(Ok(Response::new(503, "")));
    let again = tokio::time::timeout(2 * SECOND, peer.next()).await.expect("after its delay");
    again.expect("a request").answer(Ok(ok()));
    tokio::time::timeout(SECOND, async {
        while delivery.unacknowledged() > 7 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("acknowledged");
}

#[tokio::test(start_paused = true)]
async fn a_result_is_tried_again_while_a_sender_hangs() {
    let (connector, mut peer) = memory::pair();
    let delivery = delivery(Arc::new(connector));
    delivery.push(&result(0), None).await;
    let _hangs = peer.next().await.expect("the first");
    delivery.push(&result(1), None).await;
    peer.next().await.expect("the second").answer(Ok(Response::new(503, "")));
    let again = tokio::time::timeout(2 * SECOND, peer.next()).await.expect("after its delay");
    drop(again);
}

/// Counts the transports that live.
#[derive(Debug)]
struct CountedConnector(Arc<dyn Connector>, Arc<()>);

#[derive(Debug)]
struct CountedTransport(Box<dyn Transport>, #[expect(dead_code, reason = "it is counted")] Arc<()>);

impl Connector for CountedConnector {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(CountedTransport(self.0.transport(), self.1.clone()))
    }

    fn channel(&self) -> rxon::transport::OpenFuture<'_> {
        self.0.channel()
    }
}

impl Transport for CountedTransport {
    fn exchange(&mut self, request: Request) -> ExchangeFuture<'_> {
        self.0.exchange(request)
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_after_a_minute_and_opened_when_they_are_needed() {
    let (connector, mut peer) = memory::pair();
    let connector = Arc::new(CountedConnector(Arc::new(connector), Arc::default()));
    let connections = || Arc::strong_count(&connector.1) - 1;
    let delivery = delivery(connector.clone());
    for round in 0..2 {
        for number in 0..4 {
            delivery.push(&result(10 * round + number), None).await;
        }
        let mut waiting = Vec::new();
        for _ in 0..4 {
            waiting.push(peer.next().await.expect("a request"));
        }
        for request in waiting {
            request.answer(Ok(ok()));
        }
        delivery.empty().await;
        tokio::time::sleep(58 * SECOND).await;
        assert_eq!(connections(), 4);
        tokio::time::sleep(4 * SECOND).await;
        assert_eq!(connections(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_is_tried_again_after_a_long_silence() {
    let (connector, mut peer) = memory::pair();
    let delivery = delivery(Arc::new(connector));
    delivery.push(&result(0), None).await;
    let response = Response { retry_after: Some(300 * SECOND), ..Response::new(429, "") };
    peer.next().await.expect("a request").answer(Ok(response));
    tokio::time::timeout(290 * SECOND, peer.next()).await.expect_err("silence");
    tokio::time::timeout(20 * SECOND, peer.next())
        .await
        .expect("after the silence")
        .expect("a request")
        .answer(Ok(ok()));
    delivery.empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_result_is_repeated_once_and_not_while_it_is_on_its_way() {
    let (connector, mut peer) = memory::pair();
    let delivery = delivery(Arc::new(connector));
    assert!(delivery.seen(&task(0)).is_none());
    delivery.push(&result(0), None).await;
    assert!(delivery.seen(&task(0)).expect("known").1, "on its way");
    repeat(&delivery).await;
    assert_eq!(delivery.unacknowledged(), 1);
    peer.next().await.expect("a request").answer(Ok(ok()));
    delivery.empty().await;
    let (seen, on_its_way) = delivery.seen(&task(0)).expect("known");
    assert!(seen.acknowledged && !on_its_way);
    // Two polls bring the task again.
    repeat(&delivery).await;
    repeat(&delivery).await;
    assert_eq!(delivery.unacknowledged(), 1);
    // However long it waits, the task is not run again while its result is on its way.
    tokio::time::sleep(700 * SECOND).await;
    assert!(delivery.seen(&task(0)).expect("known").1);
}

#[tokio::test(start_paused = true)]
async fn several_orchestrators_share_the_room() {
    let (connector, _peer) = memory::pair();
    let delivery = delivery_of_one(4, Arc::new(connector));
    for number in 0..MAX_RESULTS / 4 {
        assert!(delivery.has_room());
        delivery.push(&result(number), None).await;
    }
    assert!(!delivery.has_room());
}

#[tokio::test(start_paused = true)]
async fn room_is_waited_for() {
    let (connector, mut peer) = memory::pair();
    let delivery = delivery(Arc::new(connector));
    delivery.room().await;
    for number in 0..MAX_RESULTS {
        delivery.push(&result(number), None).await;
    }
    assert!(!delivery.has_room());
    let mut room = std::pin::pin!(delivery.room());
    assert!(tokio::time::timeout(SECOND, room.as_mut()).await.is_err());
    peer.next().await.expect("a request").answer(Ok(ok()));
    tokio::time::timeout(SECOND, room).await.expect("room");
}

#[tokio::test(start_paused = true)]
async fn the_lack_of_room_is_logged_once_and_so_is_its_end() {
    const FULL: &str = "WARN avtomatika_worker::delivery::desk: polling pauses";
    const AGAIN: &str = "INFO avtomatika_worker::delivery::desk: polling goes on";
    let logs = testkit::capture::Logs::new();
    let _guard = logs.start();
    let (connector, mut peer) = memory::pair();
    let delivery = delivery_of_one(10, Arc::new(connector));
    let said = || (logs.count(FULL), logs.count(AGAIN));
    for number in 0..1000 {
        assert_eq!(said(), (0, 0), "{number}");
        delivery.push(&result(number), None).await;
    }
    assert_eq!(said(), (1, 0));
    assert!(logs.contains("orchestrator=http://peer results=1000 max_results=1000"), "{logs:?}");
    // One goes and another comes, again and again: nothing new.
    for number in 1000..1010 {
        peer.next().await.expect("a request").answer(Ok(ok()));
        delivery.room().await;
        delivery.push(&result(number), None).await;
    }
    assert_eq!(said(), (1, 0));
    while delivery.unacknowledged() > 0 {
        peer.next().await.expect("a request").answer(Ok(ok()));
        tokio::task::yield_now().await;
    }
    delivery.empty().await;
    assert_eq!(said(), (1, 1));
}

/// Panics in the first exchange; the next ones go well.
#[derive(Debug, Clone, Default)]
struct Panicking(Arc<std::sync::atomic::AtomicUsize>);

impl Connector for Panicking {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(self.clone())
    }

    fn channel(&self) -> rxon::transport::OpenFuture<'_> {
        Box::pin(async { panic!("not asked for") })
    }
}

impl Transport for Panicking {
    fn exchange(&mut self, _: Request) -> ExchangeFuture<'_> {
        Box::pin(async {
            assert!(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0, "the first");
            Ok(ok())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_one_try() {
    let connector = Panicking::default();
    let delivery = delivery(Arc::new(connector.clone()));
    delivery.push(&result(0), None).await;
    tokio::time::timeout(5 * SECOND, delivery.empty()).await.expect("sent all the same");
    assert_eq!(connector.0.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn senders_end_when_the_delivery_is_closed() {
    let (connector, mut peer) = memory::pair();
    let delivery = delivery(Arc::new(connector));
    delivery.push(&result(0), None).await;
    let _hangs = peer.next().await.expect("a request");
    delivery.closed.cancel();
    delivery.tracker.close();
    delivery.tracker.wait().await;
    assert_eq!(delivery.unacknowledged(), 1);
}
