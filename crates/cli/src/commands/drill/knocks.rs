//! Whether a worker waits for as long as it was told when it sends too many requests.

use std::collections::BTreeMap;

use avtomatika_dev::{DevOrchestrator, Fault};
use serde::Deserialize;

use crate::args::Global;
use crate::client::Client;
use crate::exit::Failure;

/// The kinds of requests that are limited, each for itself.
const KINDS: [&str; 3] = ["poll", "heartbeat", "result"];

/// The seconds of silence after a refusal that does not say when: the windows of the servers are that long.
const SILENCE: f64 = 60.0;

/// The seconds after a refusal in which another request may still have been on its way.
const UNDERWAY: f64 = 0.25;

/// The seconds by which clocks and timers may differ.
const TOLERANCE: f64 = 0.2;

#[derive(Deserialize)]
struct Page {
    exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Exchange {
    at: f64,
    seconds: f64,
    fault: Option<String>,
    response: Message,
}

#[derive(Deserialize)]
struct Message {
    headers: BTreeMap<String, String>,
}

impl Exchange {
    /// The time of a refusal, and the seconds in which nothing of the same kind may follow.
    fn refused(&self) -> Option<(f64, f64)> {
        let is_refused = self.fault.as_deref() == Some(Fault::TooMany.as_str());
        let told = || self.response.headers.get("retry-after")?.parse().ok();
        is_refused.then(|| (self.at + self.seconds, told().unwrap_or(SILENCE)))
    }
}

/// Says which request came too soon after a refusal since this time, in seconds since 1970.
pub(super) async fn too_soon(orchestrator: &DevOrchestrator, since: f64) -> Result<Option<String>, Failure> {
    let client = Client::new(&Global { server: Some(orchestrator.url()), ..Global::default() })?;
    for kind in KINDS {
        let answer = client.get(&format!("/api/wire?operation={kind}&limit=10000")).await?;
        let mut exchanges = answer.read::<Page>()?.exchanges;
        exchanges.retain(|exchange| exchange.at >= since);
        if let Some((after, expected)) = first_too_soon(&mut exchanges) {
            return Ok(Some(format!(
                "a {kind} came {after:.1} s after one that was refused, expected {expected:.0} s or more of silence"
            )));
        }
    }
    Ok(None)
}

/// Returns the seconds between a refusal and the first request that came too soon after it, and those that were expected.
fn first_too_soon(exchanges: &mut [Exchange]) -> Option<(f64, f64)> {
    exchanges.sort_by(|one, other| one.at.total_cmp(&other.at));
    exchanges.iter().enumerate().find_map(|(index, exchange)| {
        exchanges[..index].iter().filter_map(Exchange::refused).find_map(|(at, silence)| {
            let after = exchange.at - at;
            (after > UNDERWAY && after < silence - TOLERANCE).then_some((after, silence))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Requests at these seconds, and whether they are refused: with a time to wait or without.
    fn requests(requests: &[(f64, Option<bool>)]) -> Option<(f64, f64)> {
        let exchange = |(at, refused): &(f64, Option<bool>)| {
            let headers = if *refused == Some(true) { json!({"retry-after": "2"}) } else { json!({}) };
            let fault = refused.map(|_| "too_many");
            json!({"at": at, "seconds": 0.0, "fault": fault, "response": {"headers": headers}})
        };
        let exchanges = requests.iter().map(exchange).collect::<Vec<_>>();
        let mut page: Page = serde_json::from_value(json!({ "exchanges": exchanges })).expect("a page");
        first_too_soon(&mut page.exchanges)
    }

    #[test]
    fn a_request_that_comes_too_soon_is_found() {
        let (told, untold) = (Some(true), Some(false));
        assert_eq!(requests(&[(0.0, None), (0.5, None), (1.0, told), (3.0, untold), (64.0, None)]), None);
        // Another poller, whose request was on its way.
        assert_eq!(requests(&[(1.0, untold), (1.1, untold), (62.5, None)]), None);
        assert_eq!(requests(&[(1.0, told), (1.5, told)]), Some((0.5, 2.0)));
        assert_eq!(requests(&[(1.0, untold), (31.0, None), (90.0, None)]), Some((30.0, 60.0)));
        assert_eq!(requests(&[(1.0, untold), (1.1, untold), (1.25, untold), (1.5, None)]), Some((0.5, 60.0)));
    }
}
