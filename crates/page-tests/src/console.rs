//! What a page must not do: write errors, or ask anybody but its server.

use serde_json::Value;
use thirtyfour::WebDriver;

/// Returns a sentence for each error in the console, violations of the policy included, but not for those that have one
/// of the `expected` texts.
pub(crate) async fn errors(session: &WebDriver, expected: &[&str]) -> Vec<String> {
    let log = session.browser_log().await.expect("the browser has a log");
    let bad = log.into_iter().filter(|entry| entry.level == "SEVERE" || entry.level == "WARNING");
    let unexpected = bad.filter(|entry| !expected.iter().any(|text| entry.message.contains(text)));
    unexpected.map(|entry| entry.message).collect()
}

/// Returns the addresses of other servers that the browser has asked since the last call.
pub(crate) async fn strangers(session: &WebDriver, own: &str) -> Vec<String> {
    let log = session.get_log("performance").await.expect("the browser has a log of its requests");
    let events = log.iter().filter_map(|entry| serde_json::from_str::<Value>(&entry.message).ok());
    let addresses = events.filter_map(|event| address(&event["message"]));
    addresses.filter(|address| !is_own(address, own)).collect()
}

fn address(message: &Value) -> Option<String> {
    let parameters = &message["params"];
    let address = match message["method"].as_str()? {
        "Network.requestWillBeSent" => &parameters["request"]["url"],
        "Network.webSocketCreated" => &parameters["url"],
        _ => return None,
    };
    address.as_str().map(str::to_owned)
}

/// Whether it is an address of the server, or stays within the browser.
fn is_own(address: &str, own: &str) -> bool {
    let rest = address.strip_prefix("blob:").unwrap_or(address);
    let within = ["about:", "data:", "chrome:"].iter().any(|scheme| rest.starts_with(scheme));
    within || rest.strip_prefix(own).is_some_and(|path| path.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_elsewhere_is_seen() {
        let own = "http://127.0.0.1:8080";
        let request = json!({"method": "Network.requestWillBeSent",
            "params": {"request": {"url": "https://fonts.example/a.woff"}}});
        assert!(!is_own(&address(&request).expect("a request"), own));
        assert_eq!(address(&json!({"method": "Network.dataReceived", "params": {}})), None);
        for stranger in ["http://127.0.0.1:80801/", "http://127.0.0.1:8080.example/", "ws://127.0.0.1:8080/"]
        {
            assert!(!is_own(stranger, own), "{stranger}");
        }
        for same in ["http://127.0.0.1:8080/api", "blob:http://127.0.0.1:8080/5f", "data:text/plain,a"] {
            assert!(is_own(same, own), "{same}");
        }
    }
}
