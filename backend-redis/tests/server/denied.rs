//! What the server's access control denies is an error of the call that was denied, and of no other.

use std::collections::BTreeSet;
use std::time::Duration;

use backend_core::{Backend, Error, Event, HealthAwareBackend, MessageEnvelope};
use engine_harness::Result;
use engine_harness::wait::{
    PATIENCE, expect, expect_outage, next, recoveries, recovery, until, until_it_says,
};
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::support::{Redis, quick};

engine_harness::tests![
    few_rights_are_enough,
    who_may_do_nothing_is_not_connected,
    who_has_channels_of_single_topics_is_connected,
    who_may_do_one_of_both_does_it,
    rights_that_are_all_taken_away_are_an_outage_until_they_are_back,
    a_channel_that_is_taken_away_ends_its_streams_alone,
    a_denied_publish_is_an_error_and_harms_no_other,
    a_denied_subscribe_is_an_error,
    a_changed_password_is_an_outage_until_it_is_right_again,
];

/// What an instance needs of a namespace, and nothing else.
const RIGHTS: [&str; 6] = ["reset", "on", ">s3cret", "+publish", "+subscribe", "+unsubscribe"];

async fn set_user(redis: &Redis, name: &str, rights: &[&str]) -> Result {
    let mut client = redis.client().await?;
    redis::cmd("ACL").arg("SETUSER").arg(name).arg(rights).exec_async(&mut client).await?;
    Ok(())
}

fn instance(redis: &Redis, user: &str) -> backend_redis::Builder {
    quick(redis.url()).namespace("chat").user_and_password(user, "s3cret")
}

async fn few_rights_are_enough() -> Result {
    // In the server's settings, so that a new start does not forget it.
    let user = ["--user", "alice"];
    let mut redis = Redis::start_with(&[&user[..], &RIGHTS, &["&chat.*"]].concat()).await?;
    let here = instance(&redis, "alice").client_name("here").connect().await?;
    let there = instance(&redis, "alice").connect().await?;
    let mut again = (recoveries(&here), recoveries(&there));
    let mut orders = there.subscribe("orders").await?;
    let mut second = there.subscribe("orders").await?;
    here.publish(MessageEnvelope::new("orders", "first")).await?;
    expect(&mut orders, "first").await?;
    expect(&mut second, "first").await?;
    redis.server.kill();
    redis.start_again().await?;
    recovery(&mut again.0).await?;
    recovery(&mut again.1).await?;
    expect_outage(&mut orders).await?;
    there.unsubscribe("orders").await?;
    drop(there.subscribe("prices").await?);

    let mut client = redis.client().await?;
    let log: Vec<redis::Value> = redis::cmd("ACL").arg("LOG").query_async(&mut client).await?;
    assert!(log.is_empty(), "something was denied: {log:?}");
    Ok(())
}

async fn who_may_do_nothing_is_not_connected() -> Result {
    let redis = Redis::start().await?;
    for rights in [&["&chat.*"][..], &["+@connection", "&*"], &["+@all", "-publish", "-subscribe"]]
    {
        set_user(&redis, "alice", &[&["reset", "on", ">s3cret"], rights].concat()).await?;
        let Err(error) = instance(&redis, "alice").connect().await else {
            panic!("connected with {rights:?}")
        };
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        let told = error.to_string();
        assert!(told.contains(&redis.server.address.to_string()), "{told}");
        // What is missing, in the words of the server; and what would do.
        assert!(told.contains("neither publish to chat.~~redis (NOPERM "), "{told}");
        assert!(told.contains("grant it +publish, +subscribe"), "{told}");
        assert!(told.matches("is unavailable").count() == 1 && !told.contains("s3cret"), "{told}");
    }
    Ok(())
}

async fn who_has_channels_of_single_topics_is_connected() -> Result {
    let redis = Redis::start().await?;
    set_user(&redis, "alice", &[&RIGHTS[..], &["&chat.orders"]].concat()).await?;
    let often = Duration::from_millis(20);
    let here = instance(&redis, "alice").ping_interval(often).connect().await?;
    let there = quick(redis.url()).namespace("chat").connect().await?;
    let mut orders = there.subscribe("orders").await?;
    // It is denied what it tries, again and again, and goes on.
    until_pings_are_denied(&redis, 6).await?;
    here.publish(MessageEnvelope::new("orders", "first")).await?;
    expect(&mut orders, "first").await?;
    assert!(here.is_healthy());
    Ok(())
}

