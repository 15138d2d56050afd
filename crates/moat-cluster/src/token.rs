//! Bootstrap tokens: a Secret by which a machine that knows it may ask to be a node.
//!
//! The form is upstream's (`bootstrap.kubernetes.io/token`): an id of six letters, a secret of sixteen, in a Secret of kube-system that
//! names its end. Who deletes the Secret takes the token back.

use jiff::{SignedDuration, Timestamp};
use moat_apiserver::joining::{INFO, INFO_IN, TOKEN_PREFIX, TOKEN_TYPE, TOKENS_IN};
use moat_apiserver::{Client, DeleteOptions, Gvr, PatchType, Selection, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

static BINDINGS: Gvr = Gvr::new("rbac.authorization.k8s.io", "v1", "clusterrolebindings");
static ROLES: Gvr = Gvr::new("rbac.authorization.k8s.io", "v1", "roles");
static ROLE_BINDINGS: Gvr = Gvr::new("rbac.authorization.k8s.io", "v1", "rolebindings");
static CLUSTER_ROLES: Gvr = Gvr::new("rbac.authorization.k8s.io", "v1", "clusterroles");
static CONFIG_MAPS: Gvr = Gvr::new("", "v1", "configmaps");
static SECRETS: Gvr = Gvr::new("", "v1", "secrets");
/// The role by which a machine sees whether its name is taken.
const GET_NODES: &str = "moat:get-nodes";
/// The role by which it reads `cluster-info` before it has a name.
const READ_INFO: &str = "moat:bootstrap-signer-clusterinfo";
/// Besides `system:bootstrappers`: the group that may become nodes.
const GROUP: &str = "system:bootstrappers:moat:default-node-token";
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A bootstrap token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// `abcdef.0123456789abcdef`.
    pub token: String,
    /// When it ends, RFC 3339; never if there is none.
    pub expires: Option<String>,
    /// What it is for.
    pub description: String,
}

/// A token, and what else a machine has to know that joins by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Join {
    /// The token.
    pub token: Token,
    /// Where the API server is: `127.0.0.1:6443`.
    pub server: String,
    /// `sha256:` and the digest of the authority's public key, by which the machine knows that it asks the right server.
    pub ca_cert_hash: String,
}

impl Join {
    /// What to type on the machine.
    pub fn command(&self) -> String {
        let Self { token, server, ca_cert_hash } = self;
        let token = &token.token;
        format!("moat join {server} --token {token} --discovery-token-ca-cert-hash {ca_cert_hash}")
    }
}

/// Where a cluster is, for who does not know it yet.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// `https://127.0.0.1:6443`.
    pub(crate) url: String,
    /// The authority's certificate, PEM.
    pub(crate) authority: String,
}

impl Place {
    /// The kubeconfig without a user that tokens sign.
    pub(crate) fn kubeconfig(&self) -> String {
        use base64::Engine as _;
        let authority = base64::engine::general_purpose::STANDARD.encode(&self.authority);
        moat_report::yaml::render(&json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{ "name": "", "cluster": { "certificate-authority-data": authority, "server": self.url } }],
        }))
    }
}

/// What machines with a token may do: ask for a certificate of a node, and get it; a node may renew its own.
const BOUND: [(&str, &str, &str); 4] = [
    (GET_NODES, GET_NODES, GROUP),
    ("moat:node-bootstrap", "system:node-bootstrapper", GROUP),
    (
        "moat:node-autoapprove-bootstrap",
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        GROUP,
    ),
    (
        "moat:node-autoapprove-certificate-rotation",
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        "system:nodes",
    ),
];

/// Lets machines with a token ask to be nodes.
///
/// Errors: the server refuses the bindings.
async fn allow(client: &Client) -> Result<(), String> {
    const GROUP_OF: &str = "rbac.authorization.k8s.io";
    let get = |resource: &str, rest: Value| {
        let mut rule = json!({ "apiGroups": [""], "resources": [resource], "verbs": ["get"] });
        if !rest.is_null() {
            rule["resourceNames"] = rest;
        }
        json!([rule])
    };
    let mut wanted = vec![
        (
            CLUSTER_ROLES.at("", ""),
            json!({ "metadata": { "name": GET_NODES }, "rules": get("nodes", Value::Null) }),
        ),
        (
            ROLES.at(INFO_IN, ""),
            json!({ "metadata": { "name": READ_INFO }, "rules": get("configmaps", json!([INFO])) }),
        ),
        (
            ROLE_BINDINGS.at(INFO_IN, ""),
            json!({
                "metadata": { "name": READ_INFO }, "roleRef": { "apiGroup": GROUP_OF, "kind": "Role", "name": READ_INFO },
                "subjects": [{ "apiGroup": GROUP_OF, "kind": "User", "name": "system:anonymous" }],
            }),
        ),
    ];
    wanted.extend(BOUND.map(|(name, role, group)| {
        let binding = json!({
            "metadata": { "name": name }, "roleRef": { "apiGroup": GROUP_OF, "kind": "ClusterRole", "name": role },
            "subjects": [{ "apiGroup": GROUP_OF, "kind": "Group", "name": group }],
        });
        (BINDINGS.at("", ""), binding)
    }));
    for (at, object) in wanted {
        match client.create(at, object).await {
            Err(status) if status.reason != "AlreadyExists" => return Err(status.message),
            _ => {}
        }
    }
    Ok(())
}

