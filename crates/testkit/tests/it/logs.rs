//! Captured log lines.

use testkit::capture::Logs;
use tracing::Level;

#[tokio::test]
async fn lines_of_this_thread_are_caught_while_the_guard_lives() {
    let logs = Logs::new();
    let guard = logs.start();
    tracing::info!(answer = 42, "here");
    tracing::trace!("too fine");
    drop(guard);
    tracing::info!("afterwards");
    assert_eq!(logs.lines().len(), 1, "{logs:?}");
    assert!(logs.contains("here answer=42") && logs.lines()[0].trim_start().starts_with("INFO"));
    assert_eq!(logs.count("here"), 1);
}

#[tokio::test]
async fn other_threads_log_into_it_when_handed_the_dispatch() {
    let logs = Logs::at(Level::TRACE);
    let dispatch = logs.dispatch();
    let thread = std::thread::spawn(move || {
        tracing::dispatcher::with_default(&dispatch, || tracing::trace!("from afar"));
    });
    assert!(logs.wait_for("from afar").await.contains("TRACE"));
    thread.join().unwrap();
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "waited 60s for a line with `never`; seen so far:\n")]
async fn waiting_in_vain_shows_the_lines() {
    Logs::new().wait_for("never").await;
}
