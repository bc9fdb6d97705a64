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
    endpoints: [EndpointPlan; Endpoint::ALL.len()],
}

#[derive(Default)]
struct EndpointPlan {
    /// True if anything is planned; ordinary requests then need no lock.
    scripted: AtomicBool,
    answers: Mutex<Answers>,
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
        self.change(endpoint, |answers| answers.once.push_back(answer));
    }

    pub(crate) fn always(&self, endpoint: Endpoint, answer: Answer) {
        self.change(endpoint, |answers| answers.always = Some(answer));
    }

    pub(crate) fn hook(&self, endpoint: Endpoint, hook: Arc<Hook>) {
        self.change(endpoint, |answers| answers.hooks.push(hook));
    }

    pub(crate) fn forget(&self, endpoint: Endpoint) {
        self.change(endpoint, |answers| *answers = Answers::default());
    }

    /// Takes the plan for a request whose head has arrived.
    pub(crate) fn take(&self, endpoint: Endpoint) -> Planned {
        let plan = &self.endpoints[endpoint as usize];
        if !plan.scripted.load(Ordering::Acquire) {
            return Planned::Nothing;
        }
        let mut answers = plan.lock();
        if let Some(answer) = answers.once.pop_front() {
            plan.scripted.store(answers.has_any(), Ordering::Release);
            return Planned::Answer(answer);
        }
        if !answers.hooks.is_empty() {
            return Planned::Ask(answers.hooks.clone(), answers.always.clone());
        }
        answers.always.clone().map_or(Planned::Nothing, Planned::Answer)
    }

    fn change(&self, endpoint: Endpoint, change: impl FnOnce(&mut Answers)) {
        let plan = &self.endpoints[endpoint as usize];
        let mut answers = plan.lock();
        change(&mut answers);
        plan.scripted.store(answers.has_any(), Ordering::Release);
    }
}

impl EndpointPlan {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    fn has_any(&self) -> bool {
        !self.once.is_empty() || !self.hooks.is_empty() || self.always.is_some()
    }
}
