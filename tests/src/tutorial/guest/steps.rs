//! Steps of the walk that are others on a cluster of somebody's.

use anyhow::Result;

use super::Servers;
use crate::tutorial::apps::BOTH;
use crate::tutorial::walk::{APPS, FLEET, Walk};

/// Secret with the authority of this machine's registry.
const AUTHORITY: &str = "registry-authority";

impl Walk {
    /// Whether an object of the surroundings is ours to make.
    pub(in crate::tutorial) fn makes(&self, object: &str) -> bool {
        let guest = self.guest.as_ref();
        guest.is_none_or(|guest| guest.created.iter().any(|created| created == object))
    }

    /// The flag by which ImageRepositories know the authority of the walk's registry, with a space
    /// before it; its Secrets are made. Empty where the operator knows it anyway.
    pub(in crate::tutorial) async fn registry_authority(&mut self) -> Result<String> {
        let own = |guest: &super::Guest| matches!(guest.servers, Servers::Own(_));
        if !self.guest.as_ref().is_some_and(own) {
            return Ok(String::new());
        }
        let ca = self.env.sandbox().ca_file();
        for app in BOTH {
            self.sh(&format!(
                "kubectl flux create secret tls {AUTHORITY} --ca-crt-file='{}' --namespace={app}",
                ca.display()
            ))
            .await?;
        }
        Ok(format!(" --cert-ref={AUTHORITY}"))
    }

    /// Waits until the pods of an app run an image, and asks one through the API server. Nodes that
    /// do not trust this machine's registry cannot pull from it: that is said, not held against us.
    pub(in crate::tutorial) async fn pods_run_for_guest(
        &mut self,
        app: &str,
        image: &str,
        expected: &str,
    ) -> Result<()> {
        let pods = format!(
            "kubectl -n {app} get pods -l app={app} -o jsonpath='{{.items[*].spec.containers[*].image}} {{.items[*].status.phase}} {{.items[*].status.containerStatuses[*].state.waiting.reason}}'"
        );
        let runs = format!("{image} Running");
        let refused =
            |text: &str| text.contains("ErrImagePull") || text.contains("ImagePullBackOff");
        let (_, text) = self
            .until(&pods, |text| text.trim() == runs || refused(text))
            .await?;
        self.report.command(&pods, &text);
        if refused(&text) {
            self.report.skip(
                expected,
                "the cluster's nodes cannot pull from the registry of the walk",
            );
            return Ok(());
        }
        let ask = format!(
            "kubectl get --raw /api/v1/namespaces/{app}/services/{app}:8080/proxy/hostname"
        );
        let of_app = |text: &str| text.starts_with(&format!("{app}-"));
        let (answers, answer) = self.until(&ask, of_app).await?;
        self.report.command(&ask, &answer);
        let holds = text.trim() == runs && answers;
        self.report
            .check(expected, holds, &format!("{text}\n{answer}"));
        Ok(())
    }

    /// Removes from somebody's cluster and repositories what the walk made.
    pub(in crate::tutorial) async fn leave(&mut self) -> Result<()> {
        let Some(guest) = &self.guest else {
            return Ok(());
        };
        let (created, existing) = (guest.created.clone(), guest.key().is_some());
        let names = created.join(" ");
        let out = self
            .sh(&format!("kubectl delete {names} --ignore-not-found"))
            .await?;
        let left = self
            .sh(&format!("kubectl get {names} --ignore-not-found -o name"))
            .await?;
        self.report.check(
            "the cluster is as it was",
            out.ok && left.text.trim().is_empty(),
            &format!("{}\n{}", out.text, left.text),
        );
        if !existing {
            return Ok(());
        }
        for repository in [FLEET, APPS] {
            let out = self.sh_in(repository, "git push -q origin :main").await?;
            if !out.ok {
                self.report.say(&format!(
                    "The server keeps the branch main of {repository}; delete it there."
                ));
            }
        }
        Ok(())
    }
}
