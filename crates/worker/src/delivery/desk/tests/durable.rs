//! Results that are kept on disk.

use std::path::Path;

use super::super::super::spool::{OpenedSpool, Spool};
use super::*;
use crate::delivery::distribute;

async fn open(folder: &Path) -> OpenedSpool {
    let worker = WorkerId::new("w1").expect("an identifier");
    Spool::open(folder.to_owned(), &worker).await.expect("it opens")
}

async fn keep_on_disk(delivery: &Arc<Delivery>, folder: &Path) -> Arc<Spool> {
    distribute(open(folder).await, std::slice::from_ref(delivery), 86_400 * SECOND)
}

/// The results that a process would find if this one were killed now.
async fn found_after_a_kill(folder: &Path) -> Vec<String> {
    let copy = tempfile::tempdir().expect("a folder");
    std::fs::copy(folder.join("w1.redb"), copy.path().join("w1.redb")).expect("copied");
    let (_, results) = open(copy.path()).await;
    results.into_iter().map(|(_, record)| record.task_id.to_string()).collect()
}

#[tokio::test]
async fn a_result_is_on_disk_before_its_first_try_and_gone_once_it_is_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let (connector, mut peer) = memory::pair();
    let delivery = delivery(Arc::new(connector));
    let spool = keep_on_disk(&delivery, folder.path()).await;
    for number in 0..20 {
        delivery.push(&result(number), None).await;
        let request = peer.next().await.expect("a try");
        assert_eq!(found_after_a_kill(folder.path()).await, [number.to_string()]);
        request.answer(Ok(ok()));
        delivery.empty().await;
        assert_eq!(delivery.left_over(), (vec![], vec![]));
        // Whatever is waited for comes after it.
        spool.change_durably(|ledger| ledger.set_in_flight(999, true)).await;
        assert_eq!(found_after_a_kill(folder.path()).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn results_of_an_earlier_run_count_from_the_start_and_wait_for_the_registration() {
    let folder = tempfile::tempdir().expect("a folder");
    let (connector, _peer) = memory::pair();
    let before = delivery(Arc::new(connector));
    let spool = keep_on_disk(&before, folder.path()).await;
    for number in 0..3 {
        before.push(&result(number), None).await;
    }
    before.closed.cancel();
    let (lost, kept) = before.left_over();
    assert_eq!((lost.len(), kept.len()), (0, 3));
    spool.close().await;
    drop((before, spool));

    let (connector, mut peer) = memory::pair();
    // As many as fit, if there were so many orchestrators.
    let delivery = delivery_of_one(MAX_RESULTS / 3, Arc::new(connector));
    keep_on_disk(&delivery, folder.path()).await;
    assert_eq!((delivery.unacknowledged(), delivery.has_room()), (3, false));
    assert!(delivery.seen(&task(1)).is_some_and(|(_, on_its_way)| on_its_way));
    assert!(tokio::time::timeout(SECOND / 5, peer.next()).await.is_err(), "not before");
    delivery.release();
    for _ in 0..3 {
        peer.next().await.expect("a try").answer(Ok(ok()));
    }
    delivery.room().await;
    delivery.empty().await;
}
