//! What a heartbeat says.

use rxon::model::{Generation, Heartbeat, Usage as MachineUsage, WorkerStatus};

use super::Session;
use super::registration::capabilities;
use crate::core::Core;

/// A heartbeat of a worker as it is now, towards the orchestrator of this session.
pub(super) fn heartbeat(
    core: &Core,
    session: &Session,
    generation: Generation,
    machine: Option<MachineUsage>,
    wants_skills: bool,
) -> Heartbeat {
    // Looked at once: the data path goes on meanwhile, and what is said here must fit together.
    let usage = core.slots.usage();
    let accepted = session.accepted(core, &usage);
    let (tasks, jobs) = core.running.ids_from(session.who);
    let mut current_tasks = tasks;
    if generation == Generation::Newer {
        // 1.0b17 looks them up as job ids when it decides what to cancel; 1.0b2 shows them to people.
        current_tasks.extend(jobs);
    }
    Heartbeat {
        worker_id: core.worker_id.clone(),
        status: if accepted.is_empty() { WorkerStatus::Busy } else { WorkerStatus::Idle },
        load: usage.running as f64,
        current_tasks,
        supported_tasks: accepted.clone(),
        available_skills: accepted,
        hot_cache: core.hot_cache.models(),
        skill_dependencies: core.dependencies_as_sent(),
        hot_skills: core.hot_skills(),
        skills_hash: core.skills.hash.clone().filter(|_| generation == Generation::Newer),
        supported_skills: wants_skills.then(|| core.skills.infos.clone()),
        usage: machine,
        capabilities: session.peer.has_websocket().then(|| capabilities(core)),
    }
}
