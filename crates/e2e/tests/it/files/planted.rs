//! Links that a handler creates.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use avtomatika_worker::prelude::*;
use e2e::StorageKind;
use serde_json::{Value, json};

use super::site::{Site, failed};

with_both_stores!(links_that_lead_elsewhere_are_not_followed);

/// A handler that creates a link in the task's directory, and then does `then`.
async fn plant(Params(params): Params<Value>, files: TaskFiles) -> Result<Json<Value>, TaskError> {
    let text = |name: &str| params[name].as_str().expect("a text").to_owned();
    let target = PathBuf::from(text("target"));
    files.write("out/honest.txt", "honest").await?;
    let link = files.path_to("out/link").await?;
    symlink(&target, &link)?;
    let out = files.path_to("out").await?;
    // The parameter has no scheme: otherwise the worker would replace it by a file before the handler runs.
    let object = format!("s3://{}", text("object"));
    match text("then").as_str() {
        "give the link" => Ok(Json(json!({ "file": link }))),
        "give the directory" => Ok(Json(json!({ "dir": out }))),
        "give what is behind it" => Ok(Json(json!({ "file": link.join("secret.txt") }))),
        "read" => Ok(Json(json!({ "text": files.read_text("out/link").await? }))),
        "write" => Ok(Json(json!({ "path": files.write("out/link", "evil").await? }))),
        "write behind it" => Ok(Json(json!({ "path": files.write("out/link/evil.txt", "evil").await? }))),
        "upload" => Ok(Json(json!({ "uri": files.upload_file("out/link").await?.uri }))),
        "upload the directory" => Ok(Json(json!({ "uri": files.upload_dir("out").await?.uri }))),
        "download" => Ok(Json(json!({ "path": files.download_file(&object, "out/link").await? }))),
        "download behind it" => {
            Ok(Json(json!({ "path": files.download_file(&object, "out/link/evil.txt").await? })))
        }
        other => Err(TaskError::invalid_input(format!("`then` is `{other}`, which is unknown"))),
    }
}

fn links_that_lead_elsewhere_are_not_followed(kind: StorageKind) {
    let site = Site::new(kind);
    let secret = site.secret();
    let neighbours = secret.parent().expect("a directory").to_owned();
    site.storage.put("a", "here");
    let to_file = ["give the link", "give the directory", "read", "upload", "upload the directory"];
    let to_directory = ["give the link", "give what is behind it", "write behind it", "download behind it"];
    site.judge_with(
        &[],
        |builder| builder.task("plant", plant),
        async |desk| {
            let files = [
                secret.clone(),
                PathBuf::from("/etc/passwd"),
                PathBuf::from("../../../neighbours/secret.txt"),
            ];
            let files =
                files.iter().flat_map(|target| to_file.iter().map(move |then| (target.clone(), *then)));
            let directories = to_directory.iter().map(|then| (neighbours.clone(), *then));
            for (target, then) in files.chain(directories) {
                let params = json!({ "target": target, "then": then, "object": "avtomatika-payloads/a" });
                let result = desk.result("plant", params).await;
                failed(&result, "PERMANENT_ERROR", "");
                assert_eq!(
                    result["error"]["details"]["type"],
                    "security",
                    "{then} {}: {result}",
                    target.display()
                );
            }
            // A replaced link is not followed either: whether or not this succeeds, nothing outside is written.
            for then in ["write", "download"] {
                let params = json!({ "target": secret, "then": then, "object": "avtomatika-payloads/a" });
                desk.result("plant", params).await;
            }
            assert_eq!(desk.proxy.count("PUT", "link"), 0, "{:#?}", desk.proxy.passed());
        },
    );
}
