//! `spec.decryption`: which content is decrypted, and when.
//!
//! Files of manifests, patches and the inputs of `secretGenerator` are decrypted before the build,
//! in memory or in the private copy for the program, never in the source. Inputs of other
//! generators stay as they are: what is secret must not end in a ConfigMap. After the build the
//! files within Secrets follow, and nothing may be left encrypted.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::sops::{self, Keys};
use crate::{BuildError, Object, manifest};

/// What stands in the place of a secret that is not shown.
pub(crate) const MASK: &str = "**SOPS**";

/// Whether a value of a Secret's `data` stands in the place of a secret that is not shown
/// ([`Decryption::Mask`]).
pub fn is_mask(value: &str) -> bool {
    decode(value)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .is_some_and(|text| text == MASK || text == docker_mask())
}

fn docker_mask() -> String {
    json!({ "mask": MASK }).to_string()
}

/// What is done about encrypted content.
#[derive(Clone, Debug, Default)]
pub enum Decryption {
    /// It is an error: `spec.decryption` is not set.
    #[default]
    Refuse,
    /// It is decrypted.
    Keys(Arc<Keys>),
    /// It is replaced by `**SOPS**`, to look at a build without its secrets.
    Mask,
}

/// What a build reads a file for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Objects, or patches of objects.
    Manifests,
    /// A file for a Secret.
    Secret,
    /// Anything else, which is never decrypted.
    Other,
}

impl Decryption {
    /// The content of a file as the build is to see it; `name` is what it is called in a Secret, which
    /// says of what form it is.
    ///
    /// # Errors
    /// [`BuildError::Decryption`].
    pub(crate) fn before(
        &self,
        file: &str,
        name: &str,
        content: &Bytes,
        role: Role,
    ) -> Result<Bytes, BuildError> {
        let Self::Keys(keys) = self else {
            return Ok(content.clone());
        };
        if role == Role::Other || !sops::may_be_encrypted(content) {
            return Ok(content.clone());
        }
        let decrypted = match role {
            Role::Manifests => sops::manifests(content, keys),
            _ => sops::file(content, name, keys),
        };
        let decrypted = decrypted.map_err(|source| BuildError::Decryption {
            what: format!("'{file}'{}", objects_in(content)),
            source,
        })?;
        Ok(decrypted.map_or_else(|| content.clone(), Bytes::from))
    }

    /// Sees to what is left in built objects; `is_asked_for` says whether the spec decrypts.
    ///
    /// # Errors
    /// [`BuildError::Decryption`], and [`BuildError::Encrypted`] for objects that stayed encrypted.
    pub(crate) fn after(
        &self,
        objects: &mut [Object],
        is_asked_for: bool,
    ) -> Result<(), BuildError> {
        for object in objects {
            let name = manifest::describe(&object.value);
            let is_secret = manifest::text(&object.value, "/kind") == Some("Secret");
            let stays = !is_asked_for || sops::is_switched_off(&object.value);
            if manifest::is_encrypted(&object.value) {
                let advice = match self {
                    // Whoever reads it in the cluster decrypts it: SopsSecrets, for example.
                    _ if !is_secret && stays => continue,
                    Self::Mask => {
                        mask_object(&mut object.value);
                        continue;
                    }
                    Self::Refuse => "set spec.decryption",
                    Self::Keys(_) if stays => {
                        "take away its annotation kustomize.toolkit.fluxcd.io/decrypt"
                    }
                    Self::Keys(_) => "only files of the source are decrypted",
                };
                return Err(BuildError::Encrypted {
                    object: name,
                    origin: object.origin.clone(),
                    advice,
                });
            }
            if is_secret {
                self.files_of(&mut object.value, &name)?;
            }
        }
        Ok(())
    }

