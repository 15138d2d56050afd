//! What a cluster and the machines that join it agree on: where tokens stand, and what they sign (kubeadm's bootstrap discovery).

/// Id and secret of a bootstrap token, `abcdef.0123456789abcdef`; nothing if it is of another form.
pub fn token_parts(token: &str) -> Option<(&str, &str)> {
    let word = |text: &str, length: usize| {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        text.len() == length && text.bytes().all(letter)
    };
    token.split_once('.').filter(|(id, secret)| word(id, 6) && word(secret, 16))
}

/// The type of Secrets that are tokens.
pub const TOKEN_TYPE: &str = "bootstrap.kubernetes.io/token";
/// What their names begin with, before the token's id.
pub const TOKEN_PREFIX: &str = "bootstrap-token-";
/// The namespace that they stand in.
pub const TOKENS_IN: &str = "kube-system";
/// The `ConfigMap` that a machine without a name may read.
pub const INFO: &str = "cluster-info";
/// The namespace that it stands in.
pub const INFO_IN: &str = "kube-public";
/// Where it is read.
pub const INFO_PATH: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";
/// What the key of a token's signature in it begins with, before the token's id.
pub const SIGNATURE_PREFIX: &str = "jws-kubeconfig-";
