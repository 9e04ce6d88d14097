//! The configuration files of a node's programs. Pure.

use std::path::Path;

use serde_json::{Value, json};

use super::network::{NODE_ADDRESS, POD_CIDR};
use crate::image::product;

/// The node's name.
pub const NODE_NAME: &str = "sandbox";

/// The image of the container that holds a pod's namespaces.
pub(super) const PAUSE_IMAGE: &str = "registry.k8s.io/pause:3.10";

/// The file of [`container`], beside containerd's own.
pub(super) const CONTAINER_SPEC: &str = "container.json";

/// containerd's socket, inside the node's own /run.
pub(super) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// Domain of the names of Services.
pub(super) const CLUSTER_DOMAIN: &str = "cluster.local";

/// Kernel settings that the kubelet insists on, by the last part of their names.
pub(super) const KERNEL_SETTINGS: [(&str, &str); 6] = [
    ("overcommit_memory", "1"),
    ("panic_on_oom", "0"),
    ("panic", "10"),
    ("panic_on_oops", "1"),
    ("root_maxkeys", "1000000"),
    ("root_maxbytes", "25000000"),
];

/// containerd's, in TOML.
pub(super) fn containerd(dir: &Path, cni_plugins: &Path, snapshotter: &str) -> String {
    let text = |path: &Path| json!(path.display().to_string());
    let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
    format!(
        "version = 2\n\
         root = {root}\n\
         state = \"/run/containerd\"\n\
         disabled_plugins = [\"io.containerd.internal.v1.opt\", \
         \"io.containerd.snapshotter.v1.btrfs\", \"io.containerd.snapshotter.v1.zfs\", \
         \"io.containerd.snapshotter.v1.aufs\", \"io.containerd.snapshotter.v1.devmapper\"]\n\
         [grpc]\n\
         address = \"{CONTAINERD_SOCKET}\"\n\
         [{cri}]\n\
         sandbox_image = \"{PAUSE_IMAGE}\"\n\
         # A container may lack the right to be less likely killed than its parent.\n\
         restrict_oom_score_adj = true\n\
         stream_server_address = \"127.0.0.1\"\n\
         [{cri}.cni]\n\
         bin_dir = {plugins}\n\
         conf_dir = {cni}\n\
         [{cri}.containerd]\n\
         snapshotter = \"{snapshotter}\"\n\
         [{cri}.containerd.runtimes.runc]\n\
         runtime_type = \"io.containerd.runc.v2\"\n\
         base_runtime_spec = {container}\n\
         [{cri}.registry]\n\
         config_path = {registries}\n",
        root = text(&dir.join("containerd")),
        container = text(&dir.join(CONTAINER_SPEC)),
        plugins = text(cni_plugins),
        cni = text(&dir.join("cni")),
        registries = text(&dir.join("registries")),
    )
}

/// What every container has beside what its pod says: the usual, `default`, and the sandbox's
/// authority in the place of the world's, since no server of the world can be reached from there.
pub(super) fn container(mut default: Value, ca: &Path) -> Value {
    if let Some(Value::Array(mounts)) = default.get_mut("mounts") {
        mounts.push(json!({
            "destination": format!("/{}", product::AUTHORITIES),
            "type": "bind",
            "source": ca,
            "options": ["bind", "ro", "nosuid", "nodev", "noexec"],
        }));
    }
    default
}

/// What containerd knows about one registry, in TOML.
pub(super) fn registry(host: &str, ca: &Path) -> String {
    let ca = json!(ca.display().to_string());
    format!("server = \"https://{host}\"\n[host.\"https://{host}\"]\nca = {ca}\n")
}

/// The network of pods: one bridge.
pub(super) fn cni() -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "sandbox",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    // Lost when the node is rebooted, like the pods that the addresses belong to.
                    "dataDir": "/run/cni",
                    "ranges": [[{"subnet": POD_CIDR}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

/// The kubelet's.
pub(super) fn kubelet(dir: &Path, pki: &Path, cgroup: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS.to_string(),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki.join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki.join("kubelet.crt"),
        "tlsPrivateKeyFile": pki.join("kubelet.key"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{cgroup}"),
        "failCgroupV1": false,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "clusterDNS": [NODE_ADDRESS.to_string()],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": dir.join("resolv.conf"),
        // The machine is shared, and its disk may be nearly full: no reason to evict pods.
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": false,
        "podLogsDir": dir.join("pods"),
        "volumePluginDir": dir.join("volume-plugins"),
        // The default of ten seconds is for thousands of nodes.
        "nodeStatusUpdateFrequency": "2s",
    })
}

/// kube-proxy's.
pub(super) fn kube_proxy(kubeconfig: &Path) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig},
        "mode": "iptables",
        "hostnameOverride": NODE_NAME,
        // Answers between two pods of one bridge would not pass the rules on their way back.
        "iptables": {"masqueradeAll": true, "minSyncPeriod": "100ms"},
        // Zero leaves the machine's limit as it is.
        "conntrack": {"maxPerCore": 0},
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": "127.0.0.1:10256",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted() {
        let dir = Path::new("/tmp/a \"b\"");
        let text = containerd(dir, Path::new("/usr/lib/cni"), "overlayfs");
        assert!(
            text.contains("root = \"/tmp/a \\\"b\\\"/containerd\"\n"),
            "{text}"
        );
        assert_eq!(
            registry("registry.k8s.io", Path::new("/ca")),
            "server = \"https://registry.k8s.io\"\n[host.\"https://registry.k8s.io\"]\nca = \"/ca\"\n"
        );
    }
}
