//! What an instance does when the engine answers late, or not at all: over one that does what it is
//! asked for when the test lets it.

mod alone;
mod engine;
mod numbers;
mod outbox;
mod races;
mod writer;
