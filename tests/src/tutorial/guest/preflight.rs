//! What is looked at, said and asked before anything is written to a cluster of somebody's, and how
//! all of it goes again.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Result, bail, ensure};

use super::{Guest, Servers};
use crate::tutorial::apps::BOTH;
use crate::tutorial::shell::Shell;
use crate::tutorial::walk::{APPS, FLEET};

/// The namespace of the programs.
const PROGRAMS: &str = "namespace/flux-system";

/// What the walk takes for granted, and makes where it is missing.
const SURROUNDINGS: [&str; 2] = ["namespace/ingress-nginx", "ingressclass/nginx"];

impl Guest {
    /// Looks whether the walk may be played here, says what it will make, and asks.
    ///
    /// # Errors
    /// When Flux or something of the same name is found, when rights are missing, or the answer is
    /// no.
    pub(in crate::tutorial) async fn preflight(&mut self, shell: &Shell, yes: bool) -> Result<()> {
        let server = look(
            shell,
            "kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}'",
        )
        .await?;
        let context = self.context.clone();
        let flux = look(
            shell,
            "kubectl get crds -o name | grep -F .toolkit.fluxcd.io || true\n\
             kubectl get deployments -A -l app.kubernetes.io/part-of=flux -o name",
        )
        .await?;
        ensure!(
            flux.is_empty(),
            "context {context} ({server}) has Flux, or an installation of ours; the walk installs \
             and removes one and would harm it. Choose another cluster. Found:\n{flux}"
        );
        let rights = look(shell, "kubectl auth can-i '*' '*' --all-namespaces || true").await?;
        ensure!(
            rights.ends_with("yes"),
            "context {context} ({server}) is not that of an administrator: the walk installs \
             definitions and cluster roles"
        );
        let namespaces = BOTH.map(|app| format!("namespace/{app}"));
        let own: Vec<&str> = std::iter::once(PROGRAMS)
            .chain(namespaces.iter().map(String::as_str))
            .collect();
        let taken = existing(shell, &own).await?;
        ensure!(
            taken.is_empty(),
            "context {context} ({server}) has {} already, which the walk would make and delete",
            taken.join(" and ")
        );
        let there = existing(shell, &SURROUNDINGS).await?;
        let missing = SURROUNDINGS.iter().filter(|name| !there.contains(*name));
        // The programs' own are removed by `uninstall`.
        self.created = namespaces.into_iter().collect();
        self.created.extend(missing.map(|&name| name.to_owned()));

        println!("The walk on context {context} ({server}) makes, and removes at its end:");
        println!(
            "  {PROGRAMS}, the definitions of five kinds, cluster roles, webhook configurations"
        );
        for name in &self.created {
            println!("  {name}");
        }
        match &self.servers {
            Servers::Own(address) => println!(
                "Its pods must reach this machine at {address}; a Git server and a registry listen \
                 there until the end. The programs' images come from {}.",
                self.programs
            ),
            Servers::Existing(at) => println!(
                "It pushes to the empty repositories {git}{FLEET}.git and {git}{APPS}.git and to the \
                 registry {}; the commits are removed, the images stay.",
                at.registry,
                git = at.git,
            ),
        }
        if yes {
            return Ok(());
        }
        ensure!(
            std::io::stdin().is_terminal(),
            "nobody is there to be asked; --yes says that it may go on"
        );
        print!("Go on? [y/N] ");
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            bail!("nothing was changed");
        }
        Ok(())
    }
}

/// Which of these objects exist.
async fn existing<'a>(shell: &Shell, names: &[&'a str]) -> Result<Vec<&'a str>> {
    let mut found = Vec::new();
    for &name in names {
        let command = format!("kubectl get {name} --ignore-not-found -o name");
        if !look(shell, &command).await?.is_empty() {
            found.push(name);
        }
    }
    Ok(found)
}

async fn look(shell: &Shell, command: &str) -> Result<String> {
    let ran = shell.run(command).await?;
    ensure!(ran.ok, "{}", ran.text.trim());
    Ok(ran.text.trim().to_owned())
}
