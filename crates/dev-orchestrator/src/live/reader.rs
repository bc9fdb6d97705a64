//! One reader of the events.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::frame;
use super::views::Snapshot;
use crate::hub::Hub;

/// The time between two comments: a proxy or browser closes a connection on which nothing is sent for long.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);

/// The size of the pieces in which events are given to a connection, about.
const PIECE: usize = 64 * 1024;

/// A reader: a position in the record of events. It ends with the orchestrator, or when it is dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    hub: Arc<Hub>,
    next: Next,
    news: watch::Receiver<()>,
    /// The time of the next comment.
    comment: Instant,
    _permit: OwnedSemaphorePermit,
}

/// What the reader gets next.
#[derive(Debug)]
enum Next {
    /// The time after which it connects again, and then what follows from the id of the last event that it has read.
    Greeting(Option<String>),
    Lagged,
    Snapshot,
    /// The events after this number.
    After(u64),
}

impl Reader {
    /// Adds a reader, which goes on after the event with the id `last`. `None` if there are too many readers.
    pub(crate) fn open(hub: &Arc<Hub>, last: Option<String>) -> Option<Self> {
        let permit = hub.live.readers.clone().try_acquire_owned().ok()?;
        Some(Self {
            hub: hub.clone(),
            next: Next::Greeting(last),
            news: hub.live.news.subscribe(),
            comment: Instant::now() + COMMENT_INTERVAL,
            _permit: permit,
        })
    }

    /// Returns the next piece of text; `None` once the orchestrator ends.
    ///
    /// # Cancel safety
    /// A piece that was not returned is returned by the next call.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.hub.stop.is_cancelled() {
                return None;
            }
            match &self.next {
                Next::Greeting(last) => {
                    self.next = self.after_greeting(last.as_deref());
                    return Some(Bytes::from_static(frame::RETRY.as_bytes()));
                }
                Next::Lagged => {
                    self.next = Next::Snapshot;
                    return Some(self.lagged());
                }
                Next::Snapshot => {
                    let (snapshot, position) = self.snapshot();
                    self.next = Next::After(position);
                    return Some(snapshot);
                }
                Next::After(position) => {
                    let position = *position;
                    if let Some(piece) = self.after(position) {
                        return Some(piece);
                    }
                }
            }
            if matches!(self.next, Next::After(_)) {
                self.wait().await;
            }
        }
    }

    fn after_greeting(&self, last: Option<&str>) -> Next {
        let Some(last) = last else { return Next::Snapshot };
        self.hub.live.lock().record.position(last).map_or(Next::Lagged, Next::After)
    }

    /// The id is none with which a reader could go on: it does not know the state before the snapshot has arrived.
    fn lagged(&self) -> Bytes {
        let record = &self.hub.live.lock().record;
        frame::event(&format!("{}-lagged", record.id(record.last())), "lagged", "{}")
    }

    /// Returns the state, and the number of the last event before it. A change between the two is told twice, rather
    /// than not at all.
    fn snapshot(&self) -> (Bytes, u64) {
        let live = &self.hub.live;
        live.is_recording.store(true, Ordering::Release);
        let (position, id) = {
            let record = &live.lock().record;
            (record.last(), record.id(record.last()))
        };
        let snapshot = Snapshot::of(&self.hub);
        let data = serde_json::to_string(&snapshot).unwrap_or_default();
        (frame::event(&id, "snapshot", &data), position)
    }

    /// Returns the comment or the events that are due.
    fn after(&mut self, position: u64) -> Option<Bytes> {
        // Marked as seen before the record is read, so that no event is missed.
        self.news.borrow_and_update();
        if self.comment <= Instant::now() {
            self.comment = Instant::now() + COMMENT_INTERVAL;
            return Some(Bytes::from_static(frame::COMMENT.as_bytes()));
        }
        let events = self.hub.live.lock().record.after(position, PIECE);
        let Some((events, last)) = events else {
            self.next = Next::Lagged;
            return None;
        };
        self.next = Next::After(last);
        match &events[..] {
            [] => None,
            [event] => Some(event.clone()),
            events => Some(events.iter().fold(BytesMut::new(), joined).freeze()),
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            () = self.hub.stop.cancelled() => {}
            // The sender is in the hub, which this has: it never ends.
            _ = self.news.changed() => {}
            () = tokio::time::sleep_until(self.comment) => {}
        }
    }
}

