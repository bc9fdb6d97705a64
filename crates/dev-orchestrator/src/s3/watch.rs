//! Reports on requests that read or write objects.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{Stream, StreamExt as _};

/// A request that has read or written an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) is_write: bool,
    /// The begin of the request, on tokio's clock.
    pub(crate) began: Instant,
}

type Report = dyn Fn(Access<'_>) + Send + Sync;

/// Takes the reports; the default discards them.
#[derive(Clone, Default)]
pub(crate) struct Watch(Option<Arc<Report>>);

impl Watch {
    pub(crate) fn new(report: impl Fn(Access<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(report)))
    }

    pub(super) fn reading(&self, bucket: &str, key: &str) -> Request {
        self.request(bucket, key, false)
    }

    pub(super) fn writing(&self, bucket: &str, key: &str) -> Request {
        self.request(bucket, key, true)
    }

    fn request(&self, bucket: &str, key: &str, is_write: bool) -> Request {
        let began = tokio::time::Instant::now().into_std();
        let report = self.0.clone();
        Request { report, bucket: bucket.to_owned(), key: key.to_owned(), is_write, began }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Watch").field(&self.0.is_some()).finish()
    }
}

/// A request that has begun. One that fails is dropped without a report.
pub(super) struct Request {
    report: Option<Arc<Report>>,
    bucket: String,
    key: String,
    is_write: bool,
    began: Instant,
}

impl Request {
    /// Reports the request.
    pub(super) fn end(self) {
        self.report();
    }

    /// Reports the request when the stream is dropped: a connection does not ask for more than the announced length, so
    /// that it may never see the end of the stream.
    pub(super) fn until_end<S: Stream>(self, stream: S) -> impl Stream<Item = S::Item> {
        let reported = AtDrop(self);
        stream.map(move |item| {
            let _moved = &reported;
            item
        })
    }

    fn report(&self) {
        let Self { report, bucket, key, is_write, began } = self;
        if let Some(report) = report {
            report(Access { bucket, key, is_write: *is_write, began: *began });
        }
    }
}

struct AtDrop(Request);

impl Drop for AtDrop {
    fn drop(&mut self) {
        self.0.report();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_request_is_reported_when_it_has_ended_well() {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let list = seen.clone();
        let watch = Watch::new(move |access| {
            let line = format!("{} {}/{}", access.is_write, access.bucket, access.key);
            list.lock().expect("no panic").push(line);
        });
        let taken = || std::mem::take(&mut *seen.lock().expect("no panic"));
        drop(watch.writing("b", "failed"));
        watch.writing("b", "out").end();
        assert_eq!(taken(), ["true b/out"]);
        let mut body = watch.reading("b", "in").until_end(stream::iter([1, 2]));
        assert_eq!(body.next().await, Some(1));
        assert_eq!(taken(), [] as [String; 0], "it is still read");
        drop(body);
        assert_eq!(taken(), ["false b/in"]);
        Watch::default().writing("b", "out").end();
    }
}
