//! `create image repository`.

use flux_api::GoDuration;
use flux_registry::Reference;
use kube::api::DynamicObject;
use serde_json::Value;

use super::draft::{Draft, Fields};
use super::{Shared, apply};
use crate::cli::values;
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;

/// Flags of `create image repository`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the ImageRepository
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Image repository to scan, without a tag
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Secret of type kubernetes.io/dockerconfigjson to scan with
    #[arg(long, value_name = "NAME")]
    secret_ref: Option<String>,
    /// Secret with the TLS certificates to scan with
    #[arg(long, value_name = "NAME")]
    cert_ref: Option<String>,
    /// How long a scan may take
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    scan_timeout: Option<GoDuration>,
}

/// Fields of the spec that these flags decide about.
const DECIDED: &[&str] = &["certSecretRef", "image", "interval", "secretRef", "timeout"];

/// Runs the command.
pub(super) fn run(args: &Args, shared: &Shared, context: &Context) -> Result<(), Error> {
    let mut draft = Draft::new(Kind::ImageRepository, &args.names, shared, context)?;
    let image = args
        .image
        .as_deref()
        .filter(|image| !image.is_empty())
        .ok_or_else(|| Error::input("an image repository (--image) is required"))?;
    Reference::parse(image)
        .map_err(|reason| Error::input(format!("unable to parse image value: {reason}")))?;
    draft.spec = spec(args, image, &shared.interval());
    draft.decided = DECIDED;
    apply::finish(&draft, shared, context, report)
}

fn report(_: &DynamicObject) -> Vec<Result<String, String>> {
    vec![Ok("ImageRepository reconciliation completed".to_owned())]
}

fn spec(args: &Args, image: &str, interval: &str) -> Value {
    let mut spec = Fields::default();
    spec.set("image", image)
        .set("interval", interval)
        .reference("secretRef", args.secret_ref.as_deref())
        .reference("certSecretRef", args.cert_ref.as_deref());
    if let Some(timeout) = args
        .scan_timeout
        .as_ref()
        .filter(|time| !time.as_std().is_zero())
    {
        spec.set("timeout", values::canonical(timeout));
    }
    spec.into_value()
}