fn joined(mut all: BytesMut, event: &Bytes) -> BytesMut {
    all.extend_from_slice(event);
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::faults::{Fault, FaultSwitch};
    use crate::settings::Settings;
    use crate::task::NewTask;

    /// Returns the events in the next piece that has some: their ids, names and data.
    async fn events(reader: &mut Reader) -> Vec<(String, String, Value)> {
        let mut piece = reader.next().await.expect("it goes on");
        while piece == frame::COMMENT {
            piece = reader.next().await.expect("it goes on");
        }
        let text = String::from_utf8(piece.to_vec()).expect("text");
        let field = |event: &str, name: &str| {
            event.lines().find_map(|line| line.strip_prefix(name)).expect("every event has it").to_owned()
        };
        let events = text.split_terminator("\n\n").map(|event| {
            let data = serde_json::from_str(&field(event, "data: ")).expect("JSON");
            (field(event, "id: "), field(event, "event: "), data)
        });
        events.collect()
    }

    async fn opened(hub: &Arc<Hub>, last: Option<&str>) -> Reader {
        let mut reader = Reader::open(hub, last.map(str::to_owned)).expect("room");
        assert_eq!(reader.next().await.expect("a greeting"), "retry: 1000\n\n");
        reader
    }

    fn hub() -> Arc<Hub> {
        Hub::new(Settings::new())
    }

    #[tokio::test]
    async fn a_reader_gets_a_snapshot_and_then_every_event() {
        let hub = hub();
        hub.submit(NewTask::new("x")).expect("room");
        let mut reader = opened(&hub, None).await;
        let (_, name, data) = events(&mut reader).await.remove(0);
        assert_eq!(name, "snapshot");
        assert_eq!((&data["counts"]["queued"], &data["counts"]["failed"]), (&json!(1), &json!(0)));
        assert_eq!((&data["tasks"][0]["type"], &data["workers"]), (&json!("x"), &json!([])));
        assert!(data["tasks"][0].get("params").is_none(), "{data}");
        hub.live.log(&json!({"text": "one"}));
        hub.live.log(&json!({"text": "two"}));
        let told = events(&mut reader).await;
        assert_eq!(told.iter().map(|(_, _, data)| &data["text"]).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[tokio::test]
    async fn faults_are_in_the_snapshot_and_in_events_with_their_names() {
        let hub = hub();
        let mut reader = opened(&hub, None).await;
        let (_, _, data) = events(&mut reader).await.remove(0);
        assert_eq!(data["faults"]["slow"]["on"], false);
        hub.set_faults(vec![(Fault::Slow, FaultSwitch::on())]).expect("a valid switch");
        let (_, name, data) = events(&mut reader).await.remove(0);
        assert_eq!((name.as_str(), &data["name"], &data["on"]), ("fault", &json!("slow"), &json!(true)));
    }

    #[tokio::test]
    async fn a_reader_that_comes_back_gets_what_it_missed_and_nothing_twice() {
        let hub = hub();
        let mut reader = opened(&hub, None).await;
        events(&mut reader).await;
        for number in 0..3 {
            hub.live.log(&json!(number));
        }
        let told = events(&mut reader).await;
        drop(reader);
        hub.live.log(&json!(3));
        let mut again = opened(&hub, Some(&told[1].0)).await;
        let told = events(&mut again).await;
        assert_eq!(told.iter().map(|(_, _, data)| data).collect::<Vec<_>>(), [&json!(2), &json!(3)]);
    }

    #[tokio::test]
    async fn with_an_id_of_another_run_it_fetches_anew() {
        let hub = hub();
        let mut reader = opened(&hub, Some("00000000-5")).await;
        let (lagged, name, data) = events(&mut reader).await.remove(0);
        assert_eq!((name.as_str(), data), ("lagged", json!({})));
        assert_eq!(events(&mut reader).await[0].1, "snapshot");
        // Had it lost its connection between the two, it would have no state to go on from.
        let mut reader = opened(&hub, Some(&lagged)).await;
        assert_eq!(events(&mut reader).await[0].1, "lagged");
    }

    #[tokio::test]
    async fn a_slow_reader_lags_and_others_do_not() {
        let hub = hub();
        let (mut slow, mut quick) = (opened(&hub, None).await, opened(&hub, None).await);
        events(&mut slow).await;
        events(&mut quick).await;
        for number in 0..10_001 {
            hub.live.log(&json!(number));
            if number % 1000 == 0 {
                while hub.live.lock().record.last() > position(&quick) {
                    events(&mut quick).await;
                }
            }
        }
        let names = [events(&mut slow).await.remove(0).1, events(&mut slow).await.remove(0).1];
        assert_eq!(names, ["lagged", "snapshot"]);
        hub.live.log(&json!("the next one"));
        assert_eq!(events(&mut quick).await[0].2, "the next one");
    }

    fn position(reader: &Reader) -> u64 {
        match reader.next {
            Next::After(position) => position,
            _ => 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_comment_comes_every_fifteen_seconds_with_and_without_events() {
        let hub = hub();
        let mut reader = opened(&hub, None).await;
        events(&mut reader).await;
        let start = Instant::now();
        assert_eq!(reader.next().await.expect("a comment"), frame::COMMENT);
        assert_eq!(start.elapsed(), COMMENT_INTERVAL);
        let mut comments = 0;
        for _ in 0..60 {
            tokio::time::advance(Duration::from_secs(1)).await;
            hub.live.log(&json!(1));
            if reader.next().await.expect("it goes on") == frame::COMMENT {
                comments += 1;
            }
        }
        assert!((3..=4).contains(&comments), "{comments}");
    }

    #[tokio::test]
    async fn readers_are_limited_and_end_with_the_orchestrator() {
        let hub = hub();
        let mut readers = Vec::new();
        while let Some(reader) = Reader::open(&hub, None) {
            readers.push(reader);
        }
        assert!(readers.len() >= 50);
        drop(readers.pop());
        let mut reader = opened(&hub, None).await;
        events(&mut reader).await;
        let (ended, ()) = tokio::join!(reader.next(), async { hub.stop.cancel() });
        assert_eq!(ended, None);
    }
}