/// Writes down where the cluster is, for machines that join; the signatures of the tokens are the controller's.
///
/// Errors: the server refuses it.
async fn tell(client: &Client, place: &Place) -> Result<(), String> {
    let info =
        json!({ "metadata": { "name": INFO }, "data": { "kubeconfig": place.kubeconfig() } });
    match client.create(CONFIG_MAPS.at(INFO_IN, ""), info).await {
        Err(status) if status.reason == "AlreadyExists" => move_to(client, place).await,
        Err(status) => Err(status.message),
        Ok(_) => Ok(()),
    }
}

/// Writes down where the cluster is now, if that was written down before: one with older tokens may have come back at another address.
///
/// Errors: the server refuses it.
pub(crate) async fn move_to(client: &Client, place: &Place) -> Result<(), String> {
    let at = CONFIG_MAPS.at(INFO_IN, INFO);
    let Ok(found) = client.get(at).await else { return Ok(()) };
    let kubeconfig = place.kubeconfig();
    if found["data"]["kubeconfig"] == *kubeconfig {
        return Ok(());
    }
    let patch = json!({ "data": { "kubeconfig": kubeconfig } });
    client.patch(at, PatchType::Merge, &patch).await.map(|_| ()).map_err(|status| status.message)
}

/// Makes a token that ends after `ttl` seconds; never if that is 0.
///
/// Errors: the server refuses the Secret, or the system has no random numbers.
pub(crate) async fn create(
    client: &Client,
    place: &Place,
    ttl: u64,
    description: &str,
) -> Result<Token, String> {
    let word = |n: usize| -> Result<String, String> {
        let mut bytes = vec![0_u8; n];
        getrandom::fill(&mut bytes).map_err(|error| format!("no random numbers: {error}"))?;
        // 36 does not divide 256; the first four letters are likelier by a seventh, which costs less than a bit of the secret's 82.
        Ok(bytes.iter().map(|byte| LETTERS[usize::from(*byte) % LETTERS.len()] as char).collect())
    };
    let (id, secret) = (word(6)?, word(16)?);
    let expires = (ttl > 0)
        .then(|| {
            let seconds = i64::try_from(ttl).unwrap_or(i64::MAX);
            Timestamp::now().checked_add(SignedDuration::from_secs(seconds))
        })
        .transpose()
        .map_err(|_| format!("a token cannot live {ttl} seconds"))?
        .map(|end| end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let mut data = json!({
        "token-id": id, "token-secret": secret, "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true",
        "auth-extra-groups": GROUP,
    });
    if let Some(expires) = &expires {
        data["expiration"] = expires.as_str().into();
    }
    if !description.is_empty() {
        data["description"] = description.into();
    }
    let object = json!({
        "kind": "Secret", "apiVersion": "v1", "type": TOKEN_TYPE, "stringData": data,
        "metadata": { "name": format!("{TOKEN_PREFIX}{id}"), "namespace": TOKENS_IN },
    });
    // Who gets no token needs none of these, and a cluster starts without them.
    allow(client).await?;
    tell(client, place).await?;
    client.create(SECRETS.at(TOKENS_IN, ""), object).await.map_err(|status| status.message)?;
    Ok(Token { token: format!("{id}.{secret}"), expires, description: description.to_owned() })
}

/// The tokens, by id.
///
/// Errors: the Secrets cannot be listed.
pub fn list(client: &Client) -> Result<Vec<Token>, String> {
    let selection = Selection { fields: format!("type={TOKEN_TYPE}"), ..Selection::default() };
    let listed = client.list(SECRETS.at(TOKENS_IN, ""), &selection);
    let listed = listed.map_err(|status| status.message)?;
    let parsed = listed.objects.iter().filter_map(|one| serde_json::from_slice(&one.value).ok());
    Ok(parsed.filter_map(|secret: Value| read(&secret)).collect())
}

fn read(secret: &Value) -> Option<Token> {
    use base64::Engine as _;
    let part = |name: &str| {
        let text = secret["data"][name].as_str()?;
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).ok()?).ok()
    };
    Some(Token {
        token: format!("{}.{}", part("token-id")?, part("token-secret")?),
        expires: part("expiration"),
        description: part("description").unwrap_or_default(),
    })
}

/// Takes a token back, by itself or by its id.
///
/// Errors: there is no such token.
pub async fn delete(client: &Client, token: &str) -> Result<(), String> {
    let id = token.split('.').next().unwrap_or_default();
    if id.len() != 6 || !id.bytes().all(|byte| LETTERS.contains(&byte)) {
        return Err(format!(
            "{token:?} is no token: six letters, a dot and sixteen letters, or the first six alone"
        ));
    }
    let name = format!("{TOKEN_PREFIX}{id}");
    let deleted = client.delete(SECRETS.at(TOKENS_IN, &name), &DeleteOptions::default()).await;
    deleted.map(|_| ()).map_err(|status: Status| match status.code {
        404 => format!("there is no token {id}"),
        _ => status.message,
    })
}
