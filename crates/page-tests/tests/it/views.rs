//! The views, each with something to see.

use page_tests::Stage;
use serde_json::json;

/// The paths of the views that need no id.
pub(crate) const PATHS: [&str; 6] = ["/", "/tasks", "/new", "/workers", "/wire", "/faults"];

/// Makes the tasks that the views show: one that is finished, one that failed, two that run and two that wait.
pub(crate) async fn furnish(stage: &Stage) -> Furniture {
    let storage = stage.orchestrator().storage().expect("it has one");
    let photo = page_tests::pictures::gradient(320, 200);
    storage.put(storage.bucket(), "page/harbour.png", photo).await.expect("stored");
    let image = format!("s3://{}/page/harbour.png", storage.bucket());
    let finished =
        stage.submit("resize_image", &json!({ "image": image, "width": 640, "format": "png", "seed": 7 }));
    stage.reaches(&finished, avtomatika_dev::TaskStatus::Finished).await;
    let failed = stage.submit("summarize", &json!({ "document": "november.pdf", "words": 200 }));
    stage.reaches(&failed, avtomatika_dev::TaskStatus::Failed).await;
    let running = ["harbour.mp4", "market.mp4"]
        .map(|video| stage.submit("transcode_video", &json!({ "video": video })));
    for job in &running {
        stage.reaches(job, avtomatika_dev::TaskStatus::Running).await;
    }
    stage.permit(6);
    for day in 1..=2 {
        stage.submit("archive", &json!({ "day": day }));
    }
    let [first, _] = running;
    Furniture { finished, failed, running: first }
}

/// The job ids of some of these tasks.
#[derive(Debug)]
pub(crate) struct Furniture {
    pub(crate) finished: String,
    pub(crate) failed: String,
    pub(crate) running: String,
}
