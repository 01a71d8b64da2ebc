//! The chat's page in a browser, and what one does with it.

use std::path::Path;

use fantoccini::Locator;
use fantoccini::wd::WindowHandle;
use serde_json::{Value, json};

use crate::driver::Browser;
use crate::support::within;

/// Waits, in the page and on its changes, until `CONDITION` holds.
///
/// The condition is put into the script: `eval` is what the page's own policy forbids.
const WAIT: &str = r"
    const done = arguments[0];
    const holds = () => { try { return Boolean(CONDITION); } catch { return false; } };
    if (holds()) return done(true);
    const observer = new MutationObserver(() => {
        if (holds()) { observer.disconnect(); done(true); }
    });
    observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
";

/// One window of the browser, with a page of the chat in it.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    browser: &'a Browser,
    window: WindowHandle,
}

impl<'a> Page<'a> {
    /// Opens an address in a window of its own and waits until the page is connected.
    pub(crate) async fn open(browser: &'a Browser, url: &str) -> Self {
        let window = browser.client.new_window(false).await.expect("a window").handle;
        let page = Self { browser, window };
        page.show().await;
        page.resize().await;
        browser.client.goto(url).await.expect("the page loads");
        page.until("document.getElementById('health').dataset.state !== 'connecting'").await;
        page
    }

    /// Makes this window the one that commands go to.
    pub(crate) async fn show(&self) {
        self.browser
            .client
            .switch_to_window(self.window.clone())
            .await
            .expect("the window is open");
    }

    pub(crate) async fn close(self) {
        self.show().await;
        self.browser.client.close_window().await.expect("the window closes");
    }

    /// Waits until an expression of JavaScript holds.
    pub(crate) async fn until(&self, expression: &str) {
        self.show().await;
        let script = WAIT.replace("CONDITION", expression);
        if let Err(error) = self.browser.client.execute_async(&script, Vec::new()).await {
            let text = self.value("document.body.innerText").await;
            panic!("{expression}: {error}\nthe page shows:\n{}", text.as_str().unwrap_or_default());
        }
    }

    /// The value of an expression of JavaScript.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        self.show().await;
        let script = format!("return {expression};");
        self.browser.client.execute(&script, Vec::new()).await.expect("the script runs")
    }

    pub(crate) async fn click(&self, selector: &str) {
        self.show().await;
        let found = self.browser.client.find(Locator::Css(selector)).await;
        found.expect(selector).click().await.expect("it can be clicked");
    }

    /// Types into a field, as with a keyboard. `\n` is Enter.
    pub(crate) async fn type_into(&self, selector: &str, text: &str) {
        self.show().await;
        let found = self.browser.client.find(Locator::Css(selector)).await;
        found.expect(selector).send_keys(text).await.expect("it takes keys");
    }

    /// Puts a text into a field at once, for characters that the driver's keyboard does not have.
    pub(crate) async fn paste_into(&self, selector: &str, text: &str) {
        self.show().await;
        let script = "document.querySelector(arguments[0]).value = arguments[1];";
        let arguments = vec![json!(selector), json!(text)];
        self.browser.client.execute(script, arguments).await.expect("the script runs");
    }

    /// Waits for a message with this text and gives `[name, text, instance]`.
    pub(crate) async fn message(&self, text: &str) -> [String; 3] {
        let bodies = "[...document.querySelectorAll('.message')]";
        let of = format!("(m) => m.querySelector('.body').textContent === {}", json!(text));
        self.until(&format!("{bodies}.some({of})")).await;
        let row = self
            .value(&format!(
                "((m) => ['.who', '.body', '.instance'].map((s) => m.querySelector(s).textContent))({bodies}.find({of}))"
            ))
            .await;
        serde_json::from_value(row).expect("three texts")
    }

    /// What is in the room, row by row: a message's text, with a mark if only this instance has
    /// it, or a gap's text in brackets.
    pub(crate) async fn rows(&self) -> Vec<String> {
        let rows = self
            .value(
                "[...document.querySelectorAll('#messages > li')].map((row) =>
                    row.classList.contains('gap')
                        ? `[${row.querySelector('.gap-text').textContent}]`
                        : row.querySelector('.body').textContent
                            + (row.querySelector('.only-here') ? ' (only here)' : ''))",
            )
            .await;
        serde_json::from_value(rows).expect("texts")
    }

    /// Waits until an element's text contains another.
    pub(crate) async fn shows(&self, selector: &str, text: &str) {
        self.until(&format!(
            "!document.querySelector({0}).hidden && document.querySelector({0}).textContent.includes({1})",
            json!(selector),
            json!(text)
        ))
        .await;
    }

    /// Gives the page, not the window around it, the size of the README's pictures.
    async fn resize(&self) {
        const WIDTH: u32 = 640;
        const HEIGHT: u32 = 720;
        let client = &self.browser.client;
        client.set_window_size(WIDTH, HEIGHT).await.expect("the window has a size");
        let inner = self.value("[innerWidth, innerHeight]").await;
        let [width, height]: [u32; 2] = serde_json::from_value(inner).expect("two numbers");
        let (width, height) = (2 * WIDTH - width, 2 * HEIGHT - height);
        client.set_window_size(width, height).await.expect("the window has a size");
    }

    /// Takes a picture of the page, for the README.
    pub(crate) async fn screenshot(&self, file: &str) {
        self.show().await;
        let client = &self.browser.client;
        // The cursor blinks.
        self.value("document.activeElement.blur()").await;
        let picture = within("a screenshot", client.screenshot()).await.expect("a screenshot");

        let images = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/images");
        let mut folders = vec![env!("CARGO_TARGET_TMPDIR")];
        if std::env::var_os("UPDATE_SCREENSHOTS").is_some_and(|value| value == "1") {
            folders.push(images);
        }
        for folder in folders {
            std::fs::create_dir_all(folder).expect("the folder can be made");
            std::fs::write(Path::new(folder).join(file), &picture)
                .expect("the file can be written");
        }
    }
}
