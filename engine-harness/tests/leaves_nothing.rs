//! However a test ends, its server ends with it, and its folder is gone.
//!
//! This program plays all three parts: it starts itself as a test, which starts it as a server.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use engine_harness::Server;
use libtest_mimic::{Arguments, Failed, Trial};

const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["server", port] => serve(port).expect("a port can be listened on"),
        ["victim", end] => victim(end).expect("a server can be started"),
        _ => {
            let trials = ["returns", "panics", "exits", "interrupted", "killed"];
            let trials = trials.map(|end| Trial::test(end, move || leaves_nothing(end)));
            return libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code();
        }
    }
    ExitCode::SUCCESS
}

/// Greets whoever connects, and keeps the connection, as all servers do.
fn serve(port: &str) -> io::Result<()> {
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    let mut kept = Vec::new();
    loop {
        let (mut socket, _) = listener.accept()?;
        socket.write_all(b"!")?;
        kept.push(socket);
    }
}

/// Starts a server twice, tells where it is, and comes to this end when its input ends.
fn victim(end: &str) -> io::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let arguments = |port: u16, _: &Path| vec!["server".to_owned(), port.to_string()];
    let answers = async |socket: tokio::net::TcpStream| socket.readable().await.is_ok();
    let program = std::env::current_exe()?;
    let server = async {
        let program = program.to_str().unwrap_or_default();
        let mut server = Server::start(program, arguments, answers).await?;
        server.kill();
        server.start_again(answers).await?;
        io::Result::Ok(server)
    };
    let server = runtime.block_on(server)?;
    println!("{} {}", server.address, server.folder().display());
    io::stdin().read_to_end(&mut Vec::new())?;
    match end {
        "panics" => panic!("as this test wants"),
        "exits" => std::process::exit(0),
        _ => Ok(()),
    }
}

fn leaves_nothing(end: &str) -> Result<(), Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["victim", end]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    // A group of its own, as a terminal would give it.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut victim = command.spawn()?;
    let result = left_by(&mut victim, end);
    let _ = victim.kill();
    victim.wait()?;
    result
}

fn left_by(victim: &mut Child, end: &str) -> Result<(), Failed> {
    let mut line = String::new();
    BufReader::new(victim.stdout.take().ok_or("piped")?).read_line(&mut line)?;
    let (address, folder) = line.trim().split_once(' ').ok_or("no server")?;
    let (address, folder): (SocketAddr, _) = (address.parse()?, PathBuf::from(folder));
    let mut server = TcpStream::connect(address)?;
    server.set_read_timeout(Some(PATIENCE))?;
    server.read_exact(&mut [0])?;
    assert!(folder.is_dir());

    match end {
        "interrupted" => {
            // Ctrl-C: the whole group is told.
            let group = rustix::process::Pid::from_child(victim);
            rustix::process::kill_process_group(group, rustix::process::Signal::INT)?;
        }
        "killed" => victim.kill()?,
        _ => drop(victim.stdin.take()),
    }
    // The connection ends with the server's process.
    match server.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        other => return Err(format!("the server goes on: {other:?}").into()),
    }
    // Nothing tells when a folder has gone.
    let since = Instant::now();
    while folder.exists() {
        if since.elapsed() > PATIENCE {
            return Err(format!("{} is still there", folder.display()).into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
