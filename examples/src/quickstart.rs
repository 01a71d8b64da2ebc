//! The contract in fifty lines: publish and subscribe, a gap, an outage and the return from it.
//!
//! ```text
//! cargo run --bin quickstart
//! ```
//!
//! The README shows what follows, word for word; a test keeps the two in step.

use backend_core::{Backend, Event, MessageEnvelope, Result};
use backend_memory::MemoryBackend;

#[tokio::main]
async fn main() -> Result<()> {
    // Two instances of a service on one bus, which keeps three messages for a slow reader.
    let here = MemoryBackend::builder().capacity(3).build();
    let there = here.fork();

    // What one instance publishes, the others receive.
    let mut orders = there.subscribe("orders").await?;
    here.publish(MessageEnvelope::new("orders", "one tea")).await?;
    show(orders.recv().await);

    // Nobody waits for a slow reader. It loses the oldest messages, and is told how many.
    for number in 1..=5 {
        here.publish(MessageEnvelope::new("orders", format!("coffee {number}"))).await?;
    }
    while let Ok(event) = orders.try_recv() {
        show(Some(event));
    }

    // In an outage nothing hangs and nothing piles up. The same subscription goes on after it.
    there.partition();
    if let Err(error) = there.publish(MessageEnvelope::new("orders", "one cake")).await {
        println!("not published: {error} (worth a retry: {})", error.is_retryable());
    }
    here.publish(MessageEnvelope::new("orders", "never seen there")).await?;
    there.heal();
    here.publish(MessageEnvelope::new("orders", "one water")).await?;
    show(orders.recv().await);
    show(orders.recv().await);

    // The end of a stream means closed or unsubscribed, never a lost connection.
    there.close().await?;
    show(orders.recv().await);
    Ok(())
}

fn show(event: Option<Event>) {
    match event {
        Some(Event::Message(envelope)) => println!("message: {}", envelope.data().escape_ascii()),
        Some(Event::Gap(gap)) => println!("gap: {gap}"),
        Some(_) => {} // kinds of events that later versions may add
        None => println!("the end"),
    }
}
