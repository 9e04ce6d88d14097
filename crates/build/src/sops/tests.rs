//! Against files that SOPS 3.11 wrote (`tests/vectors/sops/`), for two recipients of which the
//! second one's key is lost.

use serde_json::json;

use super::*;

const KEY: &str = include_str!("../../tests/vectors/sops/test.agekey");
const SECRET: &str = include_str!("../../tests/vectors/sops/secret.yaml");
const WHOLE: &str = include_str!("../../tests/vectors/sops/whole.yaml");

fn keys() -> Keys {
    let mut keys = Keys::default();
    keys.add(KEY).unwrap();
    keys
}

fn documents(text: &str) -> Vec<(Value, usize)> {
    let decrypted = manifests(text.as_bytes(), &keys()).unwrap().unwrap();
    let decrypted = String::from_utf8(decrypted).unwrap();
    let read = flux_lang::yaml::read(&decrypted).unwrap();
    read.into_iter().map(|one| (one.value, one.line)).collect()
}

#[test]
fn manifests_of_sops() {
    assert_eq!(
        documents(SECRET),
        [(
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": {"name": "db", "namespace": "shop", "labels": {"team": "shop"}},
                "stringData": {
                    "password": "päss:\nword \"quoted\" 'and' \\ more\t.",
                    "empty": "",
                    "certificate": "-----BEGIN-----\nabc\n\n-----END-----\n",
                },
                "data": {"token": "c2VjcmV0"},
            }),
            2
        )]
    );
    let multi = include_str!("../../tests/vectors/sops/multi.yaml");
    let original: Vec<usize> = flux_lang::yaml::read(multi)
        .unwrap()
        .iter()
        .map(|one| one.line)
        .collect();
    let found = documents(multi);
    assert_eq!(
        found.iter().map(|(_, line)| *line).collect::<Vec<_>>(),
        original
    );
    assert_eq!(found[1].0["stringData"], json!({"b": "second"}));
}

#[test]
fn every_type_of_value() {
    let found = documents(WHOLE);
    assert_eq!(
        found[0].0["spec"],
        json!({
            "number": 12, "negative": -3, "big": 9_007_199_254_740_993_i64, "octal": 15,
            "old_octal": 511, "hex": 31, "float": 1.5, "exponent": 1000, "yes": "yes",
            "switch": true, "off_switch": false, "nothing": null, "tilde": null,
            "date": "2020-01-02T00:00:00Z",
            "list": ["one", 2, ["a", 3.25, true], {"key": "value", "other": 1}],
            "empty_list": [], "empty_map": {},
            "plain_unencrypted": {"stays": 5, "switch": true, "float": 2,
                "date": "2020-01-02T00:00:00Z", "word": "yes", "none": null},
            "text": "two\nlines", "folded": "one line\n",
        })
    );
}

#[test]
fn other_files() {
    let keys = keys();
    let decrypt = |content: &[u8], name: &str| file(content, name, &keys).unwrap().unwrap();
    let env = decrypt(
        include_bytes!("../../tests/vectors/sops/app.env"),
        "app.env",
    );
    assert_eq!(
        String::from_utf8(env).unwrap(),
        "# for the app\nUSER=admin\nPASSWORD=a=b#c \"quoted\"\nEMPTY=\nURL=https://x/?a=1\n"
    );
    let blob = decrypt(
        include_bytes!("../../tests/vectors/sops/blob.bin"),
        "blob.bin",
    );
    assert_eq!(blob, include_bytes!("../../tests/vectors/sops/blob.plain"));
    let note = decrypt(
        include_bytes!("../../tests/vectors/sops/note.txt"),
        "note.txt",
    );
    assert_eq!(note, b"plain text\nwith lines");
    let values = decrypt(
        include_bytes!("../../tests/vectors/sops/values.json"),
        "values.json",
    );
    let text = std::str::from_utf8(&values).unwrap();
    let begin = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": ";
    assert!(text.starts_with(begin), "{text}");
    assert!(text.find("\"z\"") < text.find("\"a\""), "{text}");
    let values: Value = serde_json::from_slice(&values).unwrap();
    assert_eq!(values["stringData"]["z"], "last é 😀");
    assert_eq!(values["numbers"], json!([1, 2.5, -3]));
    let loose = include_str!("../../tests/vectors/sops/maconly.yaml");
    assert_eq!(
        documents(loose)[0].0["stringData"],
        json!({"a": "one", "n": 5})
    );
    assert_eq!(file(b"a: 1\n", "a.yaml", &keys), Ok(None));
}

