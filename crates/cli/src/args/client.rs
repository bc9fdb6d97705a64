//! The arguments of the commands that talk to a server.

/// The access to a server that asks for a token.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Access {
    /// Token for a real orchestrator's API for clients [default: `AVTOMATIKA_CLIENT_TOKEN`]
    #[arg(long, value_name = "TOKEN")]
    pub(crate) client_token: Option<String>,
}

/// The parameters of a task.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Params {
    /// Parameters: JSON, `@FILE` with JSON, `-` for standard input, or words like `width=640` and `image=@photo.jpg`
    #[arg(value_name = "PARAMS")]
    pub(crate) params: Vec<String>,
}

/// The arguments of the submission.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  avtomatika submit resize_image image=@photo.jpg width=640 --wait\n  \
                        avtomatika submit resize_image '{\"width\": 640}' --count 100")]
pub(crate) struct Submit {
    /// Type of the task; with `--job` there is none, and PARAMS begin here
    #[arg(value_name = "TYPE", required_unless_present = "job")]
    pub(crate) name: Option<String>,

    /// The parameters.
    #[command(flatten)]
    pub(crate) params: Params,

    /// Priority; tasks with a higher one go first
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: Option<f64>,

    /// Time limit of the task in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<f64>,

    /// Number of tasks to submit, 1 to 10000
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) count: u64,

    /// Submit a job of this blueprint instead of a task
    #[arg(long, value_name = "NAME")]
    pub(crate) job: Option<String>,

    /// Wait for the end, and print the data of the result
    #[arg(long)]
    pub(crate) wait: bool,

    /// Wait like `--wait`, and show the progress
    #[arg(long)]
    pub(crate) watch: bool,

    /// The access.
    #[command(flatten)]
    pub(crate) access: Access,
}

/// The arguments of the list of tasks.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  avtomatika tasks --status failed,quarantined -q photo.jpg")]
pub(crate) struct Tasks {
    /// Only tasks with this status; several are separated by commas
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,

    /// Only tasks of this type; several are separated by commas
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) name: Option<String>,

    /// Only tasks of the worker with this id
    #[arg(long, value_name = "ID")]
    pub(crate) worker: Option<String>,

    /// Only tasks with this text in ids, type, parameters, data or error
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) query: Option<String>,

    /// Number of tasks, 1 to 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) limit: Option<u64>,

    /// Only tasks before this place: the `next` of the previous list
    #[arg(long, value_name = "NEXT")]
    pub(crate) before: Option<String>,
}

/// The arguments of the view of one task.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  avtomatika task job-5f3a91c2-1")]
pub(crate) struct Task {
    /// Job or task id, or the beginning of one that is unique and has at least 6 characters
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// The access.
    #[command(flatten)]
    pub(crate) access: Access,
}

/// The arguments of the log of a task.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  avtomatika logs job-5f3a91c2-1 -f")]
pub(crate) struct Logs {
    /// Job or task id, or the unique beginning of one
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// Go on with new lines until the task has ended
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// The arguments of the list of workers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  avtomatika workers --json")]
pub(crate) struct Workers {}

/// The arguments of the live view.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  avtomatika watch\n  avtomatika watch job-5f3a91c2-1")]
pub(crate) struct Watch {
    /// Job or task ids to watch until they have ended; without any, everything is shown until Ctrl-C
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,

    /// The access.
    #[command(flatten)]
    pub(crate) access: Access,
}

/// The arguments of the cancellation.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  avtomatika cancel job-5f3a91c2-1 job-5f3a91c2-2")]
pub(crate) struct Cancel {
    /// Job or task ids, or unique beginnings
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,

    /// The access.
    #[command(flatten)]
    pub(crate) access: Access,
}

/// The arguments of the retry.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  avtomatika retry job-5f3a91c2-1 --params '{\"width\": 320}'")]
pub(crate) struct Retry {
    /// Job or task ids, or unique beginnings
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,

    /// Parameters instead of those of the task: JSON, `@FILE` with JSON, or `-` for standard input
    #[arg(long, value_name = "JSON")]
    pub(crate) params: Option<String>,
}
