//! The answers that the test has planned.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::recorded::Recorded;

pub(crate) type Hook = dyn Fn(&Recorded) -> Option<Answer> + Send + Sync;

/// The answers planned for every endpoint.
#[derive(Default)]
pub(crate) struct Plan {
    pages: [EndpointPlan; Endpoint::ALL.len()],
}

#[derive(Default)]
struct EndpointPlan {
    /// True if anything is planned; ordinary requests then need no lock.
    scripted: AtomicBool,
    script: Mutex<Answers>,
}

#[derive(Default)]
struct Answers {
    once: VecDeque<Answer>,
    hooks: Vec<Arc<Hook>>,
    always: Option<Answer>,
}

/// The plan for one request, as far as its head determines it.
pub(crate) enum Planned {
    /// The ordinary behaviour.
    Nothing,
    /// This answer.
    Answer(Answer),
    /// The answer of the first hook that returns one, else this fallback.
    Ask(Vec<Arc<Hook>>, Option<Answer>),
}

impl Planned {
    /// Returns true if hooks need the request.
    pub(crate) fn needs_request(&self) -> bool {
        matches!(self, Self::Ask(..))
    }

    /// The answer to the whole request.
    pub(crate) fn decide(self, request: Option<&Recorded>) -> Answer {
        match (self, request) {
            (Self::Nothing, _) => Answer::Normally,
            (Self::Answer(answer), _) => answer,
            (Self::Ask(hooks, always), Some(request)) => {
                hooks.iter().find_map(|hook| hook(request)).or(always).unwrap_or(Answer::Normally)
            }
            (Self::Ask(_, always), None) => always.unwrap_or(Answer::Normally),
        }
    }
}

impl Plan {
    pub(crate) fn once(&self, endpoint: Endpoint, answer: Answer) {
        self.change(endpoint, |script| script.once.push_back(answer));
    }

    pub(crate) fn always(&self, endpoint: Endpoint, answer: Answer) {
        self.change(endpoint, |script| script.always = Some(answer));
    }

    pub(crate) fn hook(&self, endpoint: Endpoint, hook: Arc<Hook>) {
        self.change(endpoint, |script| script.hooks.push(hook));
    }

    pub(crate) fn forget(&self, endpoint: Endpoint) {
        self.change(endpoint, |script| *script = Answers::default());
    }

    /// Takes the plan for a request whose head has arrived.
    pub(crate) fn take(&self, endpoint: Endpoint) -> Planned {
        let page = &self.pages[endpoint as usize];
        if !page.scripted.load(Ordering::Acquire) {
            return Planned::Nothing;
        }
        let mut script = page.lock();
        if let Some(answer) = script.once.pop_front() {
            page.scripted.store(script.has_any(), Ordering::Release);
            return Planned::Answer(answer);
        }
        if !script.hooks.is_empty() {
            return Planned::Ask(script.hooks.clone(), script.always.clone());
        }
        script.always.clone().map_or(Planned::Nothing, Planned::Answer)
    }

    fn change(&self, endpoint: Endpoint, change: impl FnOnce(&mut Answers)) {
        let page = &self.pages[endpoint as usize];
        let mut script = page.lock();
        change(&mut script);
        page.scripted.store(script.has_any(), Ordering::Release);
    }
}

impl EndpointPlan {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    fn has_any(&self) -> bool {
        !self.once.is_empty() || !self.hooks.is_empty() || self.always.is_some()
    }
}
