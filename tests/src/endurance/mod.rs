//! What an operator has to endure: tests do it at a small scale, `soak` at that of an issue.

pub mod hostile;
pub mod kills;
pub mod outages;
pub mod proxy;
mod scenario;
pub mod storm;
mod traps;

use anyhow::Result;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// Applies an object with this spec.
async fn apply<K>(api: &Api<K>, name: &str, spec: Value) -> Result<()>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let object = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()),
        "metadata": {"name": name}, "spec": spec});
    let params = PatchParams::apply("endurance").force();
    api.patch(name, &params, &Patch::Apply(object)).await?;
    Ok(())
}