async fn until_pings_are_denied(redis: &Redis, times: u64) -> Result {
    let mut client = redis.client().await?;
    until_it_says("pings are denied", async || {
        let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut client).await?;
        let publishes = info.lines().find(|line| line.starts_with("cmdstat_publish:"));
        let rejected = publishes.and_then(|line| line.split("rejected_calls=").nth(1));
        let rejected = rejected.and_then(|rest| rest.split(',').next()?.trim().parse::<u64>().ok());
        Ok(rejected.is_some_and(|rejected| rejected >= times))
    })
    .await
}

async fn who_may_do_one_of_both_does_it() -> Result {
    let redis = Redis::start().await?;
    let common = ["reset", "on", ">s3cret", "&chat.*"];
    set_user(&redis, "sender", &[&common[..], &["+publish"]].concat()).await?;
    // Not even UNSUBSCRIBE: something else stays subscribed to what the pings are sent to.
    set_user(&redis, "reader", &[&common[..], &["+subscribe"]].concat()).await?;
    let often = Duration::from_millis(20);
    let sender = instance(&redis, "sender").ping_interval(often).connect().await?;
    let reader = instance(&redis, "reader").ping_interval(often).connect().await?;
    let mut orders = reader.subscribe("orders").await?;

    let is_denied = |error| matches!(error, Error::Backend(_));
    assert!(is_denied(sender.subscribe("orders").await.unwrap_err()));
    assert!(is_denied(reader.publish(MessageEnvelope::new("orders", "")).await.unwrap_err()));
    // The reader has been denied its pings so often, and goes on.
    until_pings_are_denied(&redis, 6).await?;
    sender.publish(MessageEnvelope::new("orders", "first")).await?;
    expect(&mut orders, "first").await?;
    assert!(sender.is_healthy() && reader.is_healthy());
    assert_eq!(reader.as_observable().expect("counters").stats().refused, 0);
    Ok(())
}