/// In its order, with its comments, indented as it was.
#[test]
fn yaml_is_written_as_sops_does() {
    let decrypted = file(SECRET.as_bytes(), "secret.yaml", &keys()).unwrap();
    assert_eq!(
        String::from_utf8(decrypted.unwrap()).unwrap(),
        "# The password of the shop's database.\napiVersion: v1\nkind: Secret\nmetadata:\n    # its name\n    \
         name: db\n    namespace: shop\n    labels:\n        # who reads it\n        team: shop\n\
         type: Opaque\nstringData:\n    # changed every spring\n    \
         password: \"päss:\\nword \\\"quoted\\\" 'and' \\\\ more\\t.\"\n    empty: \"\"\n    # first\n    # second\n    \
         certificate: |\n        -----BEGIN-----\n        abc\n\n        -----END-----\ndata:\n    token: c2VjcmV0\n"
    );
}

#[test]
fn changes_are_noticed() {
    let error = |text: &str| manifests(text.as_bytes(), &keys()).unwrap_err();
    assert_eq!(
        error(&SECRET.replace("name: db", "name: other")),
        SopsError::Mac
    );
    let moved = error(&SECRET.replace("password: ENC", "passwort: ENC")).to_string();
    assert_eq!(
        moved,
        "stringData.passwort: it was changed, moved, or encrypted with another key"
    );
    let plain = error(&SECRET.replace("    empty: \"\"\n", "    empty: \"\"\n    added: text\n"));
    assert_eq!(
        plain.to_string(),
        "stringData.added: it is not a value of SOPS, though it should be encrypted"
    );
    let removed: String = SECRET
        .split_inclusive('\n')
        .filter(|line| !line.contains("certificate:"))
        .collect();
    assert_eq!(error(&removed), SopsError::Mac);
    let touched = error(&SECRET.replace("2026-11-27T", "2026-11-28T"));
    assert_eq!(touched, SopsError::Metadata { field: "mac" });
}

#[test]
fn missing_keys_are_told_by_their_public_halves() {
    let error = manifests(SECRET.as_bytes(), &Keys::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no key for it: it is encrypted for \
         age1mwl864rp5rprvtu7g090hkjk3ajk25jf8twwz75ra9vmy6vcxyasqnc9nr, \
         age1gvavevpn3uzj3v83eld4h5752wmu7l6qn886aqh79jrfe04p8apqwmr5z4, and there are no age keys"
    );
    let pgp = "kind: Secret\ndata: {a: 'ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]'}\nsops:\n  \
               pgp: [{fp: ABC, enc: x}]\n  lastmodified: x\n  mac: 'ENC[AES256_GCM,'\n";
    let error = manifests(pgp.as_bytes(), &keys()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("it is encrypted with OpenPGP, which is not supported yet")
    );
    let mut keys = Keys::default();
    assert_eq!(
        keys.add("# x\n\nAGE-SECRET-KEY-1NONSENSE\n"),
        Err(
            "line 3: not an age private key, or it was damaged: AGE-SECRET-KEY-1… is expected"
                .to_owned()
        )
    );
    let error = keys.add("AGE-SECRET-KEY-PQ-1ABC\n").unwrap_err();
    assert!(error.contains("post-quantum"), "{error}");
    assert!(keys.is_empty());
    assert_eq!(
        format!("{:?}", self::keys()),
        "Keys([\"age1mwl864rp5rprvtu7g090hkjk3ajk25jf8twwz75ra9vmy6vcxyasqnc9nr\"])"
    );
}

#[test]
fn switched_off_and_plain_documents_stay() {
    let off = SECRET.replace(
        "    namespace: shop\n",
        "    namespace: shop\n    annotations: {kustomize.toolkit.fluxcd.io/decrypt: disabled}\n",
    );
    let (value, _) = &documents(&format!(
        "{off}---\n{}",
        include_str!("../../tests/vectors/sops/maconly.yaml")
    ))[0];
    assert!(value.get("sops").is_some());
    assert_eq!(manifests(b"a: 1\nsops: {}\n", &keys()), Ok(None));
}
