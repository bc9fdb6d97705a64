//! The page in a browser of its own.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use thirtyfour::{By, Key, TypingData, WebElement};

use crate::browser::{Browser, Options};
use crate::console;
use crate::elements;
use crate::wait::until;

/// The width and height of a window on a desk, in pixels.
pub const WIDE: (u32, u32) = (1280, 800);

/// Those of a telephone.
pub const NARROW: (u32, u32) = (390, 844);

/// A browser with the page.
#[derive(Debug)]
pub struct Page {
    browser: Browser,
    /// The address of the server, without a slash at its end.
    base: String,
    options: Options,
}

impl Page {
    /// Starts a browser, and opens a path of the server at `base`.
    pub async fn open(base: &str, path: &str) -> Self {
        Self::open_with(base, path, Options::default()).await
    }

    /// The same with other options.
    pub async fn open_with(base: &str, path: &str, options: Options) -> Self {
        let browser = Browser::start(options).await;
        let page = Self { browser, base: base.to_owned(), options };
        page.forget_the_start().await;
        page.look(WIDE, false).await;
        page.goto(path).await;
        page
    }

    /// Leaves the page that a browser begins with, and what it did.
    async fn forget_the_start(&self) {
        self.browser.session().goto("about:blank").await.expect("the browser has an empty page");
        console::errors(self.browser.session(), &[]).await;
        if self.options.is_noted {
            console::strangers(self.browser.session(), &self.base).await;
        }
    }

    /// Opens a path as if its address was typed.
    pub async fn goto(&self, path: &str) {
        self.browser.session().goto(format!("{}{path}", self.base)).await.expect("the page is there");
    }

