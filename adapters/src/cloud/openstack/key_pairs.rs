//! The key pair that lets the manager in: made from its public key where Nova has none of that name.

use super::OpenStackCloud;
use super::api::{Call, Service};
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::saga::ErrorCode;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct One {
    keypair: KeyPair,
}

#[derive(Deserialize)]
struct KeyPair {
    public_key: String,
}

impl OpenStackCloud {
    /// Sees that the key pair has the manager's key; none is needed where the name is blank.
    ///
    /// Permanent where somebody else's key has the name: no machine with it would let us in.
    pub(super) async fn ensure_key_pair(&self, name: &str) -> Result<(), PortError> {
        if name.is_empty() {
            return Ok(());
        }
        let ours = &self.config.authorized_key;
        for _ in 0..2 {
            let call = Call::get(Service::Compute, &["os-keypairs", name]);
            if let Some(answer) = self.api.find(call).await? {
                let theirs = answer.read::<One>()?.keypair.public_key;
                return match is_same_key(&theirs, ours) {
                    true => Ok(()),
                    false => Err(PortError::permanent(
                        ErrorCode::CloudRefused,
                        format!(
                            "the key pair `{name}` at Nova has another key than Ocim: name another in \
                             OPENSTACK_SANDBOX_SSH_KEYNAME and in the instance's settings, which Ocim \
                             then makes, or remove that one"
                        ),
                    )),
                };
            }
            let body = json!({"keypair": {"name": name, "public_key": ours}});
            match self.api.fetch(Call::post(Service::Compute, &["os-keypairs"], body)).await {
                Ok(_) => return Ok(()),
                // Another launch was quicker, or the answer was lost: whose key is it?
                Err(error) if matches!(error.class, Class::Conflict) && error.code.is_none() => {}
                Err(error) => return Err(error),
            }
        }
        Err(PortError::transient(format!("the key pair `{name}` comes and goes")))
    }
}

/// Whether both have the same kind and key, whatever their comments.
fn is_same_key(one: &str, other: &str) -> bool {
    let words = |key: &str| key.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    words(one) == words(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_make_no_other_key() {
        assert!(is_same_key("ssh-ed25519 AAAA a@b\n", "ssh-ed25519 AAAA"));
        assert!(!is_same_key("ssh-ed25519 AAAA", "ssh-ed25519 BBBB"));
    }
}
