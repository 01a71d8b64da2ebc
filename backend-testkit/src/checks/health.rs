//! H1 and H2: health over a life, and what it promises.

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Verified};
use crate::instance::Instance;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "health",
        is_offered_where_it_is_claimed,
        [H1],
        [Health],
        "as_health_aware is Some on every instance, and stays so."
    ),
    check!(
        "health",
        healthy_when_fresh,
        [H1, H2],
        [Health],
        "A fresh instance is healthy, and can publish and receive at once."
    ),
    check!(
        "health",
        healthy_while_it_works,
        [H1],
        [Health],
        "Using an instance, and what others do, does not make it unhealthy."
    ),
    check!(
        "health",
        unhealthy_after_close,
        [H1],
        [Health],
        "An instance is not healthy after close."
    ),
    check!(
        "health",
        close_leaves_the_health_of_others,
        [H1, C3],
        [Health],
        "The close of one instance does not make others unhealthy."
    ),
    check!(
        "health",
        unhealthy_while_cut_off,
        [H2],
        [Health, Faults],
        "An instance that is cut off notices, and says so until it is back."
    ),
    check!(
        "health",
        an_outage_of_one_is_not_one_of_others,
        [H2],
        [Health, Faults],
        "Other instances stay healthy, and go on."
    ),
    check!(
        "health",
        healthy_again_means_deliverable,
        [H2],
        [Health, Faults],
        "As soon as it says healthy after an outage, both directions work, every time."
    ),
    check!(
        "health",
        stays_unhealthy_when_closed_while_cut_off,
        [H1],
        [Health, Faults],
        "An instance that was closed during an outage is not healthy when the outage ends."
    ),
];

async fn is_offered_where_it_is_claimed(bench: Bench) -> Verified {
    for instance in bench.instances(3).await? {
        instance.health()?;
        instance.close().await?;
        instance.health().because("it is closed, and its health can be asked all the same")?;
    }
    Ok(())
}

async fn both_ways(a: &Instance, b: &Instance, when: &str) -> Verified {
    let mut at_a = a.subscribe("both ways").await?;
    let mut at_b = b.subscribe("both ways").await?;
    a.publish("both ways", when).await?;
    at_b.expect(when).await.because("both are healthy")?;
    b.publish("both ways", when).await?;
    at_a.expect(when).await.because("both are healthy")
}

async fn healthy_when_fresh(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    a.expect_healthy(true, "when fresh")?;
    b.expect_healthy(true, "when fresh")?;
    both_ways(&a, &b, "fresh").await
}

async fn healthy_while_it_works(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut reader = b.subscribe("news").await?;
    a.publish("news", "hello").await?;
    reader.expect("hello").await?;
    a.expect_healthy(true, "after publishing")?;
    b.expect_healthy(true, "after receiving")?;
    b.unsubscribe("news").await?;
    drop(b.subscribe("other").await?);
    b.expect_healthy(true, "after unsubscribe and a drop")
}

async fn unhealthy_after_close(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let _reader = a.subscribe("news").await?;
    for _ in 0..2 {
        a.close().await?;
        a.expect_healthy(false, "after close")?;
    }
    b.close().await?;
    b.expect_healthy(false, "after the close of an instance that was never used")
}

async fn close_leaves_the_health_of_others(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    c.close().await?;
    a.expect_healthy(true, "after the close of another")?;
    b.expect_healthy(true, "after the close of another")?;
    both_ways(&a, &b, "without C").await?;
    c.drop_last_handle();
    a.expect_healthy(true, "after another has gone")
}

async fn unhealthy_while_cut_off(bench: Bench) -> Verified {
    let [_a, b] = bench.cluster().await?;
    for _ in 0..3 {
        b.cut().await?;
        // Using it does not make it healthy: neither a publish, nor being asked again.
        let refused = backend_core::MessageEnvelope::new("news", "during the outage");
        let _ = b.try_send(refused).await?;
        for _ in 0..3 {
            b.expect_healthy(false, "while it is cut off")?;
        }
        b.restore().await?;
    }
    Ok(())
}

async fn an_outage_of_one_is_not_one_of_others(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    let mut at_c = c.subscribe("news").await?;
    b.cut().await?;
    a.expect_healthy(true, "while another is cut off")?;
    c.expect_healthy(true, "while another is cut off")?;
    a.publish("news", "goes on").await?;
    at_c.expect("goes on").await.because("only B is cut off")?;
    both_ways(&a, &c, "without B").await?;
    b.restore().await?;
    a.expect_healthy(true, "when another is back")
}

async fn healthy_again_means_deliverable(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let mut at_a = a.subscribe("news").await?;
    for round in 0..3 {
        let mut at_b = b.subscribe("news").await?;
        b.cut().await?;
        b.restore().await?;
        let data = format!("to B after outage {round}");
        a.publish("news", &data).await?;
        at_b.expect_past_gaps(&data).await.because("B had said that it is healthy again")?;
        let data = format!("from B after outage {round}");
        b.publish("news", &data).await?;
        at_a.expect(&data).await.because("B had said that it is healthy again")?;
        b.unsubscribe("news").await?;
    }
    both_ways(&a, &b, "after outages").await
}

async fn stays_unhealthy_when_closed_while_cut_off(bench: Bench) -> Verified {
    let [a, b, c] = bench.cluster().await?;
    b.cut().await?;
    b.close().await?;
    b.expect_healthy(false, "after close")?;
    b.restore_unnoticed().await?;
    // C has an outage and comes back, which takes at least as long as B would.
    c.cut().await?;
    c.restore().await?;
    both_ways(&a, &c, "without B").await?;
    b.expect_healthy(false, "after close, though the outage has ended")
}