    /// Sets the size of the window in pixels, and the colours.
    pub async fn look(&self, (width, height): (u32, u32), is_dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.cdp("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if is_dark { "dark" } else { "light" };
        // Colours that are still changing are neither.
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.cdp("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Waits for the element with this role and this accessible name.
    pub async fn find(&self, role: &str, name: &str) -> WebElement {
        self.wait_for(None, role, Some(name)).await
    }

    /// The same below another element.
    pub async fn find_in(&self, root: &WebElement, role: &str, name: &str) -> WebElement {
        self.wait_for(Some(root), role, Some(name)).await
    }

    /// The same for a role that needs no name.
    pub async fn find_any(&self, role: &str) -> WebElement {
        self.wait_for(None, role, None).await
    }

    async fn wait_for(&self, root: Option<&WebElement>, role: &str, name: Option<&str>) -> WebElement {
        let what = format!("{role} {}", name.unwrap_or_default());
        until(&what, async || self.look_for(root, role, name).await).await
    }

    /// Returns the element, if it is there now.
    pub async fn sees(&self, role: &str, name: &str) -> Option<WebElement> {
        self.look_for(None, role, Some(name)).await
    }

    async fn look_for(
        &self,
        root: Option<&WebElement>,
        role: &str,
        name: Option<&str>,
    ) -> Option<WebElement> {
        // An element may be gone before it is asked: then it is looked for again.
        elements::find(self.browser.session(), root, role, name).await.ok().flatten()
    }

    /// Waits until the element is gone.
    pub async fn gone(&self, role: &str, name: &str) {
        let session = self.browser.session();
        until(&format!("no {role} {name}"), async || {
            // An error does not tell whether it is there.
            let found = elements::find(session, None, role, Some(name)).await.ok()?;
            found.is_none().then_some(())
        })
        .await;
    }

    /// Waits for the element, and clicks it.
    pub async fn click(&self, role: &str, name: &str) {
        let session = self.browser.session();
        until(&format!("click the {role} {name}"), async || {
            let element = elements::find(session, None, role, Some(name)).await.ok()??;
            element.click().await.ok()
        })
        .await;
    }

    /// Waits for the field, and types a text in place of what it has.
    pub async fn fill(&self, role: &str, name: &str, text: &str) {
        let field = self.find(role, name).await;
        field.click().await.expect("the field can be clicked");
        field.send_keys(Key::Control + "a").await.expect("the field takes keys");
        if text.is_empty() {
            field.send_keys(Key::Backspace + "").await.expect("the field takes keys");
        } else {
            field.send_keys(text).await.expect("the field takes keys");
        }
    }

    /// Gives the page a file, as somebody does who chooses it after **Add a file**.
    pub async fn add_file(&self, file: &Path) {
        self.find("button", "Add a file").await;
        let chooser = self.browser.session().find(By::Css("input[type=file]")).await.expect("there is one");
        chooser.send_keys(file.display().to_string()).await.expect("it takes the path of a file");
    }

    /// Drops a file on the field, as somebody does who drags it there from another program.
    pub async fn drop_file(&self, file: &Path, role: &str, name: &str) {
        let field = self.find(role, name).await;
        let middle = "const { left, top, width, height } = arguments[0].getBoundingClientRect();
            return { x: left + width / 2, y: top + height / 2 };";
        let middle = self.script(middle, vec![json_of(&field)]).await;
        for step in ["dragEnter", "dragOver", "drop"] {
            // 1: it may be copied.
            let data = json!({ "items": [], "files": [file], "dragOperationsMask": 1 });
            let event = json!({ "type": step, "x": middle["x"], "y": middle["y"], "data": data });
            self.cdp("Input.dispatchDragEvent", event).await;
        }
    }

    /// Picks an option of a native select by its text.
    pub async fn pick(&self, name: &str, option: &str) {
        let select = self.find("combobox", name).await;
        let script = "const [select, text] = arguments;
            const option = [...select.options].find((option) => option.text.trim() === text);
            if (!option) return false;
            select.value = option.value;
            select.dispatchEvent(new Event('change', { bubbles: true }));
            return true;";
        let picked = self.script(script, vec![json_of(&select), json!(option)]).await;
        assert_eq!(picked, true, "`{name}` has no option `{option}`");
    }

    /// Presses keys where the focus is.
    pub async fn press(&self, keys: impl Into<TypingData>) {
        let chain = self.browser.session().action_chain().send_keys(keys);
        chain.perform().await.expect("keys can be pressed");
    }

    /// Presses Tab with Shift where the focus is.
    pub async fn press_tab_back(&self) {
        let chain = self.browser.session().action_chain().key_down(Key::Shift).send_keys(Key::Tab + "");
        chain.key_up(Key::Shift).perform().await.expect("keys can be pressed");
    }

    /// Waits until the text of the element has all of these parts, and returns it.
    pub async fn reads(&self, role: &str, name: &str, parts: &[&str]) -> String {
        let has_all = |text: &str| parts.iter().all(|part| text.contains(part));
        self.reads_what_fits(&format!("{parts:?}"), role, name, has_all).await
    }

    /// Waits until the text of the element fits `what`, and returns it.
    pub async fn reads_what_fits(
        &self,
        what: &str,
        role: &str,
        name: &str,
        fits: impl Fn(&str) -> bool,
    ) -> String {
        until(&format!("{role} {name} reads {what}"), async || {
            let text = self.sees(role, name).await?.text().await.ok()?;
            fits(&text).then_some(text)
        })
        .await
    }

    /// Waits until an attribute of the element has a value.
    pub async fn has(&self, role: &str, name: &str, attribute: &str, value: &str) {
        let what = format!("{role} {name} has {attribute}={value}");
        until(&what, async || {
            let element = self.sees(role, name).await?;
            let found = element.attr(attribute).await.ok()??;
            (found == value).then_some(())
        })
        .await;
    }

    /// Waits until the field has a value.
    pub async fn has_value(&self, role: &str, name: &str, value: &str) {
        self.has_prop(role, name, "value", value).await;
    }

    /// Waits until a property of the element has a value: `true` or `false` where it is one of these.
    pub async fn has_prop(&self, role: &str, name: &str, property: &str, value: &str) {
        let what = format!("the {property} of {role} {name} is {value}");
        until(&what, async || {
            let found = self.sees(role, name).await?.prop(property).await.ok()??;
            (found == value).then_some(())
        })
        .await;
    }

    /// Returns the element that describes another one: by `aria-describedby`, `aria-errormessage` and so on.
    pub async fn text_by(&self, element: &WebElement, attribute: &str) -> String {
        let script = "const [element, attribute] = arguments;
            const ids = (element.getAttribute(attribute) ?? '').split(/\\s+/).filter(Boolean);
            return ids.map((id) => document.getElementById(id)?.textContent ?? '').join(' ').trim();";
        let text = self.script(script, vec![json_of(element), json!(attribute)]).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Returns the accessible name of the element that has the focus.
    pub async fn focused(&self) -> String {
        let session = self.browser.session();
        let focused = session.active_element().await.expect("something has the focus");
        elements::label(&focused).await.unwrap_or_default()
    }

    /// Returns the path and the query of the address.
    pub async fn path(&self) -> String {
        let address = self.browser.session().current_url().await.expect("the page has an address");
        address.as_str().strip_prefix(&self.base).unwrap_or(address.as_str()).to_owned()
    }

    /// Waits until the path and the query fit.
    pub async fn arrives(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        until(what, async || {
            let path = self.path().await;
            fits(&path).then_some(path)
        })
        .await
    }

    /// Goes one step back in the history.
    pub async fn back(&self) {
        self.browser.session().back().await.expect("there is history");
    }

    /// The title of the window.
    pub async fn title(&self) -> String {
        self.browser.session().title().await.expect("the page has a title")
    }

    /// Runs a script in the page, and returns what it returns.
    pub async fn script(&self, script: &str, arguments: Vec<Value>) -> Value {
        let returned = self.browser.session().execute(script, arguments).await.expect("the script runs");
        returned.json().clone()
    }

    /// The same for a script that calls its last argument when it is done.
    pub async fn script_async(&self, script: &str, arguments: Vec<Value>) -> Value {
        let session = self.browser.session();
        session.set_script_timeout(Duration::from_secs(50)).await.expect("a time limit");
        let returned = session.execute_async(script, arguments).await.expect("the script runs");
        returned.json().clone()
    }

    /// Runs a script in each document that is opened from now on, before the document's own scripts.
    pub async fn script_first(&self, script: &str) {
        self.cdp("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// Sends a command of the browser's own protocol.
    pub async fn cdp(&self, method: &str, parameters: Value) -> Value {
        let answer = self.browser.session().cdp().send_raw(method, parameters).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Returns a picture of the window as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        self.browser.session().screenshot_as_png().await.expect("the browser can draw")
    }

    /// Waits until the page is connected with its server.
    pub async fn is_live(&self) {
        self.status("Live").await;
    }

    /// Waits until the status region has a text that begins so.
    pub async fn status(&self, beginning: &str) {
        until(&format!("status {beginning}"), async || {
            let region = self.look_for(None, "status", None).await?;
            region.text().await.ok()?.starts_with(beginning).then_some(())
        })
        .await;
    }

    /// Asserts that the page was quiet, and ends the browser.
    pub async fn end(self) {
        self.end_with(&[]).await;
    }

    /// The same, but the console may have errors with these texts.
    pub async fn end_with(self, expected: &[&str]) {
        let errors = console::errors(self.browser.session(), expected).await;
        assert!(errors.is_empty(), "errors in the console: {errors:#?}");
        if self.options.is_noted {
            let strangers = console::strangers(self.browser.session(), &self.base).await;
            assert!(strangers.is_empty(), "requests elsewhere: {strangers:#?}");
        }
        self.browser.end().await;
    }

    /// Ends the browser without a look at what it did.
    pub async fn leave(self) {
        self.browser.end().await;
    }
}

fn json_of(element: &WebElement) -> Value {
    element.to_json().expect("an element has an id")
}
