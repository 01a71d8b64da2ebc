//! What a server denies is an error of the call that it denies, and of no other.

use backend_core::{Backend, Error, HealthAwareBackend, MessageEnvelope};
use backend_nats::NatsBackend;
use engine_harness::Result;
use engine_harness::wait::expect;

use crate::support::Nats;

engine_harness::tests![
    a_denied_call_fails_and_nothing_else_does,
    many_denials_at_once_are_each_seen,
    who_is_turned_away_is_told_without_the_password,
    who_may_not_use_the_namespace_is_not_connected,
];

/// `guest` may do everything in the namespace `chat`, but for two topics.
const CONFIGURATION: &str = r#"
    authorization {
        users = [
            { user: admin, password: "s3cret" }
            {
                user: guest
                password: "p@ss:w/rd"
                permissions: {
                    publish: { allow: ["chat.>"], deny: ["chat.news"] }
                    subscribe: { allow: ["chat.>"], deny: ["chat.secret"] }
                }
            }
            {
                user: listed
                password: listed
                permissions: {
                    publish: ["chat.orders", "chat.~~nats.>"]
                    subscribe: ["chat.orders", "chat.~~nats.>"]
                }
            }
        ]
    }
"#;

async fn connect(nats: &Nats, credentials: &str) -> backend_core::Result<NatsBackend> {
    let url = format!("nats://{credentials}@{}", nats.server.address);
    NatsBackend::builder().servers(url).namespace("chat").connect().await
}

fn is_denied(error: &Error) -> bool {
    matches!(error, Error::Backend(why) if why.to_string().contains("ermissions"))
}

async fn a_denied_call_fails_and_nothing_else_does() -> Result {
    let nats = Nats::start_configured(CONFIGURATION).await?;
    let admin = connect(&nats, "admin:s3cret").await?;
    let guest = connect(&nats, "guest:p%40ss%3Aw%2Frd").await?;
    let mut at_admin = admin.subscribe("news").await?;
    let mut orders = guest.subscribe("orders").await?;

    // Again and again, beside one another, and in between of what is allowed.
    for round in 0..50 {
        let envelope = |topic: &str| MessageEnvelope::new(topic, format!("{topic} {round}"));
        let (secret, news, other, order) = tokio::join!(
            guest.subscribe("secret"),
            guest.publish(envelope("news")),
            guest.subscribe("other"),
            admin.publish(envelope("orders")),
        );
        assert!(is_denied(&secret.unwrap_err()), "round {round}");
        assert!(is_denied(&news.unwrap_err()), "round {round}");
        other?;
        order?;
        expect(&mut orders, &format!("orders {round}")).await?;
    }
    assert!(guest.is_healthy());
    // Nothing that was denied has used a number: there is no gap.
    admin.close().await?;
    assert!(at_admin.recv().await.is_none());
    Ok(())
}

async fn many_denials_at_once_are_each_seen() -> Result {
    let nats = Nats::start_configured(CONFIGURATION).await?;
    let listed = connect(&nats, "listed:listed").await?;
    let topics: Vec<_> = (0..1_000).map(|number| format!("topic {number}")).collect();
    let subscribed = topics.iter().map(|topic| listed.subscribe(topic));
    let published = topics.iter().map(|topic| listed.publish(MessageEnvelope::new(topic, "")));
    let (subscribed, published) = tokio::join!(
        futures_util::future::join_all(subscribed),
        futures_util::future::join_all(published),
    );
    let unseen = subscribed.iter().filter(|result| !result.as_ref().is_err_and(is_denied)).count();
    assert_eq!(unseen, 0, "of subscribes");
    let unseen = published.iter().filter(|result| !result.as_ref().is_err_and(is_denied)).count();
    assert_eq!(unseen, 0, "of publishes");
    listed.subscribe("orders").await?;
    listed.publish(MessageEnvelope::new("orders", "")).await?;
    assert!(listed.is_healthy());
    Ok(())
}

async fn who_is_turned_away_is_told_without_the_password() -> Result {
    let nats = Nats::start_configured(CONFIGURATION).await?;
    let error = connect(&nats, "guest:wr0ng-s3cret").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("wr0ng"), "{error:?}");

    let builder = NatsBackend::builder().servers("nats://guest:wr0ng-s3cret@localhost");
    assert!(!format!("{builder:?}").contains("wr0ng"), "{builder:?}");
    let admin = connect(&nats, "admin:s3cret").await?;
    assert!(!format!("{admin:?}").contains("s3cret"), "{admin:?}");
    Ok(())
}

/// Without its own subjects, the adapter could promise nothing.
async fn who_may_not_use_the_namespace_is_not_connected() -> Result {
    let nats = Nats::start_configured(CONFIGURATION).await?;
    let url = format!("nats://listed:listed@{}", nats.server.address);
    let error = NatsBackend::builder().servers(url).namespace("other").connect().await.unwrap_err();
    assert!(error.to_string().contains("other.~~nats."), "{error}");
    Ok(())
}
