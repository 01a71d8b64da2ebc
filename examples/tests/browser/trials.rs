//! What must hold in the browser.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::driver::{Browser, Programs};
use crate::pages::Page;
use crate::support::Chat;
use crate::support::engines::{Engine, Kind};

/// A test: it panics if what it says does not hold.
pub(crate) type Run = fn(Programs);

macro_rules! all {
    ($($name:ident $(over $kind:ident)?),* $(,)?) => {
        /// Every test, with its name, and the engine that it needs.
        pub(crate) fn all() -> Vec<(&'static str, Option<Kind>, Run)> {
            vec![$((stringify!($name), kind!($($kind)?), |programs| run($name(programs)))),*]
        }
    };
}

macro_rules! kind {
    () => {
        None
    };
    ($kind:ident) => {
        Some(Kind::$kind)
    };
}

all![
    two_pages_on_two_instances_talk_both_ways,
    text_from_users_arrives_as_text,
    a_cut_shows_as_a_gap_where_it_happened,
    a_page_opened_during_an_outage_says_so_and_works_after_it,
    the_readers_of_this_instance_are_counted,
    a_refused_message_stays_in_the_form_with_the_reason,
    a_lost_server_is_shown_and_found_again,
    every_control_has_a_label,
    ctrl_c_ends_it_within_a_second_with_both_pages_open,
    a_nats_server_that_is_killed_and_restarted_shows_on_both_pages over Nats,
    a_redis_server_that_is_killed_and_restarted_shows_on_both_pages over Redis,
];

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(test);
}

async fn two_pages_on_two_instances_talk_both_ways(programs: Programs) {
    let chat = Chat::start(&[]).await;
    let browser = Browser::start(programs).await;
    let ada = Page::open(&browser, &chat.url(0, "/")).await;
    let bo = Page::open(&browser, &chat.url(1, "/rooms/lobby")).await;
    assert_eq!(ada.value("document.title").await, "#lobby on alpha");
    assert_eq!(bo.value("document.querySelector('h1').textContent").await, "#lobby");
    ada.shows("#health", "healthy").await;
    assert!(ada.rows().await.is_empty());

    ada.type_into("#name", "Ada").await;
    ada.type_into("#text", "Is anybody on the other instance?\n").await;
    let said = ["Ada", "Is anybody on the other instance?", "alpha"];
    assert_eq!(bo.message(said[1]).await, said);
    // Her own comes to her as everybody's does, and is marked as her own.
    assert_eq!(ada.message(said[1]).await, said);
    ada.until("document.querySelector('.message.own')").await;
    assert_eq!(ada.value("document.getElementById('text').value").await, "");
    assert_eq!(bo.value("document.querySelector('.message.own')").await, json!(null));

    bo.type_into("#name", "Bo").await;
    bo.type_into("#text", "I am! You are on alpha, I am on bravo.").await;
    bo.click("#send").await;
    let said = ["Bo", "I am! You are on alpha, I am on bravo.", "bravo"];
    assert_eq!(ada.message(said[1]).await, said);
    assert_eq!(bo.message(said[1]).await, said);

    let links = ada.value("[...document.querySelectorAll('nav a')].map((a) => a.href)").await;
    assert_eq!(links, json!([chat.url(0, "/rooms/lobby"), chat.url(1, "/rooms/lobby")]));

    for (page, text) in [
        (
            &ada,
            "So what I write goes from my instance over the bus to yours,\nand from there to every browser that has this room open.",
        ),
        (&bo, "And back again. One topic per room, one instance per server."),
        (&ada, "Tea? ☕"),
    ] {
        page.paste_into("#text", text).await;
        page.click("#send").await;
        ada.message(text).await;
        bo.message(text).await;
    }
    ada.screenshot("chat.png").await;
}

