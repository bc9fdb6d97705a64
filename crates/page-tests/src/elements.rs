//! Elements by their role and their accessible name, both as the browser computes them.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use thirtyfour::WebElement;
use thirtyfour::common::command::{Command, ExtensionCommand};
use thirtyfour::error::WebDriverResult;
use thirtyfour::session::handle::SessionHandle;

/// Narrows the elements down, so that the browser is asked about few.
const CANDIDATES: &str = include_str!("elements.js");

/// A question about an element that thirtyfour has no method for.
#[derive(Debug)]
struct Computed {
    endpoint: Arc<str>,
}

impl ExtensionCommand for Computed {
    fn parameters_json(&self) -> Option<Value> {
        None
    }

    fn method(&self) -> Method {
        Method::GET
    }

    fn endpoint(&self) -> Arc<str> {
        self.endpoint.clone()
    }
}

/// Returns the first element with this role and, if given, this name, in the document or below `root`.
pub(crate) async fn find(
    session: &Arc<SessionHandle>,
    root: Option<&WebElement>,
    role: &str,
    name: Option<&str>,
) -> WebDriverResult<Option<WebElement>> {
    for element in candidates(session, root, role, name).await? {
        let is_named = match name {
            Some(name) => label(&element).await? == name,
            None => true,
        };
        if is_named && has_role(&element, role).await? {
            return Ok(Some(element));
        }
    }
    Ok(None)
}

async fn candidates(
    session: &Arc<SessionHandle>,
    root: Option<&WebElement>,
    role: &str,
    name: Option<&str>,
) -> WebDriverResult<Vec<WebElement>> {
    let root = root.map(WebElement::to_json).transpose()?;
    let found = session.execute(CANDIDATES, vec![json!(role), json!(name), json!(root)]).await?;
    found.elements()
}

/// Returns the accessible name, with single spaces.
pub(crate) async fn label(element: &WebElement) -> WebDriverResult<String> {
    let label = ask(element, "computedlabel").await?;
    Ok(label.split_whitespace().collect::<Vec<_>>().join(" "))
}

async fn has_role(element: &WebElement, role: &str) -> WebDriverResult<bool> {
    let computed = ask(element, "computedrole").await?;
    // The older name of the same role.
    Ok(computed == role || (role == "img" && computed == "image"))
}

async fn ask(element: &WebElement, what: &str) -> WebDriverResult<String> {
    let endpoint = format!("/element/{}/{what}", element.element_id()).into();
    let question = Command::ExtensionCommand(Box::new(Computed { endpoint }));
    element.handle().cmd(question).await?.value()
}
