//! A consumer that gets its messages one by one.

use std::cell::RefCell;

use raincheck::consumer::{ConsumerPorts, Disposal, run_batch};
use raincheck::policy::Policy;
use raincheck::rpc::message::{JOBS_PER_MESSAGE, Message};

/// Handles one message as a batch.
pub async fn run_message<P: ConsumerPorts>(
    ports: &P,
    policy: &Policy,
    message: &Message,
) -> Disposal {
    let disposal = RefCell::new(Disposal::Retry);
    let batch = vec![((), message.clone())];
    let settle = async |(), how| {
        disposal.replace(how);
    };
    run_batch(ports, policy, batch, JOBS_PER_MESSAGE, settle).await;
    disposal.into_inner()
}
