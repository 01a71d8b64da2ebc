//! What a server denies is an error of the call that it denies, and of no other.

use std::collections::BTreeSet;
use std::time::Duration;

use backend_core::{Backend, Error, Event, Gap, HealthAwareBackend, MessageEnvelope, Subscription};
use backend_nats::NatsBackend;
use engine_harness::wait::{PATIENCE, expect, expect_outage, next, recoveries, recovery, until};
use engine_harness::{Proxy, Result, Wire};
use futures_util::poll;
use tokio::time::timeout;

use crate::support::{Nats, quick};

engine_harness::tests![
    a_denied_call_fails_and_nothing_else_does,
    many_denials_at_once_are_each_seen,
    who_is_turned_away_is_told_without_the_password,
    who_may_not_use_the_namespace_is_not_connected,
    who_goes_away_while_being_denied_is_denied_again,
    what_nobody_has_granted_yet_is_not_ok_when_the_connection_breaks,
    a_server_without_passwords_denies_as_well,
    what_is_denied_after_a_restart_ends_its_streams_alone,
    what_is_denied_after_a_reload_is_noticed,
    a_late_denial_is_none_of_what_was_sent_after_it,
    a_changed_password_is_an_outage_until_it_is_right_again,
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
    let told = error.to_string();
    assert!(told.contains("other.~~nats."), "{told}");
    assert_eq!(told.matches("is unavailable").count(), 1, "{told}");
    Ok(())
}

async fn who_goes_away_while_being_denied_is_denied_again() -> Result {
    let nats = Nats::start_configured(CONFIGURATION).await?;
    let guest = connect(&nats, "guest:p%40ss%3Aw%2Frd").await?;
    for round in 0..300 {
        // It is asked for, and whoever asked has gone before there was an answer.
        let patience = Duration::from_micros(round * 10);
        drop(timeout(patience, guest.subscribe("secret")).await);
        let again = guest.subscribe("secret").await;
        assert!(again.as_ref().is_err_and(is_denied), "{again:?} in round {round}");
    }
    assert!(guest.is_healthy());
    Ok(())
}

async fn what_nobody_has_granted_yet_is_not_ok_when_the_connection_breaks() -> Result {
    let nats = Nats::start_configured(CONFIGURATION).await?;
    let wire = Proxy::to(nats.server.address).await?;
    let url = format!("nats://guest:p%40ss%3Aw%2Frd@{}", wire.address);
    let guest = quick(url).namespace("chat").connect().await?;
    let mut again = recoveries(&guest);
    for _ in 0..50 {
        // The client takes it, and no denial comes back.
        wire.set(Wire::Silent).await;
        let mut publish = guest.publish(MessageEnvelope::new("news", "unheard"));
        assert!(poll!(&mut publish).is_pending());
        wire.set(Wire::Cut).await;
        match publish.await {
            Err(Error::Unconfirmed(_)) => return Ok(()),
            // The task that hands over to the client had its turn too late.
            Err(Error::Unavailable(_)) => {}
            other => panic!("{other:?}"),
        }
        wire.set(Wire::Whole).await;
        recovery(&mut again).await?;
    }
    Err("in 50 outages, none met a publish that had been handed over".into())
}

async fn a_server_without_passwords_denies_as_well() -> Result {
    let nats = Nats::start_configured(
        r#"
        no_auth_user: anybody
        authorization {
            users = [{
                user: anybody
                password: "s3cret"
                permissions: {
                    publish: { allow: ["chat.>"], deny: ["chat.news"] }
                    subscribe: { allow: ["chat.>"], deny: ["chat.secret"] }
                }
            }]
        }
        "#,
    )
    .await?;
    for _ in 0..50 {
        let anybody = quick(nats.url()).namespace("chat").connect().await?;
        let (secret, news) = tokio::join!(
            anybody.subscribe("secret"),
            anybody.publish(MessageEnvelope::new("news", ""))
        );
        assert!(secret.as_ref().is_err_and(is_denied), "{secret:?}");
        assert!(news.as_ref().is_err_and(is_denied), "{news:?}");
        anybody.close().await?;
    }
    Ok(())
}

/// All in the namespace but this topic.
fn without(topic: &str) -> String {
    format!(
        r#"
        authorization {{
            users = [
                {{ user: admin, password: "s3cret" }}
                {{
                    user: guest
                    password: "s3cret"
                    permissions: {{
                        publish: {{ allow: ["chat.>"], deny: ["chat.{topic}"] }}
                        subscribe: {{ allow: ["chat.>"], deny: ["chat.{topic}"] }}
                    }}
                }}
            ]
        }}
        "#
    )
}

async fn hurried(nats: &Nats, credentials: &str) -> Result<NatsBackend> {
    let url = format!("nats://{credentials}@{}", nats.server.address);
    Ok(quick(url).namespace("chat").connect().await?)
}

