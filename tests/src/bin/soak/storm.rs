//! An API server that refuses, and one that forgets.

use std::time::Duration;

use anyhow::Result;
use flux_tests::endurance::{proxy::Proxy, storm};
use flux_tests::env::Env;
use flux_tests::sandbox::wait::free_port;

use super::kills::launch;

/// Settings of the storms.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long all requests are refused, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,

    /// How often they are, and watches expire.
    #[arg(long, default_value_t = 5)]
    times: u32,
}

/// Runs them; an error says what was lost, left behind or made anew.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let env = Env::start().await?;
    let namespace = env.namespace("storm").await?;
    let proxy = Proxy::start(env.client().await?, env.sandbox().dir()).await?;
    let through = [("KUBECONFIG", proxy.kubeconfig.clone().into())];
    let ports = [free_port()?, free_port()?, free_port()?];
    let _operator = launch(&env, ports, &through).await?;
    let how = (Duration::from_secs(arguments.seconds), arguments.times);
    for storm in storm::run(&env, &namespace, &proxy, how).await? {
        println!("{storm}");
    }
    Ok(())
}
