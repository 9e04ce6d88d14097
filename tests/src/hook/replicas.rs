//! Two webhook processes behind one address.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use reqwest::Client;
use rustix::process::Signal;

use super::{Balancer, PATIENCE};
use crate::{
    env::Env,
    sandbox::{
        process::{Process, ProcessId},
        wait::{self, free_port},
    },
};

/// One process.
#[derive(Debug)]
struct Replica {
    address: SocketAddr,
    process: Arc<Process>,
    flags: Vec<String>,
}

/// The replicas of a webhook.
#[derive(Debug)]
pub struct Replicas<'e> {
    env: &'e Env,
    balancer: Balancer,
    flags: Vec<String>,
    running: Vec<Replica>,
    http: Client,
}

impl<'e> Replicas<'e> {
    /// Starts two at once and waits until both are ready.
    ///
    /// # Errors
    /// When one does not get ready.
    pub async fn start(env: &'e Env, flags: &[&str], each: [&[&str]; 2]) -> Result<Self> {
        let http = Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .build()?;
        let mut replicas = Self {
            env,
            balancer: Balancer::start().await?,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            running: Vec::new(),
            http,
        };
        for own in each {
            let own = own.iter().map(|flag| (*flag).to_owned()).collect();
            let replica = replicas.spawn(own).await?;
            replicas.running.push(replica);
        }
        for replica in &replicas.running {
            replicas.ready(replica).await?;
            replicas.balancer.add(replica.address);
        }
        Ok(replicas)
    }

    async fn spawn(&self, flags: Vec<String>) -> Result<Replica> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let own = [
            format!("--listen={address}"),
            format!("--url=https://{}", self.balancer.address()),
        ];
        let all = own.iter().chain(&self.flags).chain(&flags);
        let all: Vec<&str> = all.map(String::as_str).collect();
        let process = self.env.start_webhook(&all).await?;
        Ok(Replica {
            address,
            process,
            flags,
        })
    }

    async fn ready(&self, replica: &Replica) -> Result<()> {
        let url = format!("https://{}/readyz", replica.address);
        wait::until("a replica", PATIENCE, Some(&replica.process), async || {
            let answer = self.http.get(&url).send().await;
            let answer = answer.map_err(|error| error.to_string())?;
            if answer.status().is_success() {
                return Ok(());
            }
            Err(answer.text().await.unwrap_or_default())
        })
        .await?;
        Ok(())
    }

    /// Kills one without a word, as a node that is lost; another one takes its place.
    ///
    /// # Errors
    /// When no other one gets ready.
    pub async fn kill(&mut self) -> Result<()> {
        let replica = self.running.pop().context("no replica")?;
        replica.process.id().signal(Signal::KILL);
        self.balancer.remove(replica.address);
        let new = self.spawn(replica.flags).await?;
        self.ready(&new).await?;
        self.balancer.add(new.address);
        self.running.push(new);
        Ok(())
    }

    /// Replaces all of them, one after the other, as a Deployment does.
    ///
    /// # Errors
    /// When a new one does not get ready.
    pub async fn roll(&mut self) -> Result<()> {
        for old in std::mem::take(&mut self.running) {
            let new = self.spawn(old.flags).await?;
            self.ready(&new).await?;
            self.balancer.add(new.address);
            self.running.push(new);
            // The order of a real end: the pod is told, and no new connections come a bit later.
            let process = old.process.clone();
            let ending = tokio::task::spawn_blocking(move || process.stop());
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            self.balancer.remove(old.address);
            ending.await?;
        }
        Ok(())
    }

    /// The processes, for measuring.
    pub fn processes(&self) -> Vec<ProcessId> {
        self.running.iter().map(|r| r.process.id()).collect()
    }

    /// How many certificates all of them have served with.
    pub fn certificates(&self) -> usize {
        let served =
            |replica: &Replica| replica.process.output().matches("new certificate").count();
        self.running.iter().map(served).sum()
    }
}

/// Two that are left behind would insist on an address that is gone.
impl Drop for Replicas<'_> {
    fn drop(&mut self) {
        for replica in &self.running {
            replica.process.id().signal(Signal::KILL);
        }
    }
}