async fn what_is_denied_after_a_restart_ends_its_streams_alone() -> Result {
    let mut nats = Nats::start_configured(&without("nothing")).await?;
    let admin = hurried(&nats, "admin:s3cret").await?;
    let guest = hurried(&nats, "guest:s3cret").await?;
    let mut again = (recoveries(&admin), recoveries(&guest));
    let mut orders = guest.subscribe("orders").await?;
    let mut news = guest.subscribe("news").await?;
    guest.publish(MessageEnvelope::new("news", "before")).await?;
    nats.server.kill();
    nats.configure(&without("news"))?;
    nats.start_again().await?;
    recovery(&mut again.0).await?;
    recovery(&mut again.1).await?;
    expect_outage(&mut orders).await?;
    ended(&mut news).await?;
    let refused = guest.publish(MessageEnvelope::new("news", "after")).await;
    assert!(refused.as_ref().is_err_and(is_denied), "{refused:?}");
    admin.publish(MessageEnvelope::new("orders", "after")).await?;
    expect(&mut orders, "after").await
}

/// Nothing comes any more, but for a gap perhaps.
async fn ended(stream: &mut Subscription) -> Result {
    while let Some(event) = timeout(PATIENCE, stream.recv()).await? {
        assert!(matches!(event, Event::Gap(_)), "{event:?}");
    }
    Ok(())
}

async fn what_is_denied_after_a_reload_is_noticed() -> Result {
    let nats = Nats::start_configured(&without("nothing")).await?;
    let admin = hurried(&nats, "admin:s3cret").await?;
    let guest = hurried(&nats, "guest:s3cret").await?;
    let mut again = recoveries(&guest);
    let mut orders = guest.subscribe("orders").await?;
    let mut news = guest.subscribe("news").await?;
    guest.publish(MessageEnvelope::new("news", "before")).await?;
    nats.reload(&without("news")).await?;
    recovery(&mut again).await?;
    ended(&mut news).await?;
    let refused = guest.publish(MessageEnvelope::new("news", "after")).await;
    assert!(refused.as_ref().is_err_and(is_denied), "{refused:?}");
    expect_outage(&mut orders).await?;
    admin.publish(MessageEnvelope::new("orders", "after")).await?;
    expect(&mut orders, "after").await
}

/// The server denies one envelope, or two, and then takes one, before the last denial has arrived.
async fn a_late_denial_is_none_of_what_was_sent_after_it() -> Result {
    let nats = Nats::start_configured(&without("nothing")).await?;
    let far = Proxy::with_delay(nats.server.address, Duration::from_millis(300)).await?;
    let url = format!("nats://guest:s3cret@{}", far.address);
    let guest = quick(url).namespace("chat").connect().await?;
    let admin = hurried(&nats, "admin:s3cret").await?;
    let mut news = admin.subscribe("news").await?;
    guest.publish(MessageEnvelope::new("news", "before")).await?;
    expect(&mut news, "before").await?;

    let denied = || nats.server.log().matches("Publish Violation").count();
    let mut were_late = BTreeSet::new();
    for round in 0..20 {
        nats.reload(&without("news")).await?;
        let (denials, mut late) = (1 + round % 2, 0);
        for _ in 0..denials {
            let before = denied();
            match guest.publish(MessageEnvelope::new("news", "denied")).await {
                Ok(()) => late += 1,
                // The first denial was here already, so that this one was asked for.
                Err(error) if is_denied(&error) => {}
                Err(error) => return Err(error.into()),
            }
            until("it is denied", || denied() > before).await?;
        }
        nats.reload(&without("nothing")).await?;
        // Beside one that has to be asked for, and by itself.
        let (fresh, granted) = tokio::join!(
            guest.publish(MessageEnvelope::new(format!("fresh {round}"), "")),
            guest.publish(MessageEnvelope::new("news", "granted")),
        );
        fresh.and(granted)?;
        guest.publish(MessageEnvelope::new("news", "after")).await?;
        if late > 0 {
            let lost = next(&mut news).await?;
            let missed = Some(late);
            assert!(
                matches!(lost, Event::Gap(Gap { missed: told, .. }) if told == missed),
                "{lost:?}"
            );
        }
        expect(&mut news, "granted").await?;
        expect(&mut news, "after").await?;
        if late == denials {
            were_late.insert(denials);
        }
        if were_late.len() == 2 {
            return Ok(());
        }
    }
    Err("the denials came before they could be late".into())
}

async fn a_changed_password_is_an_outage_until_it_is_right_again() -> Result {
    let mut nats = Nats::start_configured(&without("nothing")).await?;
    let guest = hurried(&nats, "guest:s3cret").await?;
    let mut again = recoveries(&guest);
    let mut orders = guest.subscribe("orders").await?;
    nats.server.kill();
    nats.configure(&without("nothing").replace("s3cret", "another"))?;
    nats.start_again().await?;
    // It tries, more than once.
    until("turned away", || nats.server.log().matches("authentication error").count() > 3).await?;
    assert!(!guest.is_healthy());
    let refused = guest.publish(MessageEnvelope::new("orders", "")).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    nats.server.kill();
    nats.configure(&without("nothing"))?;
    nats.start_again().await?;
    recovery(&mut again).await?;
    expect_outage(&mut orders).await?;
    let admin = hurried(&nats, "admin:s3cret").await?;
    admin.publish(MessageEnvelope::new("orders", "after")).await?;
    expect(&mut orders, "after").await
}
