//! Cookies of a gateway in front of the orchestrator.

use rxon::transport::{Connector as _, Opened};
use testkit::{Answer, Endpoint, ScriptedOrchestrator};

use crate::client::{Client, send};

#[tokio::test]
async fn a_cookie_is_sent_back_by_every_transport_of_the_orchestrator_and_by_the_websocket() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let accepted = || Answer::ok(serde_json::json!({"status": "accepted"}));
    let cookie = "route=gate-3; Path=/; HttpOnly";
    orchestrator.answer_next(Endpoint::Result, accepted().header("set-cookie", cookie));
    let connector = Client::of(&orchestrator).connector();
    let mut transports = [connector.transport(), connector.transport()];
    for index in [0, 1, 0] {
        send(&mut *transports[index]).await.expect("an answer");
    }
    assert!(matches!(connector.channel().await, Ok(Opened::Channel(_))));
    send(&mut *Client::of(&orchestrator).transport()).await.expect("an answer");
    let seen = |endpoint| -> Vec<Option<String>> {
        let requests = orchestrator.requests(endpoint);
        requests.iter().map(|request| request.header("cookie").map(str::to_owned)).collect()
    };
    let route = Some("route=gate-3".to_owned());
    assert_eq!(seen(Endpoint::Result), [None, route.clone(), route.clone(), None], "another jar is empty");
    assert_eq!(seen(Endpoint::WebSocket), [route]);
}
