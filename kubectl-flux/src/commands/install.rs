//! `install`: puts definitions, operator and webhook into the cluster, from this program.

pub(super) mod bundle;
pub(super) mod components;
pub(super) mod flags;
pub(super) mod health;
pub(super) mod preflight;
pub(super) mod takeover;

use clap::ArgAction;
use clap::builder::ValueParser;
use serde_json::Value;

use crate::VERSION;
use crate::cli::values;
use crate::cluster::{Cluster, apply};
use crate::context::Context;
use crate::error::Error;
use crate::output;
use flags::{Flags, Wanted};
use preflight::Found;

/// Flags of `install`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the manifests instead of applying them
    #[arg(long)]
    export: bool,
    /// Install the operator; without it, the webhook is of use beside a real Flux
    #[arg(long, value_name = "bool", default_value = "true", default_missing_value = "true",
        num_args = 0..=1, require_equals = true, action = ArgAction::Set,
        value_parser = ValueParser::new(values::boolean))]
    operator: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let mut wanted = args.flags.wanted(context.namespace(), args.operator)?;
    if args.export {
        return export(&wanted);
    }
    wanted.check_images()?;
    context.block_on(async {
        let cluster = context.cluster().await?;
        let found = look_around(&cluster, &mut wanted, args.flags.take_over).await?;
        warn_about_root(&found, context.namespace());
        output::generate("generating manifests");
        let objects = bundle::objects(&wanted.settings)?;
        let deployments = Wanted::deployments(&objects);
        output::success("manifests build completed");
        output::action(format!(
            "installing components in {} namespace",
            context.namespace()
        ));
        wanted.say_what_is_lacking();
        carry_out(&cluster, &wanted, objects, &found, context).await?;
        output::waiting("verifying installation");
        verify(&cluster, &wanted, &deployments, context).await?;
        output::success("install finished");
        Ok(())
    })
}

fn export(wanted: &Wanted) -> Result<(), Error> {
    if wanted.settings.registry.is_none() {
        output::warning("the images are not published: build and push them, and give --registry");
    }
    wanted.say_what_is_lacking();
    let header = format!("# Made by kubectl flux {VERSION}; install it anew to change it.\n");
    output::data(&manifests(&header, &bundle::objects(&wanted.settings)?))
}

/// Objects as one file of YAML, that begins with these comments.
pub(super) fn manifests(header: &str, objects: &[Value]) -> String {
    let mut text = format!("---\n{header}");
    for (number, object) in objects.iter().enumerate() {
        if number > 0 {
            text.push_str("---\n");
        }
        text.push_str(&flux_lang::yaml::to_string(object));
    }
    text
}

/// Looks for what stands in the way, and stops if something does and may not be replaced. Flags that
/// must not get lost become wanted.
pub(super) async fn look_around(
    cluster: &Cluster,
    wanted: &mut Wanted,
    take_over: bool,
) -> Result<Found, Error> {
    let found = preflight::look(cluster, &wanted.settings.namespace).await?;
    let lines = preflight::judge(&found, &wanted.settings);
    let is_shard = wanted.settings.shard.is_some();
    let may_go_on = take_over && !is_shard && !found.is_elsewhere(&wanted.settings);
    if lines.is_empty() || may_go_on {
        wanted.keep(&found);
        return Ok(found);
    }
    for line in lines {
        output::failure(line);
    }
    Err(preflight::stop(&found, &wanted.settings))
}

/// What Git applies, Git will undo.
fn warn_about_root(found: &Found, namespace: &str) {
    if let Some(root) = found.own_root(namespace)
        && !root.is_suspended
    {
        output::warning(format!(
            "Kustomization {}/{} applies these components from Git and will undo what differs; \
             `kubectl flux bootstrap` changes them there",
            root.namespace, root.name
        ));
    }
}

/// Applies the objects, with what goes before: nothing is written before all that can be tried
/// has been, and what stands in the way is stopped.
pub(super) async fn carry_out(
    cluster: &Cluster,
    wanted: &Wanted,
    mut objects: Vec<Value>,
    found: &Found,
    context: &Context,
) -> Result<(), Error> {
    objects.extend(wanted.pull_secret.clone());
    if wanted.settings.shard.is_some() {
        // Beside Flux its definitions stay as they are.
        objects.retain(|object| !is_foreign_definition(object, found));
    }
    for object in &mut objects {
        keep_foreign(object, found);
    }
    cluster.rehearse(&objects).await?;
    if wanted.settings.operator && wanted.settings.shard.is_none() {
        let namespace = &wanted.settings.namespace;
        takeover::run(cluster, found, namespace, context.timeout()).await?;
    }
    let tell = |object: &Value, change: apply::Change| {
        output::note(format!("{} {}", apply::display(object), change.word()));
    };
    cluster.apply(objects, context.timeout(), tell).await
}

/// A definition or namespace that somebody else made does not become ours: it outlives our
/// programs.
fn keep_foreign(object: &mut Value, found: &Found) {
    let is_foreign = match object["kind"].as_str() {
        Some("Namespace") => found.is_namespace_foreign,
        _ => is_foreign_definition(object, found),
    };
    let labels = object.pointer_mut("/metadata/labels");
    if let (true, Some(Value::Object(labels))) = (is_foreign, labels) {
        labels.remove(flux_api::names::NAME_LABEL);
        // Pods of others live there, and may need more than ours.
        labels.remove("pod-security.kubernetes.io/enforce");
    }
}

fn is_foreign_definition(object: &Value, found: &Found) -> bool {
    let name = object["metadata"]["name"].as_str();
    object["kind"] == "CustomResourceDefinition"
        && name.is_some_and(|name| found.foreign.iter().any(|foreign| foreign == name))
}

/// Waits until what was installed is ready.
pub(super) async fn verify(
    cluster: &Cluster,
    wanted: &Wanted,
    deployments: &[String],
    context: &Context,
) -> Result<(), Error> {
    let about = |name: &str| {
        if name == bundle::OPERATOR {
            format!(" ({})", wanted.choice.running().join(", "))
        } else {
            String::new()
        }
    };
    let namespace = context.namespace();
    health::wait(cluster, namespace, deployments, about, context.timeout()).await
}
