//! Instances that show no password, but sign what the server asks them to.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backend_core::{Backend, Error, HealthAwareBackend, MessageEnvelope};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine_harness::Result;
use engine_harness::wait::{expect, expect_outage, recoveries, recovery, until};
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::support::{Nats, quick};

engine_harness::tests![
    the_seed_of_an_nkey_is_a_credential,
    what_is_no_seed_is_said_and_not_shown,
    a_credentials_file_is_read,
    a_credentials_file_that_is_none_is_named,
    a_new_credentials_file_takes_the_place_of_one_that_expires,
];

async fn the_seed_of_an_nkey_is_a_credential() -> Result {
    let user = KeyPair::new_user();
    let mut nats = Nats::start_configured(&format!(
        "authorization {{ users = [{{ nkey: {} }}] }}",
        user.public_key()
    ))
    .await?;
    let (seed, another) = (user.seed()?, KeyPair::new_user().seed()?);
    // As a file gives it.
    let here = quick(nats.url()).nkey(format!("{seed}\n")).connect().await?;
    // It goes before the URL.
    let url = format!("nats://x:y@{}", nats.server.address);
    let there = quick(url).nkey(&seed).connect().await?;
    let mut orders = there.subscribe("orders").await?;
    here.publish(MessageEnvelope::new("orders", "first")).await?;
    expect(&mut orders, "first").await?;

    for stranger in [quick(nats.url()), quick(nats.url()).nkey(another)] {
        let refused = stranger.connect().await;
        let Err(Error::Unavailable(why)) = refused else { panic!("{refused:?}") };
        assert!(why.to_string().contains("authorization violation"), "{why}");
    }

    // It signs anew at every connection.
    nats.server.kill();
    until("it has noticed", || !here.is_healthy()).await?;
    nats.start_again().await?;
    until("it is back", || here.is_healthy()).await
}

async fn what_is_no_seed_is_said_and_not_shown() -> Result {
    let seed = KeyPair::new_user().seed()?;
    let wrong = [
        seed[..seed.len() - 1].to_owned(),
        KeyPair::new_user().public_key(),
        KeyPair::new_account().seed()?,
        "s3cret".to_owned(),
        String::new(),
    ];
    for wrong in wrong {
        let builder = quick("nats://localhost").nkey(&wrong);
        let shown = format!("{builder:?}");
        let error = builder.connect().await.map(|_| ()).expect_err("it is no seed");
        assert!(matches!(error, Error::Backend(_)) && error.to_string().contains("SU"), "{error}");
        let shown = format!("{shown} {error} {error:?}");
        assert!(wrong.is_empty() || !shown.contains(&wrong), "{shown}");
    }
    Ok(())
}

/// A server whose users come with a JWT, and the account that makes these.
struct Operated {
    nats: Nats,
    account: KeyPair,
}

impl Operated {
    async fn start() -> Result<Self> {
        let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
        let unlimited = json!({
            "subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1,
            "payload": -1, "wildcards": true,
        });
        let account_jwt =
            jwt(&operator, &account, None, json!({ "type": "account", "limits": unlimited }))?;
        let nats = Nats::start_configured(&format!(
            "operator: {}, resolver: MEMORY, resolver_preload: {{ {}: {account_jwt} }}",
            jwt(&operator, &operator, None, json!({ "type": "operator" }))?,
            account.public_key(),
        ))
        .await?;
        Ok(Self { nats, account })
    }

    /// Where a credentials file may be: in the server's own folder, which goes with it.
    fn file(&self) -> PathBuf {
        self.nats.server.folder().join("chat.creds")
    }

    /// What `nsc` writes for a user.
    fn credentials(&self, expires: Option<SystemTime>) -> Result<String> {
        let user = KeyPair::new_user();
        let claims = json!({ "type": "user", "subs": -1, "data": -1, "payload": -1 });
        let (jwt, seed) = (jwt(&self.account, &user, expires, claims)?, user.seed()?);
        Ok(format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        ))
    }
}

/// <https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt>
fn jwt(
    issuer: &KeyPair,
    subject: &KeyPair,
    expires: Option<SystemTime>,
    mut claims: Value,
) -> Result<String> {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map(|since| since.as_secs());
    claims["version"] = 2.into();
    let mut body = json!({
        "iat": seconds(SystemTime::now())?,
        "iss": issuer.public_key(),
        "sub": subject.public_key(),
        "name": "test",
        "nats": claims,
    });
    if let Some(expires) = expires {
        body["exp"] = seconds(expires)?.into();
    }
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let head = encode(&json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
    let signed = format!("{head}.{}", encode(&body));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes())?);
    Ok(format!("{signed}.{signature}"))
}

async fn a_credentials_file_is_read() -> Result {
    let operated = Operated::start().await?;
    let file = operated.file();
    fs::write(&file, operated.credentials(None)?)?;
    let connect = || quick(operated.nats.url()).credentials_file(&file).connect();
    let (here, there) = (connect().await?, connect().await?);
    let mut orders = there.subscribe("orders").await?;
    here.publish(MessageEnvelope::new("orders", "first")).await?;
    expect(&mut orders, "first").await?;

    let another = Operated::start().await?;
    fs::write(&file, another.credentials(None)?)?;
    for stranger in [quick(operated.nats.url()).connect(), connect()] {
        let refused = stranger.await;
        let Err(Error::Unavailable(why)) = refused else { panic!("{refused:?}") };
        assert!(why.to_string().contains("authorization violation"), "{why}");
    }
    Ok(())
}

async fn a_credentials_file_that_is_none_is_named() -> Result {
    let operated = Operated::start().await?;
    let file = operated.file();
    let whole = operated.credentials(None)?;
    let (jwt, seed) = whole.split_once("\n\n").ok_or("it has two parts")?;
    for content in [None, Some(""), Some("s3cret"), Some(jwt), Some(seed)] {
        if let Some(content) = content {
            fs::write(&file, content)?;
        }
        let urls = format!("{0},{0}", operated.nats.url());
        let refused = quick(urls).credentials_file(&file).connect().await;
        let Err(error @ Error::Unavailable(_)) = refused else { panic!("{refused:?}") };
        let text = format!("{error} {error:?}");
        assert!(error.to_string().matches(&*file.to_string_lossy()).count() == 1, "{text}");
        let is_shown = |content: &str| content.lines().any(|line| text.contains(line));
        assert!(!content.is_some_and(is_shown), "{text}");
    }
    Ok(())
}

async fn a_new_credentials_file_takes_the_place_of_one_that_expires() -> Result {
    let operated = Operated::start().await?;
    let file = operated.file();
    // Time enough to connect with it on a busy machine.
    let soon = SystemTime::now() + Duration::from_secs(5);
    fs::write(&file, operated.credentials(Some(soon))?)?;
    let here = quick(operated.nats.url()).credentials_file(&file).connect().await?;
    let mut again = recoveries(&here);
    let mut orders = here.subscribe("orders").await?;
    fs::write(&file, operated.credentials(None)?)?;

    // The server ends the connection when that is over, and takes it no more.
    recovery(&mut again).await?;
    assert!(SystemTime::now() >= soon - Duration::from_secs(1));
    expect_outage(&mut orders).await?;
    let there = quick(operated.nats.url()).credentials_file(&file).connect().await?;
    there.publish(MessageEnvelope::new("orders", "later")).await?;
    expect(&mut orders, "later").await
}
