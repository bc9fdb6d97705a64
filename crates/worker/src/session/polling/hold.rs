//! What ends polls: the orchestrator that held them, the worker's time limit, or something in between. Pure.
//!
//! | the end of a poll | what is learned |
//! |---|---|
//! | the time limit, while heartbeats are answered | the orchestrator holds polls longer: the limit is doubled, to 90 s at most |
//! | an empty answer after the configured limit | for how long the orchestrator holds polls |
//! | 504, 408 or a closed connection, three times in a row after nearly the same time | a proxy ends polls: shorter ones are asked for, unless they are short enough |
//! | an empty answer well after that time | nothing ends polls |

use std::time::Duration;

/// The time beyond `TASK_POLL_TIMEOUT` after which a poll is given up.
const GRACE: Duration = Duration::from_secs(5);

/// The longest time limit that is learned.
const MAX_LIMIT: Duration = Duration::from_secs(90);

/// A connection that ends sooner was not ended because of its age.
const MIN_CUT: Duration = Duration::from_secs(1);

/// The number of cuts after nearly the same time that are no coincidence.
const ENOUGH: usize = 3;

/// The difference between times that count as nearly the same, at least.
const NEARLY: Duration = Duration::from_millis(300);

/// The shortest poll that is asked for.
const MIN_ASKED: Duration = Duration::from_millis(500);

/// What is known of the ends of polls.
#[derive(Debug)]
pub(super) struct Hold {
    /// `TASK_POLL_TIMEOUT`.
    configured: Duration,
    limit: Duration,
    /// The times after which the last polls were cut off, without any other end in between.
    cuts: Vec<Duration>,
    /// The time after which a proxy ends polls.
    cut_after: Option<Duration>,
    /// It was said for how long the orchestrator holds polls.
    is_hold_said: bool,
    /// It was said that the limit cannot grow.
    is_limit_said: bool,
}

/// The end of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollEnd {
    Task,
    Empty,
    /// The time limit, and whether a heartbeat was answered meanwhile.
    TimedOut {
        is_alive: bool,
    },
    /// 504, 408, or a connection that was closed without an answer.
    Cut,
    Other,
}

/// What was learned from the end of a poll, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// The limit was too short; the next one, if it can grow.
    TooShort { limit: Duration, next: Option<Duration> },
    /// The orchestrator holds polls for this time, longer than the configured limit.
    HeldFor(Duration),
    /// Something ends polls after this time; polls of the other time are asked for, if that is news.
    CutOff { after: Duration, ask: Option<Duration> },
}

impl Hold {
    pub(super) fn new(configured: Duration) -> Self {
        let limit = configured + GRACE;
        Self {
            configured,
            limit,
            cuts: Vec::new(),
            cut_after: None,
            is_hold_said: false,
            is_limit_said: false,
        }
    }

    /// The time after which a poll is given up.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// The time for which the orchestrator is asked to hold a poll.
    pub(super) fn asked(&self) -> Duration {
        self.cut_after.map_or(self.configured, |after| asked_below(after).min(self.configured))
    }

    /// Takes in the end of a poll after this time.
    pub(super) fn on_end(&mut self, end: PollEnd, took: Duration) -> Option<Lesson> {
        if end != PollEnd::Cut && end != PollEnd::Task {
            self.cuts.clear();
        }
        match end {
            PollEnd::TimedOut { is_alive } => self.on_timeout(is_alive, took),
            PollEnd::Empty => {
                if self.cut_after.is_some_and(|after| took > after + nearly(after)) {
                    self.cut_after = None;
                }
                let is_late = took > self.configured + GRACE && !self.is_hold_said;
                is_late.then(|| {
                    self.is_hold_said = true;
                    Lesson::HeldFor(took)
                })
            }
            PollEnd::Cut if took >= MIN_CUT => self.on_cut(took),
            PollEnd::Cut | PollEnd::Task | PollEnd::Other => None,
        }
    }

    fn on_timeout(&mut self, is_alive: bool, took: Duration) -> Option<Lesson> {
        // Polls that were under way together had the limit of before.
        if took < self.limit {
            return None;
        }
        let limit = self.limit;
        if is_alive && limit < MAX_LIMIT {
            self.limit = (limit * 2).min(MAX_LIMIT);
            return Some(Lesson::TooShort { limit, next: Some(self.limit) });
        }
        (!std::mem::replace(&mut self.is_limit_said, true)).then_some(Lesson::TooShort { limit, next: None })
    }

    fn on_cut(&mut self, took: Duration) -> Option<Lesson> {
        self.cuts.push(took);
        let from = self.cuts.len().checked_sub(ENOUGH)?;
        self.cuts.drain(..from);
        let (least, most) = (*self.cuts.iter().min()?, *self.cuts.iter().max()?);
        let is_known = self.cut_after.is_some_and(|after| least.abs_diff(after) <= nearly(after));
        if most.abs_diff(least) > nearly(least) || is_known {
            return None;
        }
        let before = self.asked();
        self.cut_after = Some(least);
        let ask = Some(self.asked()).filter(|asked| *asked != before);
        Some(Lesson::CutOff { after: least, ask })
    }
}

fn nearly(time: Duration) -> Duration {
    NEARLY.max(time / 10)
}

