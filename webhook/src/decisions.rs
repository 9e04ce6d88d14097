//! What the administrator decided, as it is now: the ConfigMap `admission-webhook`, followed.

use std::sync::Arc;

use arc_swap::ArcSwap;
use flux_rules::{POLICY_NAME, Policy, Settings};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::sync::watch;

use crate::configuration::Current;

/// The current policy. Cheap to read, replaced as a whole.
#[derive(Debug)]
pub struct Decisions {
    policy: ArcSwap<Policy>,
    namespace: String,
    /// What flags declare; the ConfigMap wins.
    flags: Settings,
}

impl Decisions {
    /// What holds where there is no ConfigMap.
    #[must_use]
    pub fn new(namespace: &str, flags: Settings) -> Arc<Self> {
        let decisions = Self {
            policy: ArcSwap::from_pointee(Policy::new(namespace)),
            namespace: namespace.to_owned(),
            flags,
        };
        decisions.read(&ConfigMap::default());
        Arc::new(decisions)
    }

    /// The policy of this moment.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Takes over what a ConfigMap says. What cannot be read in it is logged and changes nothing.
    pub fn read(&self, config: &ConfigMap) {
        let data = config.data.clone().unwrap_or_default();
        let (mut policy, problems) = Policy::read(&data, &self.namespace);
        for problem in problems {
            tracing::warn!(problem, "a setting is ignored");
        }
        let declared = policy.settings.ingress_nginx;
        policy.settings.ingress_nginx = declared.or(self.flags.ingress_nginx);
        if *self.policy.load_full() != policy {
            tracing::info!(mode = %policy.mode, gitops = %policy.gitops, rules = policy.levels.len(), "settings");
            self.policy.store(Arc::new(policy));
        }
    }
}

/// Follows the ConfigMap, for ever, and says what it means for the webhook configurations.
pub async fn follow(client: Client, decisions: Arc<Decisions>, current: watch::Sender<Current>) {
    let api: Api<ConfigMap> = Api::namespaced(client, &decisions.namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={POLICY_NAME}"));
    let mut events = watcher::watcher(api, only).default_backoff().boxed();
    let mut complained = false;
    let mut seen = false;
    loop {
        let fills = decisions.policy().optional.fills_ingresses();
        current.send_if_modified(|known| {
            let changed = known.fills_ingresses != fills;
            known.fills_ingresses = fills;
            changed
        });
        match events.try_next().await {
            Ok(None) => return,
            Ok(Some(Event::Init)) => seen = false,
            Ok(Some(Event::Apply(config) | Event::InitApply(config))) => {
                seen = true;
                decisions.read(&config);
            }
            Ok(Some(Event::InitDone)) if seen => complained = false,
            // Deleted, or gone while nobody watched: back to what holds without one.
            Ok(Some(Event::InitDone | Event::Delete(_))) => decisions.read(&ConfigMap::default()),
            Err(error) => {
                if !complained {
                    tracing::warn!(%error, "cannot read ConfigMap {POLICY_NAME}; what was known of it holds");
                }
                complained = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flux_rules::{IngressNginx, Mode, Release};

    use super::*;

    fn config(entries: &[(&str, &str)]) -> ConfigMap {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        ConfigMap {
            data: Some(entries.iter().map(owned).collect()),
            ..ConfigMap::default()
        }
    }

    #[test]
    fn the_config_map_wins_over_flags_and_leaves_no_trace() {
        let flags = Settings {
            ingress_nginx: Some(IngressNginx::new(Release(1, 11, 0))),
        };
        let decisions = Decisions::new("flux-system", flags);
        let release = || {
            decisions
                .policy()
                .settings
                .ingress_nginx
                .map(|nginx| nginx.release)
        };
        assert_eq!(release(), Some(Release(1, 11, 0)));
        decisions.read(&config(&[
            ("mode", "warn"),
            ("ingressNginx.version", "1.12.1"),
        ]));
        assert_eq!(release(), Some(Release(1, 12, 1)));
        assert_eq!(decisions.policy().mode, Mode::Warn);
        decisions.read(&ConfigMap::default());
        assert_eq!(release(), Some(Release(1, 11, 0)));
        assert_eq!(decisions.policy().mode, Mode::Enforce);
    }
}