async fn rights_that_are_all_taken_away_are_an_outage_until_they_are_back() -> Result {
    let redis = Redis::start().await?;
    let all = [&RIGHTS[..], &["&chat.*"]].concat();
    set_user(&redis, "alice", &all).await?;
    let often = Duration::from_millis(20);
    let here = instance(&redis, "alice").ping_interval(often).connect().await?;
    let there = quick(redis.url()).namespace("chat").connect().await?;
    let mut again = recoveries(&here);
    let mut orders = here.subscribe("orders").await?;

    // The server ends no connection for it.
    set_user(&redis, "alice", &["-publish", "-subscribe"]).await?;
    until("unhealthy", || !here.is_healthy()).await?;
    let error = here.publish(MessageEnvelope::new("orders", "")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    set_user(&redis, "alice", &["+publish", "+subscribe"]).await?;
    recovery(&mut again).await?;
    expect_outage(&mut orders).await?;
    there.publish(MessageEnvelope::new("orders", "after")).await?;
    expect(&mut orders, "after").await
}

async fn a_channel_that_is_taken_away_ends_its_streams_alone() -> Result {
    let redis = Redis::start().await?;
    set_user(&redis, "alice", &[&RIGHTS[..], &["&chat.*"]].concat()).await?;
    let here = instance(&redis, "alice").connect().await?;
    let there = quick(redis.url()).namespace("chat").connect().await?;
    let mut again = recoveries(&here);
    let (mut orders, mut prices) =
        (here.subscribe("orders").await?, here.subscribe("prices").await?);

    set_user(&redis, "alice", &["resetchannels", "&chat.prices"]).await?;
    recovery(&mut again).await?;
    expect_outage(&mut prices).await?;
    there.publish(MessageEnvelope::new("prices", "after")).await?;
    expect(&mut prices, "after").await?;
    while let Some(event) = timeout(PATIENCE, orders.recv()).await? {
        assert!(matches!(event, Event::Gap(_)), "{event:?}");
    }
    Ok(())
}

async fn a_denied_publish_is_an_error_and_harms_no_other() -> Result {
    let redis = Redis::start().await?;
    set_user(&redis, "alice", &[&RIGHTS[..], &["&chat.orders", "&chat.prices"]].concat()).await?;
    let here = instance(&redis, "alice").connect().await?;
    let there = quick(redis.url()).namespace("chat").connect().await?;
    let mut orders = there.subscribe("orders").await?;
    let mut secret = there.subscribe("secret").await?;

    let numbers = (0..90).map(|number| {
        let topic = ["orders", "secret", "prices"][number % 3];
        here.publish(MessageEnvelope::new(topic, number.to_string()))
    });
    for (number, result) in join_all(numbers).await.into_iter().enumerate() {
        match (number % 3, result) {
            (1, Err(Error::Backend(error))) => {
                assert!(error.to_string().contains("permissions"), "{error}");
            }
            (1, result) => panic!("{result:?} for what is denied"),
            (_, result) => result?,
        }
    }
    assert!(here.is_healthy());
    // They were under way at the same time, so any of them may have been the first.
    let mut expected: BTreeSet<_> = (0..90).step_by(3).map(|number| number.to_string()).collect();
    while !expected.is_empty() {
        let event = next(&mut orders).await?;
        let Event::Message(envelope) = event else { panic!("{event:?}") };
        let data = String::from_utf8_lossy(envelope.data()).into_owned();
        assert!(expected.remove(&data), "{data}");
    }
    // A number was given to none of what was denied: no gap.
    set_user(&redis, "alice", &["&chat.secret"]).await?;
    for data in ["first", "second"] {
        here.publish(MessageEnvelope::new("secret", data)).await?;
        expect(&mut secret, data).await?;
    }
    Ok(())
}

async fn a_denied_subscribe_is_an_error() -> Result {
    let redis = Redis::start().await?;
    set_user(&redis, "alice", &[&RIGHTS[..], &["&chat.orders"]].concat()).await?;
    let here = instance(&redis, "alice").connect().await?;
    let there = quick(redis.url()).namespace("chat").connect().await?;
    for _ in 0..3 {
        match here.subscribe("secret").await {
            Err(Error::Backend(error)) => {
                assert!(error.to_string().contains("permissions"), "{error}");
            }
            other => panic!("{other:?} for what is denied"),
        }
    }
    assert!(here.is_healthy());
    let mut orders = here.subscribe("orders").await?;
    there.publish(MessageEnvelope::new("orders", "first")).await?;
    expect(&mut orders, "first").await
}

async fn a_changed_password_is_an_outage_until_it_is_right_again() -> Result {
    let redis = Redis::start().await?;
    set_user(&redis, "alice", &[&RIGHTS[..], &["allchannels"]].concat()).await?;
    let here = instance(&redis, "alice").connect().await?;
    let there = quick(redis.url()).namespace("chat").connect().await?;
    let mut again = recoveries(&here);
    let mut orders = here.subscribe("orders").await?;

    set_user(&redis, "alice", &["resetpass", ">another"]).await?;
    let mut client = redis.client().await?;
    redis::cmd("CLIENT").arg(&["KILL", "USER", "alice"]).exec_async(&mut client).await?;
    until("unhealthy", || !here.is_healthy()).await?;
    let failed = |info: &str| {
        let count = info.lines().find_map(|line| line.strip_prefix("acl_access_denied_auth:"));
        count.and_then(|count| count.trim().parse::<u64>().ok())
    };
    // It tries, more than once.
    loop {
        let info: String = redis::cmd("INFO").arg("stats").query_async(&mut client).await?;
        match failed(&info) {
            Some(0..=2) => tokio::task::yield_now().await,
            Some(_) => break,
            // An older server does not count them.
            None => break,
        }
    }
    assert!(!here.is_healthy());
    set_user(&redis, "alice", &[">s3cret"]).await?;
    recovery(&mut again).await?;
    expect_outage(&mut orders).await?;
    there.publish(MessageEnvelope::new("orders", "after")).await?;
    expect(&mut orders, "after").await
}
