//! The heartbeat, as sent.

use rxon::model::{Capabilities, Heartbeat, Usage as MachineUsage, WorkerStatus};

use crate::capacity::Offer;
use crate::execution::running::Running;
use crate::session::Session;
use crate::session::profile::Profile;

/// A heartbeat of a worker as it is now, towards the orchestrator of this session. `capabilities` are those of the
/// registration, which are repeated while a websocket is open; `wants_skills` if the
/// orchestrator asked for the skills.
pub(super) fn heartbeat(
    profile: &Profile,
    offer: &Offer,
    running: &Running,
    session: &Session,
    machine: Option<MachineUsage>,
    capabilities: Option<&Capabilities>,
    wants_skills: bool,
) -> Heartbeat {
    let peer = &session.origin.peer;
    let generation = peer.generation();
    // Read once: the data path goes on meanwhile, and the fields of one heartbeat must agree.
    let usage = offer.slots.usage();
    let accepted = session.accepted(offer, &usage);
    let (tasks, jobs) = running.ids_from(session.origin.orchestrator);
    let mut current_tasks = tasks;
    if generation.looks_up_jobs() {
        // 1.0b17 looks them up as job ids when it decides what to cancel; 1.0b2 shows them to people.
        current_tasks.extend(jobs);
    }
    Heartbeat {
        worker_id: profile.worker_id.clone(),
        status: if accepted.is_empty() { WorkerStatus::Busy } else { WorkerStatus::Idle },
        load: usage.running as f64,
        current_tasks,
        supported_tasks: accepted.clone(),
        available_skills: accepted,
        hot_cache: offer.hot_cache.models(),
        skill_dependencies: offer.dependencies_as_sent(),
        hot_skills: offer.hot_skills(),
        skills_hash: profile.skills_hash.clone().filter(|_| generation.reads_skills_and_usage()),
        supported_skills: wants_skills.then(|| offer.catalogue.skills().to_vec()),
        usage: machine,
        capabilities: capabilities.filter(|_| peer.has_websocket()).cloned(),
    }
}