async fn text_from_users_arrives_as_text(programs: Programs) {
    let chat = Chat::start(&[]).await;
    let browser = Browser::start(programs).await;
    let here = Page::open(&browser, &chat.url(0, "/rooms/lobby")).await;
    let there = Page::open(&browser, &chat.url(1, "/rooms/lobby")).await;
    let name = "<b>Ada</b> & 👩‍🚀";
    let text = "<script>window.ran = true</script><img src=x onerror='window.ran = true'>\n🎉 naïve &amp; \u{202e}x";
    here.paste_into("#name", name).await;
    here.paste_into("#text", text).await;
    here.click("#send").await;

    for page in [&here, &there] {
        assert_eq!(page.message(text).await, [name, text, "alpha"]);
        assert_eq!(page.value("window.ran").await, json!(null));
        let elements = "document.querySelectorAll('#messages :is(script, img, b)').length";
        assert_eq!(page.value(elements).await, 0);
    }
}

async fn a_cut_shows_as_a_gap_where_it_happened(programs: Programs) {
    let chat = Chat::start(&[]).await;
    let browser = Browser::start(programs).await;
    let ada = Page::open(&browser, &chat.url(0, "/rooms/lobby")).await;
    let bo = Page::open(&browser, &chat.url(1, "/rooms/lobby")).await;
    let say = async |page: &Page<'_>, text: &str| {
        page.type_into("#text", text).await;
        page.click("#send").await;
        page.message(text).await;
    };
    ada.type_into("#name", "Ada").await;
    bo.type_into("#name", "Bo").await;
    say(&ada, "Watch what happens when I cut my instance off.").await;
    say(&bo, "Go on!").await;
    ada.message("Go on!").await;

    ada.click("#partition").await;
    ada.shows("#health", "cut off").await;
    ada.shows("#notice", "alpha is cut off from the other instances").await;
    assert_eq!(ada.value("document.getElementById('partition').disabled").await, true);
    say(&ada, "Can you still read this?").await;
    ada.until("document.querySelector('.message.own .only-here')").await;
    say(&bo, "Ada? I cannot hear you.").await;

    ada.click("#heal").await;
    ada.shows("#health", "healthy").await;
    ada.until("document.querySelector('.gap') && document.getElementById('notice').hidden").await;
    say(&ada, "I am back. Did I miss anything?").await;
    bo.message("I am back. Did I miss anything?").await;
    say(&bo, "One message: your page shows where.").await;
    ada.message("One message: your page shows where.").await;

    assert_eq!(
        ada.rows().await,
        [
            "Watch what happens when I cut my instance off.",
            "Go on!",
            "Can you still read this? (only here)",
            "[messages may be missing here]",
            "I am back. Did I miss anything?",
            "One message: your page shows where.",
        ]
    );
    assert_eq!(
        bo.rows().await,
        [
            "Watch what happens when I cut my instance off.",
            "Go on!",
            "Ada? I cannot hear you.",
            "I am back. Did I miss anything?",
            "One message: your page shows where.",
        ]
    );
    assert_eq!(
        ada.value("document.querySelector('.only-here').textContent").await,
        "only this instance has it"
    );
    ada.screenshot("chat-gap.png").await;
}

async fn a_page_opened_during_an_outage_says_so_and_works_after_it(programs: Programs) {
    let chat = Chat::start(&[]).await;
    let browser = Browser::start(programs).await;
    let before = Page::open(&browser, &chat.url(0, "/rooms/lobby")).await;
    before.click("#partition").await;
    before.shows("#health", "cut off").await;

    let late = Page::open(&browser, &chat.url(0, "/rooms/lobby")).await;
    late.shows("#notice", "This page was opened meanwhile").await;
    // What it sends reaches the readers who were here before, and it shows that itself.
    late.type_into("#text", "hello\n").await;
    late.until("document.querySelector('.message.own .only-here')").await;
    before.message("hello").await;

    late.click("#heal").await;
    late.until("document.getElementById('notice').hidden").await;
    let there = Page::open(&browser, &chat.url(1, "/rooms/lobby")).await;
    there.type_into("#text", "welcome back\n").await;
    late.message("welcome back").await;
    assert_eq!(late.rows().await, ["hello (only here)", "welcome back"]);
}

