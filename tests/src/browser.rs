//! A real browser without a window, driven through chromedriver by the WebDriver protocol (<https://www.w3.org/TR/webdriver2/>).

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Where a screenshot's reader stands.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// In points.
    pub width: u32,
    /// In points.
    pub height: u32,
    /// A dark room.
    pub dark: bool,
}

/// An open browser with one page; closed when dropped.
pub struct Browser {
    driver: Child,
    /// Address of the session.
    session: String,
}

/// Whether chromedriver and its browser are installed.
pub fn is_installed() -> bool {
    ["chromium", "chromedriver"]
        .into_iter()
        .all(|program| Command::new(program).arg("--version").output().is_ok_and(|ran| ran.status.success()))
}

impl Browser {
    /// Opens a browser that keeps its files in `profile`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn open(profile: &Path, screen: Screen) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let lines = BufReader::new(driver.stdout.take().expect("it was piped")).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| {
                line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse::<u16>().ok()
            })
            .expect("chromedriver names its port");
        let mut arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        arguments.push(format!("--window-size={},{}", screen.width, screen.height));
        let mut browser = Self { driver, session: format!("http://127.0.0.1:{port}") };
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let opened = browser.post("/session", &wanted);
        browser.session =
            format!("{}/session/{}", browser.session, opened["sessionId"].as_str().expect("an id"));
        // as a window that the reader looks at: without, nothing that has the focus shows it
        browser.devtools("Emulation.setFocusEmulationEnabled", &json!({"enabled": true}));
        let scheme = if screen.dark { "dark" } else { "light" };
        browser.devtools(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
        browser
    }

    /// Shows a file.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub fn show(&self, page: &Path) {
        let url = format!("file://{}", page.canonicalize().expect("the page is there").display());
        self.post("/url", &json!({ "url": url }));
    }

    /// What JavaScript gives that is run as a function's body.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub fn ask(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Moves the pointer to the middle of an element, given by a CSS selector.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub fn point_at(&self, selector: &str) {
        let found = self.post("/element", &json!({"using": "css selector", "value": selector}));
        self.ask(&format!("document.querySelector({}).scrollIntoView({{block: 'center'}})", json!(selector)));
        let moves = json!({"actions": [{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": [
            {"type": "pointerMove", "duration": 0, "origin": found, "x": 0, "y": 0}
        ]}]});
        self.post("/actions", &moves);
    }

    /// What the page has complained of so far, and any request that it made for something else than itself.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"}));
        let entries = log.as_array().cloned().unwrap_or_default();
        let fetched = self.ask("return performance.getEntriesByType('resource').map(entry => entry.name)");
        let fetched = fetched.as_array().cloned().unwrap_or_default();
        entries.into_iter().chain(fetched).map(|entry| entry.to_string()).collect()
    }

    /// The page on paper, as PDF.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub fn printed(&self) -> Vec<u8> {
        let pdf = self.post("/print", &json!({}));
        STANDARD.decode(pdf.as_str().expect("a document")).expect("base64")
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let answered = agent
            .post(format!("{}{path}", self.session))
            .header("Content-Type", "application/json")
            .send(body.to_string())
            .expect("chromedriver answers");
        let text = answered.into_body().read_to_string().expect("an answer");
        let answer: Value = serde_json::from_str(&text).expect("an answer in JSON");
        let value = answer["value"].clone();
        assert!(value.get("error").is_none(), "{path}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = ureq::delete(&self.session).call();
        // the session is closed: nothing of the browser is left behind it
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
