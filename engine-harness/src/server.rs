//! A server process of one's own.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::guard::Guard;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is asked.
const AGAIN: Duration = Duration::from_millis(10);

/// A running server with a folder of its own. It is killed, and its folder removed, when this is
/// dropped, and also when the process of the test ends without that, by Ctrl-C or `kill -9`.
#[derive(Debug)]
pub struct Server {
    process: Option<Child>,
    guard: Guard,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// Where it listens.
    pub address: SocketAddr,
    folder: TempDir,
}

/// Where Debian has servers, which not everybody has on the path.
const SERVERS: [&str; 2] = ["/usr/local/sbin", "/usr/sbin"];

/// Whether a program can be started here.
#[must_use]
pub fn is_installed(program: &str) -> bool {
    find(program).is_some()
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SERVERS.map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Where ports for servers are looked for: below those that systems give out by themselves. One of
/// those would be taken by anybody's connection while its server is dead.
const PORTS: Range<u16> = 12_000..32_000;

/// A loopback port that nobody listens on, and that was not given out before by this process.
///
/// Somebody else may take it before the server does; then the server ends, and
/// [`Server::start`] tries another one.
///
/// # Errors
/// None is left.
pub fn free_port() -> io::Result<u16> {
    static GIVEN_OUT: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given_out = GIVEN_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..1000 {
        // Of the standard library, only this is random.
        let random = RandomState::new().hash_one(());
        let port = PORTS.start + (random % PORTS.len() as u64) as u16;
        if !given_out.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            given_out.insert(port);
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "no free port was found"))
}

impl Server {
    /// Starts `program` on a free port. `arguments` are given the port and a folder that is the
    /// server's own; `answers` says whether what listens on the address speaks the protocol.
    ///
    /// # Errors
    /// The program cannot be started, or does not answer in time.
    pub async fn start<F>(
        program: &str,
        arguments: impl Fn(u16, &Path) -> Vec<String>,
        answers: impl Fn(TcpStream) -> F,
    ) -> io::Result<Self>
    where
        F: Future<Output = bool>,
    {
        Self::start_with(program, &[], arguments, answers).await
    }

    /// With variables in its environment.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with<F>(
        program: &str,
        environment: &[(&str, &str)],
        arguments: impl Fn(u16, &Path) -> Vec<String>,
        answers: impl Fn(TcpStream) -> F,
    ) -> io::Result<Self>
    where
        F: Future<Output = bool>,
    {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<_> = environment.iter().map(owned).collect();
        let not_found = || io::Error::new(io::ErrorKind::NotFound, format!("no {program}"));
        let path = find(program).ok_or_else(not_found)?;
        let mut last = io::Error::other("not tried");
        for _ in 0..5 {
            let (port, folder) = (free_port()?, TempDir::new()?);
            let mut server = Self {
                process: None,
                guard: Guard::of(folder.path())?,
                program: path.clone(),
                arguments: arguments(port, folder.path()),
                environment: environment.clone(),
                address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                folder,
            };
            match server.start_again(&answers).await {
                Ok(()) => return Ok(server),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Starts it again after [`kill`](Self::kill), on the same port and with the same folder.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_again<F>(&mut self, answers: impl Fn(TcpStream) -> F) -> io::Result<()>
    where
        F: Future<Output = bool>,
    {
        self.kill();
        let log = std::fs::File::create(self.folder.path().join("log"))?;
        let mut command = Command::new(&self.program);
        command.args(self.arguments.iter().map(OsStr::new)).current_dir(self.folder.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = self.process.insert(command.spawn()?);
        self.guard.watch(process)?;
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(Ok(Some(status))) = self.process.as_mut().map(Child::try_wait) {
                return Err(io::Error::other(format!(
                    "{} has ended with {status}: {}",
                    self.program.display(),
                    self.log()
                )));
            }
            if let Ok(socket) = TcpStream::connect(self.address).await
                && timeout(PATIENCE, answers(socket)).await.unwrap_or(false)
            {
                return Ok(());
            }
            // Nothing tells when a port is listened on.
            sleep(AGAIN).await;
        }
        let program = self.program.display();
        Err(io::Error::other(format!("{program} does not answer: {}", self.log())))
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = self.guard.forget();
            let _ = process.wait();
        }
    }

    /// The number of its process, while there is one.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// What it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its own folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