async fn the_readers_of_this_instance_are_counted(programs: Programs) {
    let chat = Chat::start(&[]).await;
    let browser = Browser::start(programs).await;
    let first = Page::open(&browser, &chat.url(0, "/rooms/lobby")).await;
    first.shows("#readers", "1 reader on this instance").await;
    let second = Page::open(&browser, &chat.url(0, "/rooms/lobby")).await;
    let elsewhere = Page::open(&browser, &chat.url(1, "/rooms/lobby")).await;
    first.shows("#readers", "2 readers on this instance").await;
    elsewhere.shows("#readers", "1 reader on this instance").await;
    second.close().await;
    first.shows("#readers", "1 reader on this instance").await;
}

async fn a_refused_message_stays_in_the_form_with_the_reason(programs: Programs) {
    let chat = Chat::start(&[]).await;
    let browser = Browser::start(programs).await;
    let page = Page::open(&browser, &chat.url(0, "/rooms/lobby")).await;

    page.click("#send").await;
    page.shows("#error", "the text is empty").await;

    let too_long = "x".repeat(2_001);
    page.paste_into("#text", &too_long).await;
    page.click("#send").await;
    page.shows("#error", "2001 characters: at most 2000").await;
    assert_eq!(page.value("document.getElementById('text').value").await, json!(too_long));

    page.paste_into("#text", "short").await;
    page.click("#send").await;
    page.message("short").await;
    page.until("document.getElementById('error').textContent === ''").await;
    assert_eq!(page.rows().await, ["short"]);
}

async fn a_lost_server_is_shown_and_found_again(programs: Programs) {
    let mut chat = Chat::start(&["--instances", "1"]).await;
    let port = chat.address(0).rsplit_once(':').expect("host and port").1.to_owned();
    let browser = Browser::start(programs).await;
    let page = Page::open(&browser, &chat.url(0, "/rooms/lobby")).await;
    page.type_into("#text", "before\n").await;
    page.message("before").await;

    chat.signal(Signal::KILL);
    chat.ended().await;
    page.shows("#notice", "Connection to the server lost, trying again").await;
    page.type_into("#text", "not lost\n").await;
    page.shows("#error", "What you wrote is still here").await;
    assert_eq!(page.value("document.getElementById('text').value").await, "not lost");

    let _chat = Chat::start_on(&port, &["--instances", "1"]).await;
    page.shows("#health", "healthy").await;
    page.type_into("#text", "\n").await;
    page.message("not lost").await;
    assert_eq!(page.rows().await, ["before", "[messages may be missing here]", "not lost"]);
}

async fn every_control_has_a_label(programs: Programs) {
    let chat = Chat::start(&[]).await;
    let browser = Browser::start(programs).await;
    let page = Page::open(&browser, &chat.url(0, "/rooms/lobby")).await;
    let fields = "[...document.querySelectorAll('input, textarea')]";
    assert_eq!(page.value(&format!("{fields}.length")).await, 3);
    let unlabelled = format!("{fields}.filter((f) => !f.labels.length).map((f) => f.id)");
    assert_eq!(page.value(&unlabelled).await, json!([]));
    let nameless =
        "[...document.querySelectorAll('button, a')].filter((b) => !b.textContent.trim()).length";
    assert_eq!(page.value(nameless).await, 0);
    // A screen reader reads out new messages.
    assert_eq!(
        page.value("document.getElementById('messages').closest('[aria-live]').role").await,
        "log"
    );
}