/// A time that ends well before a cut, to a tenth of a second.
fn asked_below(cut: Duration) -> Duration {
    let tenths = (cut.as_secs_f64() * 8.0).floor();
    Duration::from_secs_f64(tenths / 10.0).max(MIN_ASKED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    const ALIVE: PollEnd = PollEnd::TimedOut { is_alive: true };

    #[test]
    fn the_limit_grows_while_heartbeats_are_answered_and_the_hold_is_learned() {
        let mut hold = Hold::new(seconds(30.0));
        assert_eq!(hold.limit(), seconds(35.0));
        let longer = |limit, next: Option<f64>| {
            Some(Lesson::TooShort { limit: seconds(limit), next: next.map(seconds) })
        };
        // The end of a poll, its time, what is learned, and the limit afterwards.
        let table = [
            (PollEnd::TimedOut { is_alive: false }, 35.0, longer(35.0, None), 35.0),
            (PollEnd::TimedOut { is_alive: false }, 35.0, None, 35.0),
            (ALIVE, 35.0, longer(35.0, Some(70.0)), 70.0),
            (ALIVE, 35.0, None, 70.0),
            (PollEnd::Empty, 30.0, None, 70.0),
            (PollEnd::Task, 50.0, None, 70.0),
            (PollEnd::Empty, 58.0, Some(Lesson::HeldFor(seconds(58.0))), 70.0),
            (PollEnd::Empty, 58.0, None, 70.0),
            (ALIVE, 70.0, longer(70.0, Some(90.0)), 90.0),
            (ALIVE, 90.0, None, 90.0),
        ];
        for (step, (end, took, lesson, limit)) in table.into_iter().enumerate() {
            assert_eq!(hold.on_end(end, seconds(took)), lesson, "step {step}");
            assert_eq!((hold.limit(), hold.asked()), (seconds(limit), seconds(30.0)), "step {step}");
        }
        let mut long = Hold::new(seconds(120.0));
        assert_eq!(long.on_end(ALIVE, seconds(125.0)), longer(125.0, None));
        assert_eq!(long.limit(), seconds(125.0));
    }

    #[test]
    fn cuts_after_nearly_the_same_time_are_a_proxy_and_shorter_polls_are_asked_for() {
        let cut =
            |after, ask: Option<f64>| Some(Lesson::CutOff { after: seconds(after), ask: ask.map(seconds) });
        let table = [
            // Too different, and too soon.
            (vec![(PollEnd::Cut, 2.0), (PollEnd::Cut, 9.0), (PollEnd::Cut, 2.1)], None),
            (vec![(PollEnd::Cut, 0.4), (PollEnd::Cut, 0.4), (PollEnd::Cut, 0.4)], None),
            // Not in a row.
            (
                vec![(PollEnd::Cut, 5.0), (PollEnd::Cut, 5.0), (PollEnd::Empty, 8.0), (PollEnd::Cut, 5.0)],
                None,
            ),
            (
                vec![(PollEnd::Cut, 5.0), (PollEnd::Cut, 5.0), (PollEnd::Other, 0.1), (PollEnd::Cut, 5.0)],
                None,
            ),
            (vec![(PollEnd::Cut, 5.02), (PollEnd::Cut, 5.0), (PollEnd::Cut, 5.1)], cut(5.0, Some(4.0))),
            // It ends none of those that are asked for anyway.
            (vec![(PollEnd::Cut, 60.0), (PollEnd::Cut, 61.0), (PollEnd::Cut, 60.5)], cut(60.0, None)),
            // A task says nothing; an earlier different one is forgotten.
            (
                vec![
                    (PollEnd::Cut, 1.0),
                    (PollEnd::Cut, 9.9),
                    (PollEnd::Task, 3.0),
                    (PollEnd::Cut, 10.0),
                    (PollEnd::Cut, 10.3),
                ],
                cut(9.9, Some(7.9)),
            ),
        ];
        for (ends, lesson) in table {
            let mut hold = Hold::new(seconds(30.0));
            let lessons: Vec<_> =
                ends.iter().filter_map(|(end, took)| hold.on_end(*end, seconds(*took))).collect();
            assert_eq!(lessons, lesson.into_iter().collect::<Vec<_>>(), "{ends:?}");
        }
    }

    #[test]
    fn a_cut_is_said_once_until_it_moves_or_is_over() {
        let mut hold = Hold::new(seconds(30.0));
        let cuts = |hold: &mut Hold, took: f64| {
            (0..5).filter_map(|_| hold.on_end(PollEnd::Cut, seconds(took))).count()
        };
        assert_eq!((cuts(&mut hold, 5.0), hold.asked()), (1, seconds(4.0)));
        assert_eq!(cuts(&mut hold, 5.1), 0);
        hold.on_end(PollEnd::Empty, seconds(4.0));
        assert_eq!(hold.asked(), seconds(4.0), "it obeys");
        assert_eq!((cuts(&mut hold, 20.0), hold.asked()), (1, seconds(16.0)));
        hold.on_end(PollEnd::Empty, seconds(30.0));
        assert_eq!(hold.asked(), seconds(30.0), "nothing ends polls any more");
        assert_eq!(cuts(&mut hold, 20.0), 1);
    }
}
