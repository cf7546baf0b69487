//! Messages in the queues, which outlive a deploy.

use raincheck::job::{Millis, Priority, RowKey, UnixMillis};
use raincheck::rpc::message::{
    DELAY_MAX, JOBS_PER_MESSAGE, MESSAGE_VERSION, MESSAGES_PER_BATCH, Message, Outgoing, Unread,
    batches, pack,
};
use raincheck::shard::JobMessage;

fn send(key: u64, priority: Priority, delay: u64) -> JobMessage {
    JobMessage {
        priority,
        delay: Millis(delay),
        key: RowKey(key),
    }
}

fn outgoing(priority: Priority, delay_secs: u64, jobs: &str) -> Outgoing {
    let text = format!("{{\"v\":1,\"shard\":3,\"jobs\":[{jobs}]}}");
    Outgoing {
        priority,
        delay_secs,
        text,
    }
}

#[test]
fn a_message_is_written_like_this_and_read_back() {
    let text = r#"{"v":1,"shard":65535,"jobs":[1,281474976710655]}"#;
    let jobs = vec![RowKey(1), RowKey(raincheck::job::ROW_KEY_MAX)];
    let message = Message {
        v: MESSAGE_VERSION,
        shard: 65_535,
        jobs,
        unsent: Vec::new(),
        unsent_until: None,
    };
    assert_eq!(serde_json::to_string(&message).unwrap(), text);
    assert_eq!(Message::read(text).as_ref(), Ok(&message));
    let text = r#"{"v":1,"shard":65535,"jobs":[1,281474976710655],"unsent":[[3],[4,18446744073709551615]],"unsent_until":9}"#;
    let replacement = Message {
        unsent: vec![vec![3], vec![4, u64::MAX]],
        unsent_until: Some(UnixMillis(9)),
        ..message
    };
    assert_eq!(serde_json::to_string(&replacement).unwrap(), text);
    assert_eq!(Message::read(text), Ok(replacement));
}

#[test]
fn a_message_of_a_later_build_is_told_from_an_invalid_one() {
    for text in [
        r#"{"v":2,"shard":0,"jobs":[1]}"#,
        r#"{"v":255,"work":{"shard":"a"}}"#,
    ] {
        assert_eq!(Message::read(text), Err(Unread::LaterBuild), "{text}");
    }
    for text in [
        "",
        "{}",
        "null",
        "[1]",
        r#"{"v":1,"shard":0}"#,
        r#"{"v":"2"}"#,
    ] {
        assert_eq!(Message::read(text), Err(Unread::Foreign), "{text}");
    }
}

#[test]
fn jobs_that_go_together_share_a_message() {
    use Priority::{High, Normal};
    let sends = [
        send(1, Normal, 0),
        send(2, High, 0),
        send(3, Normal, 0),
        send(4, Normal, 1),
        send(5, Normal, 1_000),
        send(6, Normal, 1_001),
        send(1, Normal, 0),
    ];
    let expected = [
        outgoing(Normal, 0, "1,3"),
        outgoing(High, 0, "2"),
        outgoing(Normal, 1, "4,5"),
        outgoing(Normal, 2, "6"),
    ];
    assert_eq!(pack(3, &sends), expected);
}

#[test]
fn a_full_message_is_followed_by_another() {
    let count = JOBS_PER_MESSAGE as u64 + 1;
    let sends: Vec<JobMessage> = (1..=count).map(|key| send(key, Priority::Low, 0)).collect();
    let packed = pack(3, &sends);
    assert_eq!(packed.len(), 2);
    assert_eq!(packed[1], outgoing(Priority::Low, 0, &count.to_string()));
}

#[test]
fn no_message_is_delayed_longer_than_a_queue_can() {
    let packed = pack(3, &[send(1, Priority::Normal, u64::MAX)]);
    assert_eq!(
        packed,
        [outgoing(Priority::Normal, DELAY_MAX.ceil_secs(), "1")]
    );
    assert_eq!(DELAY_MAX.ceil_secs(), 43_200);
}

#[test]
fn nothing_to_send_is_no_message() {
    assert_eq!(pack(3, &[]), []);
}

#[test]
fn messages_to_one_queue_are_sent_together() {
    use Priority::{High, Normal};
    let messages = [
        outgoing(Normal, 0, "1"),
        outgoing(High, 0, "2"),
        outgoing(Normal, 7, "3"),
    ];
    let [one, two, three] = messages.clone();
    assert_eq!(batches(messages.to_vec()), [vec![one, three], vec![two]]);
    assert_eq!(batches(Vec::new()), [] as [Vec<Outgoing>; 0]);
}

#[test]
fn no_more_messages_are_sent_together_than_a_queue_takes() {
    let messages: Vec<Outgoing> = (0..250)
        .map(|key| outgoing(Priority::Low, 0, &key.to_string()))
        .collect();
    let sent = batches(messages.clone());
    let sizes: Vec<usize> = sent.iter().map(Vec::len).collect();
    assert_eq!(sizes, [MESSAGES_PER_BATCH, MESSAGES_PER_BATCH, 50]);
    assert_eq!(sent.concat(), messages, "each once, in order");
    let longest = outgoing(
        Priority::Low,
        43_200,
        "281474976710655,281474976710655,281474976710655,281474976710655,281474976710655",
    );
    assert!(longest.text.len() * MESSAGES_PER_BATCH < 256_000);
}
