//! A page that stays open.

use page_tests::{Options, Page, Stage, until};
use serde_json::{Value, json};

/// Events after which the page has all that it keeps.
const WARM: u32 = 20_000;

const ALL: u32 = 100_000;

/// Events that are sent before the page is waited for: far fewer than the server keeps for a slow reader.
const AT_ONCE: u32 = 1_000;

/// Counts the events that reach the page.
const COUNT: &str = "window.arrived = { task: 0, snapshot: 0, lagged: 0 };
    window.EventSource = class extends EventSource {
      constructor(...given) {
        super(...given);
        for (const kind of Object.keys(window.arrived)) {
          this.addEventListener(kind, () => { window.arrived[kind] += 1; });
        }
      }
    };";

/// Returns the bytes of the page's objects that are in use.
async fn heap(page: &Page) -> f64 {
    page.cdp("HeapProfiler.collectGarbage", json!({})).await;
    let usage = page.cdp("Runtime.getHeapUsage", json!({})).await;
    usage["usedSize"].as_f64().expect("a number")
}

async fn arrived(page: &Page) -> Value {
    page.script("return window.arrived;", vec![]).await
}

/// Waits until so many events have reached the page.
async fn all_arrive(page: &Page, events: u32) {
    let what = format!("{events} events");
    until(&what, async || (arrived(page).await["task"].as_u64()? >= events.into()).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_over_100_000_events() {
    let stage = Stage::alone().await;
    let page = Page::open_with(&stage.url(), "/", Options::default().unnoted()).await;
    page.script_first(COUNT).await;
    page.goto("/").await;
    page.is_live().await;
    let mut sent = 0;
    // Each task has two events: it is submitted, and it is cancelled. Both are only told when the one is told before the
    // other happens.
    let mut send_until = async |events: u32| {
        while sent < events {
            let submit = |number| stage.submit("archive", &json!({ "number": number }));
            let jobs: Vec<String> = (0..AT_ONCE).map(submit).collect();
            sent += AT_ONCE;
            all_arrive(&page, sent).await;
            for job in jobs {
                stage.orchestrator().cancel(&job).expect("it waits");
            }
            sent += AT_ONCE;
            all_arrive(&page, sent).await;
        }
        let count = format!("Cancelled {}", events / 2);
        until(&count, async || page.sees("link", &count).await.map(drop)).await;
        heap(&page).await
    };
    let warm = send_until(WARM).await;
    let end = send_until(ALL).await;
    // A page that lags gets a snapshot in place of the events.
    assert_eq!(arrived(&page).await, json!({ "task": ALL, "snapshot": 1, "lagged": 0 }));
    // A page that keeps 100 bytes of each event would have 8 MB more.
    assert!(end < warm * 1.25 + 1e6, "{:.1} MiB became {:.1} MiB", mib(warm), mib(end));
    page.end().await;
    stage.end().await;
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}
