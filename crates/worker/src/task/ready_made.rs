//! Events that belong to no task, which the user makes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::Notify;

use crate::task::events::EventError;
use crate::threads::lock;

/// The maximum number of events that wait to be sent to one orchestrator.
const MAX_EVENTS: usize = 100;

/// The events that wait to be sent to one orchestrator: at most [`MAX_EVENTS`] wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct ReadyMadeEvents {
    waiting: Mutex<VecDeque<ReadyMadeEvent>>,
    added: Notify,
}

/// An event that the user made.
#[derive(Debug, Clone)]
pub(crate) struct ReadyMadeEvent {
    /// Without a seal, or with the user's.
    pub(crate) body: Bytes,
    pub(crate) is_signed: bool,
}

impl ReadyMadeEvents {
    /// Adds an event. Returns false if too many wait already.
    pub(crate) fn add(&self, event: ReadyMadeEvent) -> bool {
        let mut waiting = lock(&self.waiting);
        let has_room = waiting.len() < MAX_EVENTS;
        if has_room {
            waiting.push_back(event);
            self.added.notify_one();
        }
        has_room
    }

    /// Waits for the next event.
    ///
    /// # Cancel safety
    /// Nothing is taken before it returns.
    pub(crate) async fn next(&self) -> ReadyMadeEvent {
        loop {
            let event = lock(&self.waiting).pop_front();
            match event {
                Some(event) => return event,
                None => self.added.notified().await,
            }
        }
    }

    /// Drops the events that still wait, and returns their number.
    pub(crate) fn clear(&self) -> usize {
        std::mem::take(&mut *lock(&self.waiting)).len()
    }
}

/// Reads an event that the user made: a JSON object without members that are null. Unless it is signed, it has no
/// timestamp and no nonce either, which the seal adds.
pub(crate) fn ready_made(event: &impl Serialize) -> Result<ReadyMadeEvent, EventError> {
    let event_type = || "ready-made".to_owned();
    let not_json = |source| EventError::NotJson { event_type: event_type(), source };
    let text = to_raw_value(event).map_err(not_json)?;
    if !text.get().starts_with('{') {
        let found = if text.get() == "null" { "null" } else { "not an object" };
        return Err(EventError::NotAnObject { event_type: event_type(), found });
    }
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(text.get()).map_err(not_json)?;
    members.retain(|_, value| value.get() != "null");
    let security: Option<Value> =
        members.get("security").and_then(|security| serde_json::from_str(security.get()).ok());
    let is_signed = security.is_some_and(|security| security["signature"].is_string());
    if !is_signed {
        members.retain(|name, _| !matches!(name.as_str(), "timestamp" | "nonce" | "security"));
    }
    let body = serde_json::to_vec(&members).map_err(not_json)?.into();
    Ok(ReadyMadeEvent { body, is_signed })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ready_made_event_keeps_a_signature_of_its_own_and_is_sealed_otherwise() {
        let mut event =
            json!({"event_id": "e", "timestamp": 5, "nonce": "n", "metadata": null, "payload": {"a": null}});
        let unsigned = ready_made(&event).expect("an event");
        assert_eq!(
            (unsigned.body.as_ref(), unsigned.is_signed),
            (&br#"{"event_id":"e","payload":{"a":null}}"#[..], false)
        );
        event["security"] = json!({"signature": "s"});
        let signed = ready_made(&event).expect("an event");
        let sent: Value = serde_json::from_slice(&signed.body).expect("JSON");
        assert!(signed.is_signed && sent["timestamp"] == 5 && sent["security"]["signature"] == "s", "{sent}");
        assert!(matches!(ready_made(&[1]), Err(EventError::NotAnObject { .. })));
    }

    #[tokio::test]
    async fn a_hundred_events_wait_and_no_more() {
        let events = ReadyMadeEvents::default();
        let event = ready_made(&json!({"event_id": "e"})).expect("an event");
        (0..MAX_EVENTS).for_each(|number| assert!(events.add(event.clone()), "{number}"));
        assert!(!events.add(event.clone()));
        assert_eq!(events.next().await.body, event.body);
        assert_eq!((events.clear(), events.clear()), (MAX_EVENTS - 1, 0));
    }
}
