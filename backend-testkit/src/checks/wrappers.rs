//! The backend behind `Arc`, `Box` and `&`, and as another trait: it stays what it is.
//!
//! Services hold a backend in one of these. What is checked is that nothing of it gets lost on the
//! way: neither messages nor what it offers besides.

use backend_core::{Backend, MessageEnvelope};

use crate::Check;
use crate::bench::Bench;
use crate::check::check;
use crate::failure::{Explain, Failure, Verified, ensure};
use crate::instance::Instance;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        "wrappers",
        a_wrapped_backend_works,
        [D1, D2, U1],
        [],
        "Through Arc, Box and &, publish, subscribe and unsubscribe do what they do."
    ),
    check!(
        "wrappers",
        a_wrapped_backend_closes,
        [C1, C2],
        [],
        "Closing through Arc, Box or & closes the one instance."
    ),
    check!(
        "wrappers",
        a_wrapped_backend_offers_its_health,
        [H1],
        [Health],
        "Through Arc, Box and &, as_health_aware is still Some, and tells the truth."
    ),
    check!(
        "wrappers",
        a_wrapped_backend_offers_its_counters,
        [U4],
        [Counters],
        "Through Arc, Box and &, as_observable is still Some, and counts."
    ),
    check!(
        "wrappers",
        the_health_view_is_the_same_backend,
        [H1, D1, C2],
        [Health],
        "The backend behind as_health_aware is the same instance: it hears no echo, and closes."
    ),
];

async fn works(backend: impl Backend, a: &Instance, b: &Instance) -> Verified {
    // `backend` is another handle to A.
    let failed = |what: &str, error: backend_core::Error| {
        Failure::new(format!("{what} through a wrapper: Ok"), format!("the error {error:?}"))
    };
    let subscription =
        backend.subscribe("news").await.map_err(|error| failed("subscribe", error))?;
    let mut at_a = a.reader("news", subscription);
    let mut at_b = b.subscribe("news").await?;
    for round in ["one", "two"] {
        let envelope = MessageEnvelope::new("news", format!("from A {round}")).with_scope("");
        backend.publish(envelope.clone()).await.map_err(|error| failed("publish", error))?;
        at_b.expect_envelope(&envelope).await?;
        b.publish("news", round).await?;
        at_a.expect(round).await.because("and not its own, through a wrapper either")?;
    }
    backend.unsubscribe("news").await.map_err(|error| failed("unsubscribe", error))?;
    at_a.expect_end().await?;
    b.unsubscribe("news").await
}

async fn a_wrapped_backend_works(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    let shared = std::sync::Arc::clone(a.backend());
    works(std::sync::Arc::clone(&shared), &a, &b).await?;
    works(Box::new(std::sync::Arc::clone(&shared)), &a, &b).await?;
    works(&shared, &a, &b).await?;
    works(&*shared, &a, &b).await?;
    let boxed: Box<dyn Backend> = Box::new(shared);
    works(boxed, &a, &b).await
}

async fn close(backend: impl Backend) -> backend_core::Result<()> {
    backend.close().await
}

async fn a_wrapped_backend_closes(bench: Bench) -> Verified {
    for wrapper in ["Box", "&"] {
        let [a, _b] = bench.cluster().await?;
        let mut reader = a.subscribe("news").await?;
        let shared = std::sync::Arc::clone(a.backend());
        let closed = match wrapper {
            "Box" => close(Box::new(shared)).await,
            _ => close(&shared).await,
        };
        ensure(closed.is_ok(), format!("close through {wrapper}: Ok"), format!("{closed:?}"))?;
        reader.expect_end().await?;
        let refused = a.try_send(MessageEnvelope::new("news", "too late")).await?;
        ensure(
            refused.as_ref().is_err_and(backend_core::Error::is_closed),
            format!("publish gives Error::Closed after a close through {wrapper}"),
            format!("{refused:?}"),
        )?;
    }
    Ok(())
}

fn offers_health(wrapper: &str, backend: impl Backend) -> Verified {
    let healthy = backend.as_health_aware().map(|health| health.is_healthy());
    ensure(
        healthy == Some(true),
        format!("as_health_aware through {wrapper} is Some, and healthy when fresh"),
        format!("is_healthy: {healthy:?}"),
    )
}

async fn a_wrapped_backend_offers_its_health(bench: Bench) -> Verified {
    let [a] = bench.cluster().await?;
    let shared = a.backend();
    offers_health("Arc<dyn Backend>", std::sync::Arc::clone(shared))?;
    offers_health("Box", Box::new(std::sync::Arc::clone(shared)))?;
    offers_health("&Arc", shared)?;
    offers_health("&dyn Backend", &**shared)?;
    bench.observe();
    Ok(())
}

fn offers_counters(wrapper: &str, backend: impl Backend) -> Verified {
    let held = backend.as_observable().map(|observable| observable.stats().subscriptions);
    ensure(
        held == Some(1),
        format!("as_observable through {wrapper} is Some, and counts 1 subscription"),
        format!("subscriptions: {held:?}"),
    )
}

async fn a_wrapped_backend_offers_its_counters(bench: Bench) -> Verified {
    let [a] = bench.cluster().await?;
    let _reader = a.subscribe("news").await?;
    a.until_held(1, 1).await?;
    let shared = a.backend();
    offers_counters("Arc<dyn Backend>", std::sync::Arc::clone(shared))?;
    offers_counters("Box", Box::new(std::sync::Arc::clone(shared)))?;
    offers_counters("&Arc", shared)?;
    offers_counters("&dyn Backend", &**shared)
}

async fn the_health_view_is_the_same_backend(bench: Bench) -> Verified {
    let [a, b] = bench.cluster().await?;
    works(a.health()?, &a, &b).await?;
    let closed = a.health()?.close().await;
    ensure(closed.is_ok(), "close through the health view: Ok", format!("{closed:?}"))?;
    a.expect_healthy(false, "after a close through the health view")?;
    let refused = a.try_send(MessageEnvelope::new("news", "too late")).await?;
    ensure(
        refused.as_ref().is_err_and(backend_core::Error::is_closed),
        "publish gives Error::Closed after a close through the health view",
        format!("{refused:?}"),
    )
}
