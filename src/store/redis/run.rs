//! Running scripts, with repairs: a script that finds an inconsistency starts the repair of its queue.

use std::future::Future;
use std::sync::Arc;

use redis::FromRedisValue;

use super::client::Client;
use super::rows;
use super::scripts::{self, Script};
use crate::store::StoreError;
use crate::store::error::Kind;

impl Client {
    /// Runs a script on a queue. Starts a repair if the script finds an inconsistency.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &'static Script,
        queue: &str,
        more_keys: Vec<String>,
        args: Vec<Vec<u8>>,
    ) -> Result<T, StoreError> {
        let (inconsistency, answer) = self.run_unrepaired(script, queue, more_keys, args).await?;
        if !inconsistency.is_empty() {
            self.start_repair(queue, inconsistency);
        }
        rows::read(answer)
    }

    /// Asks, and asks again if the queue was repaired meanwhile: the second answer includes what was missing from the
    /// first. An answer that is `enough` is returned without waiting for a repair.
    pub(super) async fn ask_repaired<T, F>(
        &self,
        queue: &str,
        ask: impl Fn() -> F,
        enough: impl Fn(&T) -> bool,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let before = self.repairs().completed(queue);
        let answer = ask().await;
        if answer.as_ref().is_ok_and(enough) {
            return answer;
        }
        let repaired = self.repairs().wait(queue, before).await;
        if !repaired && answer.is_ok() && self.repairs().is_running(queue) {
            let message = format!(
                "Redis at {} lost a key of queue `{queue}`, and the queue is being repaired; try again in a few seconds",
                self.address()
            );
            return Err(StoreError::new(Kind::TimedOut, message));
        }
        if repaired { ask().await } else { answer }
    }

    /// Asks for the depth of a queue in the background.
    pub(super) fn refresh_depth(&self, queue: &str) {
        let Some(runtime) = self.runtime() else { return };
        let (client, queue): (_, Arc<str>) = (self.clone(), queue.into());
        runtime.spawn(async move {
            // When this fails, the last known depth stays.
            let _: Result<Vec<redis::Value>, _> =
                client.run(&scripts::DEPTH, &queue, Vec::new(), Vec::new()).await;
        });
    }
}
