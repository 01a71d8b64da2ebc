//! Finds, starts and ends the browser and its driver.

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout};

use crate::support::within;

/// Where the browser and its driver are on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Programs {
    chromium: &'static str,
    chromedriver: &'static str,
}

impl Programs {
    /// Looks for both, and says what is missing.
    pub(crate) fn find() -> Result<Self, String> {
        let missing = |what| format!("needs {what}: cargo xtask test installs it");
        let chromium = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
        let chromedriver = ["chromedriver"];
        Ok(Self {
            chromium: first_that_runs(&chromium).ok_or_else(|| missing("chromium"))?,
            chromedriver: first_that_runs(&chromedriver).ok_or_else(|| missing("chromedriver"))?,
        })
    }
}

/// It is run, not only looked for: a package may leave a script that says what else to install.
fn first_that_runs(names: &[&'static str]) -> Option<&'static str> {
    names.iter().copied().find(|name| {
        let mut command = Command::new(name);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

/// The full path of a program, as chromedriver wants to have it.
fn path_of(name: &str) -> String {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .map_or_else(|| name.to_owned(), |path| path.to_string_lossy().into_owned())
}

/// A browser with an empty profile. However the test ends, dropping this leaves no process behind.
#[derive(Debug)]
pub(crate) struct Browser {
    pub(crate) client: Client,
    // Dropped in this order: the processes have ended when their profile is removed.
    _driver: Driver,
    _profile: TempDir,
}

impl Browser {
    pub(crate) async fn start(programs: Programs) -> Self {
        let driver = Driver::start(programs).await;
        // Not in /tmp: a browser from a snap has a /tmp of its own.
        let profile = TempDir::with_prefix_in("profile-", env!("CARGO_TARGET_TMPDIR"))
            .expect("the target directory takes a folder");
        let capabilities = json!({
            "goog:chromeOptions": {
                "binary": path_of(programs.chromium),
                "args": [
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                    "--disable-quic",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    "--no-first-run",
                    "--force-device-scale-factor=2",
                    format!("--user-data-dir={}", profile.path().display()),
                ],
            },
            // How long a wait in a page may take.
            "timeouts": { "script": crate::support::DEADLINE.as_millis() as u64 },
        });
        let capabilities = capabilities.as_object().expect("an object").clone();
        let client = within(
            "a browser",
            ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities)
                .connect(&driver.url),
        )
        .await
        .expect("chromedriver starts Chromium");
        Self { client, _driver: driver, _profile: profile }
    }
}

/// A chromedriver, and with it the Chromium that it starts.
#[derive(Debug)]
struct Driver {
    url: String,
    /// The group that it leads, and that its children are in.
    group: Pid,
    child: Child,
    /// Kept open: a closed pipe would make its output fail.
    _stdout: BufReader<ChildStdout>,
}

/// The groups of processes that run now, for [`end_browsers_on_interrupt`].
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

impl Driver {
    async fn start(programs: Programs) -> Self {
        let mut child = tokio::process::Command::new(programs.chromedriver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let id = child.id().expect("it was just started");
        let group = Pid::from_raw(id.cast_signed()).expect("a process has an id");
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).push(group);

        // From here on it is ended on drop.
        let mut driver = Self { url: String::new(), group, child, _stdout: stdout };
        let port = within("chromedriver's port", async {
            let mut line = String::new();
            loop {
                line.clear();
                let length = driver._stdout.read_line(&mut line).await.expect("it prints text");
                assert_ne!(length, 0, "chromedriver ended before it had said its port");
                // "ChromeDriver was started successfully on port 39305."
                if let Some((_, port)) = line.trim_end().rsplit_once("successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
        })
        .await;
        driver.url = format!("http://127.0.0.1:{port}");
        driver
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).retain(|group| *group != self.group);
        // Nothing that it could save is of use. An error means that it is gone already.
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.start_kill();
    }
}

/// Ctrl-C reaches the tests but not the browsers, which are in groups of their own.
pub(crate) fn end_browsers_on_interrupt() {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            for group in GROUPS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                let _ = kill_process_group(*group, Signal::KILL);
            }
            std::process::exit(130);
        }
    });
}
