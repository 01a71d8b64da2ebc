//! What the tests of backends over engines share: private servers on free ports, and wires to them
//! that can be cut.
//!
//! A [`Server`] is a process of the test's own. It listens on a loopback port that was free, is used
//! when it answers in its own protocol, and ends with the test, however that ends. A [`Proxy`]
//! stands between it and one client, and forwards, at once or late, cuts, or falls silent. An
//! [`Account`] holds what was sent against what has arrived. Where a server's program is missing,
//! its suite is [left out](left_out), and shown as that. [`traffic`] is for benches.

mod account;
mod delay;
mod guard;
mod left_out;
mod proxy;
mod server;
pub mod traffic;

pub use account::Account;
pub use left_out::left_out;
pub use proxy::{Proxy, Wire};
pub use server::{Server, free_port, is_installed};