async fn ctrl_c_ends_it_within_a_second_with_both_pages_open(programs: Programs) {
    let mut chat = Chat::start(&[]).await;
    let browser = Browser::start(programs).await;
    let first = Page::open(&browser, &chat.url(0, "/rooms/lobby")).await;
    let second = Page::open(&browser, &chat.url(1, "/rooms/lobby")).await;
    for page in [&first, &second] {
        page.shows("#health", "healthy").await;
    }

    chat.signal(Signal::INT);
    let (status, taken, complaints) = chat.ended().await;
    assert_eq!((status.code(), complaints.as_str()), (Some(0), ""));
    assert!(taken < Duration::from_secs(1), "it took {taken:?}");
    for page in [&first, &second] {
        page.shows("#health", "no connection").await;
        page.shows("#notice", "rying again").await;
    }
}

async fn a_nats_server_that_is_killed_and_restarted_shows_on_both_pages(programs: Programs) {
    an_engine_is_killed_and_restarted(programs, Kind::Nats, "NATS").await;
}

async fn a_redis_server_that_is_killed_and_restarted_shows_on_both_pages(programs: Programs) {
    an_engine_is_killed_and_restarted(programs, Kind::Redis, "Redis").await;
}

/// Two processes on two ports, a page on each, and the engine between them.
async fn an_engine_is_killed_and_restarted(programs: Programs, kind: Kind, called: &str) {
    let mut engine = Engine::start(kind).await;
    let process = async |name| {
        let options = ["--instances", "1", "--name", name, "--backend", &engine.url()];
        Chat::start(&options).await
    };
    let (chat_1, chat_2) = (process("chat-1").await, process("chat-2").await);
    let browser = Browser::start(programs).await;
    let ada = Page::open(&browser, &chat_1.url(0, "/rooms/lobby")).await;
    let bo = Page::open(&browser, &chat_2.url(0, "/rooms/lobby")).await;
    let say = async |page: &Page<'_>, text: &str| {
        page.type_into("#text", text).await;
        page.click("#send").await;
        page.message(text).await;
    };
    ada.type_into("#name", "Ada").await;
    bo.type_into("#name", "Bo").await;
    let first = format!("I am on one process, you are on another, and {called} is in between.");
    say(&ada, &first).await;
    assert_eq!(bo.message(&first).await, ["Ada", &first, "chat-1"]);
    say(&bo, "Then let us see what happens without it.").await;
    ada.message("Then let us see what happens without it.").await;
    // There are no buttons: the outage is going to be a real one.
    for page in [&ada, &bo] {
        assert_eq!(page.value("document.querySelectorAll('#partition, #heal').length").await, 0);
    }

    engine.kill();
    // The pages see it by themselves: nobody has sent anything.
    for (page, instance) in [(&ada, "chat-1"), (&bo, "chat-2")] {
        page.shows("#health", "cut off").await;
        page.shows("#notice", &format!("{instance} is cut off from the other instances")).await;
    }
    say(&ada, "Bo? Can you read this?").await;
    say(&bo, "It is quiet here.").await;
    for page in [&ada, &bo] {
        page.until("document.querySelector('.message.own .only-here')").await;
    }
    if kind == Kind::Nats {
        ada.screenshot("chat-outage.png").await;
    }

    engine.start_again().await;
    for page in [&ada, &bo] {
        page.shows("#health", "healthy").await;
        page.until("document.querySelector('.gap') && document.getElementById('notice').hidden")
            .await;
    }
    say(&ada, "We are back, and nobody had to do anything.").await;
    bo.message("We are back, and nobody had to do anything.").await;
    say(&bo, "What I said meanwhile was for my side only. The gap is where it is missing.").await;
    ada.message("What I said meanwhile was for my side only. The gap is where it is missing.")
        .await;

    let rows = |meanwhile: &str| {
        [
            first.as_str(),
            "Then let us see what happens without it.",
            meanwhile,
            "[messages may be missing here]",
            "We are back, and nobody had to do anything.",
            "What I said meanwhile was for my side only. The gap is where it is missing.",
        ]
        .map(str::to_owned)
    };
    assert_eq!(ada.rows().await, rows("Bo? Can you read this? (only here)"));
    assert_eq!(bo.rows().await, rows("It is quiet here. (only here)"));
    if kind == Kind::Nats {
        ada.screenshot("chat-return.png").await;
    }
}
