//! What several tests, and the programs beside them, do with a stage and its page.

use avtomatika_dev::TaskStatus;
use serde_json::json;

use crate::page::Page;
use crate::pictures;
use crate::stage::Stage;
use crate::wait::until;

/// Makes the tasks that the views show: one that is finished, one that failed, two that run and two that wait.
pub async fn furnish(stage: &Stage) -> Furniture {
    let storage = stage.orchestrator().storage().expect("it has one");
    let photo = pictures::gradient(320, 200);
    storage.put(storage.bucket(), "page/harbour.png", photo).await.expect("stored");
    let image = format!("s3://{}/page/harbour.png", storage.bucket());
    let finished =
        stage.submit("resize_image", &json!({ "image": image, "width": 640, "format": "png", "seed": 7 }));
    stage.reaches(&finished, TaskStatus::Finished).await;
    let failed = stage.submit("summarize", &json!({ "document": "november.pdf", "words": 200 }));
    stage.reaches(&failed, TaskStatus::Failed).await;
    let running = ["harbour.mp4", "market.mp4"]
        .map(|video| stage.submit("transcode_video", &json!({ "video": video })));
    for job in &running {
        stage.reaches(job, TaskStatus::Running).await;
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
#[non_exhaustive]
pub struct Furniture {
    /// One that is finished.
    pub finished: String,
    /// One that failed.
    pub failed: String,
    /// One that runs.
    pub running: String,
}

/// Waits until a fault that is on has hit a request.
pub async fn hits(page: &Page, fault: &str) {
    let hits = |text: &str| -> Option<u64> {
        let before = text.split(" hit").next()?.trim_end_matches(['s']).strip_suffix(" request")?;
        before.rsplit([' ', '\n']).next()?.replace(',', "").parse().ok()
    };
    page.reads_what_fits("a request hit", "group", fault, |text| hits(text).is_some_and(|hits| hits > 0))
        .await;
}

/// Waits until a view is drawn, with what it has asked for.
pub async fn drawn(page: &Page) {
    page.is_live().await;
    let there = "return document.querySelector('main h1') !== null && document.readyState === 'complete';";
    until("the view is drawn", async || (page.script(there, vec![]).await == true).then_some(())).await;
    // What it asks the server for comes a moment later.
    let still = "const done = arguments[0];
        let last = document.querySelector('main').innerHTML.length;
        const look = () => {
          const now = document.querySelector('main').innerHTML.length;
          if (now === last) return done();
          last = now;
          setTimeout(look, 150);
        };
        setTimeout(look, 150);";
    page.script_async(still, vec![]).await;
}
