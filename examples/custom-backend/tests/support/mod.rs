//! What the tests share: a relay of one's own, and a way to cut it off.

// Each test binary uses its part.
#![allow(dead_code, unreachable_pub)]

pub mod client;
pub mod proxy;
pub mod relay;
