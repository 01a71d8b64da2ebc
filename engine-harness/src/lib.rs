//! What the tests of backends over engines share: private servers on free ports, and wires to them
//! that can be cut.
//!
//! A [`Server`] is a process of the test's own. It listens on a loopback port that was free, is used
//! when it answers in its own protocol, and ends with the test, however that ends. A [`Proxy`]
//! stands between it and one client, and forwards, at once or late, cuts, or falls silent. A [`Load`]
//! publishes through all of that, and an [`Account`] holds what was sent against what has arrived.
//! [`bench`](mod@bench) has what the benches of adapters have in common, and [`traffic`] what they send.
//!
//! A [`Test`] is shown as ignored where the server's program is missing.

mod account;
pub mod bench;
mod certificates;
mod delay;
mod guard;
mod load;
mod proxy;
mod server;
pub mod traffic;
mod trials;
pub mod wait;

pub use account::{Account, Attempts};
pub use certificates::Certificates;
pub use load::Load;
pub use proxy::{Proxy, Wire};
pub use server::{Server, free_port, is_installed};
pub use trials::{Test, leave_out, run};

/// Whatever goes wrong in a test.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a test returns.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;