    /// The files in a Secret.
    fn files_of(&self, secret: &mut Value, name: &str) -> Result<(), BuildError> {
        let Some(data) = secret.get_mut("data").and_then(Value::as_object_mut) else {
            return Ok(());
        };
        if matches!(self, Self::Refuse) {
            return Ok(());
        }
        for (key, value) in data {
            let content = value.as_str().and_then(decode);
            let Some(content) = content.filter(|content| sops::may_be_encrypted(content)) else {
                continue;
            };
            match self {
                Self::Refuse => {}
                Self::Mask => *value = json!(STANDARD.encode(MASK)),
                Self::Keys(keys) => {
                    let decrypted = sops::file(&content, key, keys);
                    let decrypted = decrypted.map_err(|source| BuildError::Decryption {
                        what: format!("'{name}', data.{key}"),
                        source,
                    })?;
                    if let Some(decrypted) = decrypted {
                        *value = json!(STANDARD.encode(decrypted));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Base64 as Go reads it: kustomize breaks long values into lines.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let text: String = text.lines().collect();
    STANDARD.decode(text).ok()
}

/// The encrypted objects of a file, where their names are readable.
fn objects_in(content: &[u8]) -> String {
    let text = std::str::from_utf8(content).unwrap_or_default();
    let names: Vec<String> = flux_lang::yaml::read(text)
        .unwrap_or_default()
        .iter()
        .filter(|document| manifest::is_encrypted(&document.value))
        .filter(|document| {
            let name = manifest::text(&document.value, "/metadata/name");
            name.is_some_and(|name| !name.starts_with("ENC["))
        })
        .map(|document| manifest::describe(&document.value))
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" ({})", names.join(", "))
    }
}

/// As Flux's command line shows it: a Secret without its values, anything else without the notes
/// of SOPS.
fn mask_object(object: &mut Value) {
    let is_secret = manifest::text(object, "/kind") == Some("Secret");
    let is_docker = manifest::text(object, "/type") == Some("kubernetes.io/dockerconfigjson");
    let mask = if is_docker {
        docker_mask()
    } else {
        MASK.to_owned()
    };
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    fields.remove("sops");
    if !is_secret {
        return;
    }
    let fill = |map: &mut Map<String, Value>, text: &str| {
        map.values_mut().for_each(|value| *value = json!(text));
    };
    if let Some(Value::Object(map)) = fields.get_mut("data") {
        fill(map, &STANDARD.encode(&mask));
    }
    if let Some(Value::Object(map)) = fields.get_mut("stringData") {
        fill(map, &mask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BuildOptions, Files, build, differential};

    const ENV: &str = include_str!("../tests/vectors/sops/app.env");
    const SECRET: &str = include_str!("../tests/vectors/sops/secret.yaml");

    fn keys() -> Decryption {
        let mut keys = Keys::default();
        keys.add(include_str!("../tests/vectors/sops/test.agekey"))
            .unwrap();
        Decryption::Keys(Arc::new(keys))
    }

    async fn built(
        files: &[(&str, &str)],
        options: BuildOptions,
    ) -> Result<Vec<Value>, BuildError> {
        let files: Files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned().into()))
            .collect();
        let spec = json!({"interval": "1m", "prune": true,
            "sourceRef": {"kind": "GitRepository", "name": "a"}});
        let spec = serde_json::from_value(spec).unwrap();
        let objects = build(&files, "", &spec, "ns", &options).await?;
        Ok(objects.into_iter().map(|object| object.value).collect())
    }

    /// Others than Flux decrypt some kinds, in the cluster.
    #[test]
    fn what_others_decrypt_stays_as_it_is() {
        let object = |kind: &str, annotations: Value| {
            json!({"apiVersion": "isindir.github.com/v1", "kind": kind,
                "metadata": {"name": "x", "annotations": annotations}, "sops": {"mac": "m"}})
        };
        let off = json!({"kustomize.toolkit.fluxcd.io/decrypt": "disabled"});
        let only_keys = || Decryption::Keys(Arc::default());
        for (how, kind, annotations, refused) in [
            (Decryption::Refuse, "SopsSecret", json!({}), None),
            (
                Decryption::Refuse,
                "Secret",
                json!({}),
                Some("set spec.decryption"),
            ),
            (only_keys(), "SopsSecret", off.clone(), None),
            (only_keys(), "SopsSecret", json!({}), Some("only files")),
            (only_keys(), "Secret", off, Some("take away its annotation")),
        ] {
            let before = object(kind, annotations);
            let mut objects = [Object {
                value: before.clone(),
                origin: None,
            }];
            let is_asked_for = !matches!(how, Decryption::Refuse);
            let error = how.after(&mut objects, is_asked_for).err();
            let error = error.map(|error| error.to_string());
            match refused {
                None => assert_eq!(error, None, "{before}"),
                Some(words) => assert!(error.unwrap().contains(words), "{before}"),
            }
            assert_eq!(objects[0].value, before);
        }
    }

    fn text(value: &Value) -> String {
        String::from_utf8(decode(value.as_str().unwrap()).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn in_process() {
        let options = |decryption| BuildOptions {
            decryption,
            ..BuildOptions::default()
        };
        let files = [("a/db.yaml", SECRET)];
        let found = built(&files, options(keys())).await.unwrap();
        assert_eq!(found[0]["data"], json!({"token": "c2VjcmV0"}));
        assert!(found[0].get("sops").is_none());
        let masked = built(&files, options(Decryption::Mask)).await.unwrap();
        assert_eq!(masked[0]["stringData"]["password"], MASK);
        let none = Decryption::Keys(Arc::default());
        let error = built(&files, options(none)).await.unwrap_err().to_string();
        assert!(
            error.starts_with(
                "decryption failed for 'a/db.yaml' (Secret/shop/db): no key for it: it is \
                 encrypted for age1mwl864"
            ),
            "{error}"
        );
        let inner = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "data": {"app.env": STANDARD.encode(ENV)}});
        let inner = built(&[("s.yaml", &inner.to_string())], options(keys()))
            .await
            .unwrap();
        assert!(text(&inner[0]["data"]["app.env"]).starts_with("# for the app\nUSER=admin\n"));
    }

    /// kustomize shows nodes that do not fit; of a decrypted file they are not passed on.
    #[tokio::test]
    async fn complaints_of_the_program_show_nothing() {
        let Some(options) = differential::options() else {
            return;
        };
        let options = BuildOptions {
            decryption: keys(),
            ..options
        };
        let kustomization = "resources: [db.yaml]\nreplacements:\n- source: {kind: Secret, name: db, \
            fieldPath: stringData.password.x}\n  targets: [{select: {kind: Secret}, fieldPaths: [stringData.a]}]\n";
        let files = [("kustomization.yaml", kustomization), ("db.yaml", SECRET)];
        let error = built(&files, options).await.unwrap_err().to_string();
        assert!(error.contains(MASK), "{error}");
        assert!(!error.contains("quoted"), "{error}");
    }

    /// What goes through the program: patches and files for Secrets are decrypted before, a file
    /// for a ConfigMap never.
    #[tokio::test]
    async fn for_the_program() {
        let Some(options) = differential::options() else {
            return;
        };
        let options = BuildOptions {
            decryption: keys(),
            ..options
        };
        let kustomization = "namespace: x\nresources: [db.yaml]\npatches: [{path: patch.yaml}]\n\
            secretGenerator:\n- {name: env, envs: [app.env], options: {disableNameSuffixHash: true}}\n\
            - {name: both, files: [both.env], options: {disableNameSuffixHash: true}}\n\
            - {name: named, files: [note=note.json], options: {disableNameSuffixHash: true}}\n\
            configMapGenerator:\n- {name: map, files: [both.env], options: {disableNameSuffixHash: true}}\n";
        let plain = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\n";
        let files = [
            ("kustomization.yaml", kustomization),
            ("db.yaml", plain),
            ("patch.yaml", SECRET),
            ("app.env", ENV),
            ("both.env", ENV),
            ("note.json", include_str!("../tests/vectors/sops/note.txt")),
        ];
        let found = built(&files, options).await.unwrap();
        let one = |kind: &str, name: &str| {
            found
                .iter()
                .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
                .unwrap()
        };
        assert_eq!(one("Secret", "db")["data"]["token"], "c2VjcmV0");
        assert!(one("Secret", "db").get("sops").is_none());
        assert_eq!(text(&one("Secret", "env")["data"]["USER"]), "admin");
        assert!(
            text(&one("Secret", "both")["data"]["both.env"])
                .starts_with("# for the app\nUSER=admin\n")
        );
        // By its name in the Secret it is no JSON.
        assert_eq!(
            text(&one("Secret", "named")["data"]["note"]),
            "plain text\nwith lines"
        );
        let map = one("ConfigMap", "map")["data"]["both.env"]
            .as_str()
            .unwrap();
        assert!(
            map.contains("ENC[AES256_GCM,") && !map.contains("admin"),
            "{map}"
        );
    }
}
