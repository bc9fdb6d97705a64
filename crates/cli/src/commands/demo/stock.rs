//! The storage of the demo: originals go in, results come out.

use anyhow::{Context, anyhow, bail};
use avtomatika_dev::{LocalS3, TaskStatus, TaskView};
use serde::{Deserialize, Serialize};

use super::gallery::Picture;

/// What a task is submitted with. The worker has a file where there is an address here.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Order {
    /// An `s3://` address.
    pub(super) picture: String,
    /// How wide it becomes.
    pub(super) width: u32,
}

/// What a task ends in, as its orchestrator sees it.
#[derive(Debug, Deserialize)]
pub(super) struct Delivery {
    /// An `s3://` address.
    picture: String,
    /// Its width.
    pub(super) width: u32,
    /// Its height.
    pub(super) height: u32,
    /// Its size.
    pub(super) bytes: u64,
}

impl Delivery {
    /// What a task that has finished delivered; none where it has not finished.
    pub(super) fn of(task: &TaskView) -> anyhow::Result<Option<Self>> {
        let data = task.data_as::<Self>().context("the worker's data is not what was expected")?;
        Ok(data.filter(|_| task.status == TaskStatus::Finished))
    }

    /// The name of its file.
    pub(super) fn name(&self) -> &str {
        self.picture.rsplit('/').next().unwrap_or_default()
    }

    /// Its bytes.
    pub(super) async fn fetch(&self, storage: &LocalS3) -> anyhow::Result<Vec<u8>> {
        let parts = self.picture.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        let Some((bucket, key)) = parts else {
            bail!("the worker gave `{}`, expected an `s3://` address", self.picture)
        };
        let bytes = storage.get(bucket, key).await;
        bytes.map(Vec::from).with_context(|| format!("cannot fetch `{}`", self.picture))
    }
}

/// Puts the originals into the storage, and says what is to be done with each.
pub(super) async fn orders(
    storage: &LocalS3,
    pictures: &[Picture],
    width: u32,
) -> anyhow::Result<Vec<(&'static str, Order)>> {
    let mut orders = Vec::with_capacity(pictures.len());
    for picture in pictures {
        let key = format!("originals/{}", picture.name);
        storage.put(storage.bucket(), &key, picture.bytes).await.context("cannot use the local S3")?;
        let picture_uri = format!("s3://{}/{key}", storage.bucket());
        orders.push((picture.name, Order { picture: picture_uri, width }));
    }
    Ok(orders)
}

/// The storage of an orchestrator that was started with one.
pub(super) fn storage(orchestrator: &avtomatika_dev::DevOrchestrator) -> anyhow::Result<&LocalS3> {
    orchestrator.storage().ok_or_else(|| anyhow!("the development orchestrator has no storage"))
}
