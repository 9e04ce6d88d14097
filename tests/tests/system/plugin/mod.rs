//! The plugin through a real kubectl: what they change, print and exit with. What needs a
//! controller is done by an operator in `bad_input` and by the tutorial.

mod bad_input;
mod completion;
mod diff;
mod events;
mod get;
mod inspect;
mod migrate;
mod requests;
mod verbs;

use flux_tests::{
    env::{Env, Output},
    sandbox::Options,
};
use tokio::sync::OnceCell;

struct Place {
    env: &'static Env,
    namespace: String,
}

/// A control plane for what concerns a whole cluster; it writes down who asks it what.
async fn own_cluster() -> &'static Env {
    static OWN: OnceCell<Env> = OnceCell::const_new();
    let start = async || {
        let options = Options {
            audit: true,
            ..Options::default()
        };
        let env = Env::with(options).await?;
        env.build_binaries().await?;
        anyhow::Ok(env)
    };
    OWN.get_or_try_init(start).await.unwrap()
}

impl Place {
    async fn new(name: &str) -> Self {
        let env = Env::shared().await.unwrap();
        env.build_binaries().await.unwrap();
        let namespace = env.namespace(name).await.unwrap();
        Self { env, namespace }
    }

    async fn apply(&self, manifest: &str) {
        let args = ["apply", "-n", &self.namespace, "-f", "-"];
        let applied = self.env.kubectl_with_input(&args, manifest).await.unwrap();
        applied.success().unwrap();
    }

    async fn flux(&self, args: &[&str]) -> Output {
        let mut all = vec!["flux"];
        all.extend(args);
        all.extend(["-n", &self.namespace]);
        self.env.kubectl(&all).await.unwrap()
    }

    async fn field(&self, object: &str, path: &str) -> String {
        let path = format!("jsonpath={path}");
        let args = ["get", object, "-n", &self.namespace, "-o", &path];
        let output = self.env.kubectl(&args).await.unwrap();
        output.success().unwrap()
    }
}

const POLICIES: &str = "
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: one, labels: {team: web}}
spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: '>=1.0.0'}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: two}
spec: {imageRepositoryRef: {name: app}, policy: {alphabetical: {order: asc}}}
";
